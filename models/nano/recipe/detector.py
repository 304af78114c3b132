"""A dense detector on the projected image tokens. It only trains the vision tower and is thrown away.

SPDX-License-Identifier: LGPL-2.1-or-later

Every token is 2 × 2 cells of 16 pixels; each cell of the global and of the local tiles says which kind
covers it, whether an object's centre lies in it, and that object's box in parts of the frame.
"""
import functools

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from . import tiles
from .kinds import N_KINDS

CELL = 16
CELLS = tiles.TILE // CELL    # along a tile's side
COVERED = .38                 # an object claims the cells this far from its centre, in its sizes
BACKGROUND = N_KINDS
CENTRE = N_KINDS + 1          # channels of a cell: kinds, background, centre, then the box
BOX = N_KINDS + 2
N_CHANNELS = N_KINDS + 6


class Detector(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.lin = nn.Linear(width, 4 * N_CHANNELS)

    def forward(self, features):
        """Tokens of tiles [B, n, D] -> [B, CELLS, CELLS, N_CHANNELS]"""
        B, n, _ = features.shape
        h = int(n ** .5)
        y = self.lin(features).float().view(B, h, h, 2, 2, N_CHANNELS)
        return y.permute(0, 1, 3, 2, 4, 5).reshape(B, 2 * h, 2 * h, N_CHANNELS)


def _claim(objects, view, columns, rows):
    """Kind [rows, columns], centre and box of a view's cells. Small objects are in front of large ones."""
    x, y, width, height = view
    across = ((np.arange(columns) + .5) * CELL - x) / width     # cell centres in parts of the frame
    down = ((np.arange(rows) + .5) * CELL - y) / height
    kind = np.full((rows, columns), BACKGROUND, np.int64)
    centre = np.zeros((rows, columns), np.float32)
    box = np.zeros((rows, columns, 4), np.float32)
    for o in sorted(objects, key=lambda o: -(o.x1 - o.x0) * (o.y1 - o.y0)):
        mx, my = (o.x0 + o.x1) / 2, (o.y0 + o.y1) / 2
        column = int(np.clip((mx * width + x) // CELL, 0, columns - 1))
        row = int(np.clip((my * height + y) // CELL, 0, rows - 1))
        columns_of = np.nonzero(np.abs(across - mx) <= (o.x1 - o.x0) * COVERED)[0]
        rows_of = np.nonzero(np.abs(down - my) <= (o.y1 - o.y0) * COVERED)[0]
        cells = np.ix_(np.union1d(rows_of, [row]), np.union1d(columns_of, [column]))
        kind[cells], box[cells], centre[cells] = o.kind, o[1:], 0
        centre[row, column] = 1
    return kind, centre, box


def _tiles_of(cells, across, down):
    """A view's cells [down · CELLS, across · CELLS, …] -> [down · across, CELLS, CELLS, …]"""
    cells = cells.reshape(down, CELLS, across, CELLS, *cells.shape[2:]).swapaxes(1, 2)
    return cells.reshape(-1, CELLS, CELLS, *cells.shape[4:])


def targets(scenes):
    """Kind [B, CELLS, CELLS], centre (the same) and box [B, CELLS, CELLS, 4] of each cell of all scenes' tiles."""
    found = []
    for scene in scenes:
        (whole, local), (across, down) = tiles.views(scene.size), tiles.grid_of(scene.size)
        found.append(map(functools.partial(_tiles_of, across=1, down=1),
                         _claim(scene.objects, whole, CELLS, CELLS)))
        if across * down > 1:
            found.append(map(functools.partial(_tiles_of, across=across, down=down),
                             _claim(scene.objects, local, CELLS * across, CELLS * down)))
    return [torch.from_numpy(np.concatenate(maps)) for maps in zip(*found)]


def loss(y, scenes):
    """The detector's loss on its output y, and what it says of itself: accuracy of kinds, mean IoU."""
    kind, centre, box = targets(scenes)
    covered = kind < BACKGROUND
    weight = torch.ones(N_KINDS + 1)
    weight[BACKGROUND] = .15
    kind_loss = functional.cross_entropy(
        y[..., :CENTRE].reshape(-1, N_KINDS + 1), kind.reshape(-1), weight)
    centre_loss = functional.binary_cross_entropy_with_logits(
        y[..., CENTRE], centre, pos_weight=torch.tensor(4.))
    said, true = y[..., BOX:][covered], box[covered]
    size = (true[:, 2:] - true[:, :2]).repeat(1, 2).clamp_min(.04)
    box_loss = functional.smooth_l1_loss(said / size * .3, true / size * .3, beta=.03)
    shared = (torch.min(said[:, 2:], true[:, 2:]) - torch.max(said[:, :2], true[:, :2])).clamp_min(0).prod(1)
    own = (said[:, 2:] - said[:, :2]).clamp_min(0).prod(1)
    iou = (shared / (own + (true[:, 2:] - true[:, :2]).prod(1) - shared + 1e-6)).mean()
    right = (y[..., :CENTRE].argmax(-1)[covered] == kind[covered]).float().mean()
    total = kind_loss + 2 * centre_loss + 6 * box_loss + 1 - iou
    return total, {'kind': kind_loss.item(), 'box': box_loss.item(), 'right': right.item(), 'iou': iou.item()}
