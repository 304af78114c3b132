"""Pictures drawn ahead of training: chunks of 1000 scenes in files, cut to tiles.

SPDX-License-Identifier: LGPL-2.1-or-later
"""
import os
import pickle

import numpy as np

from . import scenes, tiles

CHUNK = 1000
SEED = 5000    # of chunk 0; each has the next


def _path(folder, number, suffix):
    return os.path.join(folder, f'chunk_{number:04d}.{suffix}')


def _draw_chunk(folder, number):
    rng = np.random.default_rng(SEED + number)
    pictures = np.empty((CHUNK, 3, tiles.TILE, tiles.TILE, 3), np.uint8)
    drawn = []
    for i in range(CHUNK):
        image, scene = scenes.draw(rng)
        pictures[i], _ = tiles.cut(image)
        drawn.append(scene)
    with open(_path(folder, number, 'pkl'), 'wb') as file:
        pickle.dump(drawn, file)
    part = _path(folder, number, 'part.npy')
    np.save(part, pictures)
    os.rename(part, _path(folder, number, 'npy'))    # last: a chunk is whole once it has this name


def draw(folder, number):
    """Draws a chunk that is not there yet."""
    if not os.path.exists(_path(folder, number, 'npy')):
        os.makedirs(folder, exist_ok=True)
        _draw_chunk(folder, number)


def load(folder, number):
    """A chunk: pictures [CHUNK, 3, TILE, TILE, 3] uint8, memory-mapped, and their Scenes."""
    with open(_path(folder, number, 'pkl'), 'rb') as file:
        return np.load(_path(folder, number, 'npy'), mmap_mode='r'), pickle.load(file)


def _mirror(picture, scene):
    """The global tile mirrored, and the two local ones mirrored and exchanged."""
    flipped = np.stack([picture[0, :, ::-1], picture[2, :, ::-1], picture[1, :, ::-1]])
    objects = tuple(o._replace(x0=1 - o.x1, x1=1 - o.x0) for o in scene.objects)
    return flipped, scene._replace(objects=objects)


class Pool:
    """All chunks of a folder."""

    def __init__(self, folder):
        n = sum(name.endswith('.npy') and 'part' not in name for name in os.listdir(folder))
        self.chunks = [load(folder, number) for number in range(n)]

    def batch(self, rng, n):
        """n pictures [n, 3, TILE, TILE, 3] and their scenes, half of them mirrored, most batches with other
        contrast and brightness."""
        pictures, drawn = np.empty((n, 3, tiles.TILE, tiles.TILE, 3), np.uint8), []
        for i in range(n):
            chunk, row = int(rng.integers(len(self.chunks))), int(rng.integers(CHUNK))
            picture, scene = self.chunks[chunk][0][row], self.chunks[chunk][1][row]
            if rng.random() < .5:
                picture, scene = _mirror(picture, scene)
            pictures[i] = picture
            drawn.append(scene)
        if rng.random() < .7:
            contrast, brightness = rng.uniform(.8, 1.2, (n, 1)), rng.uniform(-20, 20, (n, 1))
            table = np.clip((np.arange(256) - 128) * contrast + 128 + brightness, 0, 255).astype(np.uint8)
            for i in range(n):
                pictures[i] = table[i][pictures[i]]
        return pictures, drawn
