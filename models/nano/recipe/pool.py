"""Pictures drawn ahead of training: chunks of 1000 scenes in files, cut to tiles.

SPDX-License-Identifier: LGPL-2.1-or-later
"""
import os
import pickle

import numpy as np

from . import scenes, tiles
from .scenes import SQUARE, UPRIGHT, WIDE

CHUNK = 1000
SEED = 5000                                       # of chunk 0; each has the next
SHAPES = (WIDE, SQUARE, WIDE, UPRIGHT, WIDE)      # of chunk 0, 1, …, again and again


def shape_of(number):
    return SHAPES[number % len(SHAPES)]


def share(n):
    """How many of n pictures are of which shape."""
    few = n // len(SHAPES)
    return {WIDE: n - 2 * few, SQUARE: few, UPRIGHT: few}


def _path(folder, number, suffix):
    return os.path.join(folder, f'{shape_of(number)}_{number:04d}.{suffix}')


def _draw_chunk(folder, number):
    rng = np.random.default_rng(SEED + number)
    pictures, drawn = [], []
    for _ in range(CHUNK):
        image, scene = scenes.draw(rng, shape=shape_of(number))
        pictures.append(tiles.cut(image)[0])
        drawn.append(scene)
    with open(_path(folder, number, 'pkl'), 'wb') as file:
        pickle.dump(drawn, file)
    part = _path(folder, number, 'part.npy')
    np.save(part, np.stack(pictures))
    os.rename(part, _path(folder, number, 'npy'))    # last: a chunk is whole once it has this name


def draw(folder, number):
    """Draws a chunk that is not there yet."""
    if not os.path.exists(_path(folder, number, 'npy')):
        os.makedirs(folder, exist_ok=True)
        _draw_chunk(folder, number)


def load(folder, number):
    """A chunk: pictures [CHUNK, views, TILE, TILE, 3] uint8, memory-mapped, and their Scenes."""
    with open(_path(folder, number, 'pkl'), 'rb') as file:
        return np.load(_path(folder, number, 'npy'), mmap_mode='r'), pickle.load(file)


def _mirror(picture, scene):
    """All tiles mirrored, those side by side exchanged."""
    across, down = tiles.grid_of(scene.size)
    flipped = picture[:, :, ::-1]
    if len(picture) > 1:
        local = flipped[1:].reshape(down, across, *picture.shape[1:])[:, ::-1]
        flipped = np.concatenate([flipped[:1], local.reshape(picture[1:].shape)])
    objects = tuple(o._replace(x0=1 - o.x1, x1=1 - o.x0) for o in scene.objects)
    return flipped, scene._replace(objects=objects)


class Pool:
    """All chunks of a folder."""

    def __init__(self, folder):
        n = sum(name.endswith('.npy') and 'part' not in name for name in os.listdir(folder))
        self.chunks = {shape: [] for shape in SHAPES}
        for number in range(n):
            self.chunks[shape_of(number)].append(load(folder, number))

    def batch(self, rng, n, shape):
        """n pictures of a shape [n, views, TILE, TILE, 3] and their scenes, half of them mirrored, most batches
        with other contrast and brightness."""
        pictures, drawn, chunks = [], [], self.chunks[shape]
        for _ in range(n):
            chunk, row = int(rng.integers(len(chunks))), int(rng.integers(CHUNK))
            picture, scene = chunks[chunk][0][row], chunks[chunk][1][row]
            if rng.random() < .5:
                picture, scene = _mirror(picture, scene)
            pictures.append(picture)
            drawn.append(scene)
        pictures = np.stack(pictures)
        if rng.random() < .7:
            contrast, brightness = rng.uniform(.8, 1.2, (n, 1)), rng.uniform(-20, 20, (n, 1))
            table = np.clip((np.arange(256) - 128) * contrast + 128 + brightness, 0, 255).astype(np.uint8)
            for i in range(n):
                pictures[i] = table[i][pictures[i]]
        return pictures, drawn
