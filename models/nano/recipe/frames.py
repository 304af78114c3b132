"""Frames with what is in them, to measure a model on: scenes that were never trained on, and clips.

SPDX-License-Identifier: LGPL-2.1-or-later

Beside the pictures lies a JSON Lines file, a line a frame: `timestamp` (ns, of clips), `resolution`, and
`objects`: `roi_type` (the kind's name), `id`, `x`, `y`, `w`, `h` in pixels, and `visible`, the part of the
object that the frame shows. Scenes have their `caption` too, and `sprites`, the family they are drawn with.
"""
import json
import os
import subprocess
from typing import NamedTuple

import numpy as np
from PIL import Image

from . import pool, questions, scenes, sprites
from .kinds import KINDS

HELD_OUT_SEED = pool.SEED + 900


class Frame(NamedTuple):
    image: Image.Image
    truth: dict    # its line

    def boxes(self, kind, least=0.):
        """Boxes [x0, y0, x1, y1] in thousandths of the frame, of objects that show at least that part."""
        width, height = self.image.size
        return [[o['x'] / width * 1000, o['y'] / height * 1000,
                 (o['x'] + o['w']) / width * 1000, (o['y'] + o['h']) / height * 1000]
                for o in self.truth['objects']
                if o['roi_type'] == KINDS[kind].name and o['visible'] >= least]


def describe(kind, number, box, visible=1.):
    """An entry of `objects`; the box in pixels."""
    x0, y0, x1, y1 = box
    return {'roi_type': KINDS[kind].name, 'id': number, 'x': x0, 'y': y0, 'w': x1 - x0, 'h': y1 - y0,
            'visible': round(visible, 3)}


def held_out(n, family=sprites.NOTO, shape=scenes.WIDE):
    """n scenes of a shape and of a seed that no training uses."""
    seed = HELD_OUT_SEED + 10 * list(scenes.FRAMES).index(shape) + (family != sprites.NOTO)
    rng = np.random.default_rng(seed)
    for _ in range(n):
        image, scene = scenes.draw(rng, family, shape)
        width, height = scene.size
        objects = [describe(o.kind, i, [round(v * s) for v, s in zip(o[1:], (width, height) * 2)])
                   for i, o in enumerate(scene.objects, 1)]
        yield Frame(image, {'resolution': {'width': width, 'height': height}, 'objects': objects,
                            'sprites': family, 'caption': questions.text_of(questions.describe(scene))})


def of_clip(path):
    """The frames of a clip that has its .jsonl beside it, decoded by GStreamer."""
    with open(os.path.splitext(path)[0] + '.jsonl', encoding='utf-8') as file:
        lines = [json.loads(line) for line in file]
    pixels = subprocess.run(
        ['gst-launch-1.0', '-q', 'filesrc', f'location={path}', '!', 'decodebin', '!', 'videoconvert', '!',
         'video/x-raw,format=RGB', '!', 'fdsink', 'fd=1'], check=True, stdout=subprocess.PIPE).stdout
    size = lines[0]['resolution']['width'], lines[0]['resolution']['height']
    one = len(pixels) // len(lines)
    for i, line in enumerate(lines):
        yield Frame(Image.frombytes('RGB', size, pixels[i * one:(i + 1) * one]), line)


def write(folder, frames):
    """NNNN.ppm for each frame, and truth.jsonl."""
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, 'truth.jsonl'), 'w', encoding='utf-8') as file:
        for i, frame in enumerate(frames):
            frame.image.save(os.path.join(folder, f'{i:04d}.ppm'))
            file.write(json.dumps(frame.truth) + '\n')
