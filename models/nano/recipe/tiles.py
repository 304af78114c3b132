"""Pictures as the model sees them: the reference's letter-boxing and tiling (DeepseekVLV2Processor).

SPDX-License-Identifier: LGPL-2.1-or-later
"""
import numpy as np
from PIL import ImageOps

TILE = 128                                            # the vision tower's image_size
CANDIDATES = ((128, 128), (256, 128), (128, 256))     # candidate_resolutions of config.json
GREY = (127, 127, 127)


def best_resolution(size, candidates=CANDIDATES):
    """The candidate that keeps most pixels of a picture, then the one that wastes least."""
    best, most, least_waste = None, 0, float('inf')
    for width, height in candidates:
        scale = min(width / size[0], height / size[1])
        kept = min(int(size[0] * scale) * int(size[1] * scale), size[0] * size[1])
        waste = width * height - kept
        if kept > most or (kept == most and waste < least_waste):
            best, most, least_waste = (width, height), kept, waste
    return best


def grid_of(size, candidates=CANDIDATES):
    """Local tiles (across, down) of a picture."""
    width, height = best_resolution(size, candidates)
    return width // TILE, height // TILE


def n_views(grid):
    """Tiles that are encoded: a single local tile shows what the global one does, which then stands for both."""
    return 1 if grid == (1, 1) else 1 + grid[0] * grid[1]


def cut(image, candidates=CANDIDATES):
    """uint8 tiles [n_views, TILE, TILE, 3], the global view first, and the grid of the others."""
    grid = grid_of(image.size, candidates)
    views = [np.asarray(ImageOps.pad(image, (TILE, TILE), color=GREY))]
    if grid == (1, 1):
        return np.stack(views), grid
    width, height = grid[0] * TILE, grid[1] * TILE
    local = np.asarray(ImageOps.pad(image, (width, height), color=GREY))
    for y in range(0, height, TILE):
        views += [local[y:y + TILE, x:x + TILE] for x in range(0, width, TILE)]
    return np.stack(views), grid


def placement(size, canvas):
    """Where a picture of `size` lies on its letter-boxed canvas: (x, y, width, height) in pixels."""
    if size[0] * canvas[1] >= size[1] * canvas[0]:
        width, height = canvas[0], round(size[1] / size[0] * canvas[0])
    else:
        width, height = round(size[0] / size[1] * canvas[1]), canvas[1]
    return round((canvas[0] - width) * .5), round((canvas[1] - height) * .5), width, height


def views(size):
    """Placement on the global tile and on the local tiles joined."""
    return placement(size, (TILE, TILE)), placement(size, best_resolution(size))
