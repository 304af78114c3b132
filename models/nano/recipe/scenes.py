"""Scenes: objects of the known kinds put on a background, and then a little of what cameras do to pictures.

SPDX-License-Identifier: LGPL-2.1-or-later
"""
import io
import math
from typing import NamedTuple

import numpy as np
from PIL import Image

from . import backgrounds, sprites
from .kinds import DISTRACTOR, KINDS, N_KINDS, TRAFFIC_LIGHT

KIND_FREQUENCY = np.array([kind.weight for kind in KINDS])
KIND_FREQUENCY = KIND_FREQUENCY / KIND_FREQUENCY.sum()
MIXED_COUNT = (.03, .22, .25, .22, .15, .08, .05)    # how often a mixed scene has 0 .. 6 objects
ALIKE_COUNT = (.1, .225, .225, .225, .225)           # … and a scene of one kind 1 .. 5 of it
SMALLEST = .2                                        # sizes: the root of the area, in short sides of the frame
LARGEST = {0: .6, 1: .7, 2: .6, 3: .5, 4: .42}       # by the number of objects
LARGEST_OF_MANY = .36

# Frames, each as (width, height), and how often the first of the two is drawn.
WIDE, SQUARE, UPRIGHT = 'wide', 'square', 'upright'
FRAMES = {WIDE: ((320, 180), (300, 225), .93), SQUARE: ((180, 180), (225, 225), .7),
          UPRIGHT: ((180, 320), (225, 300), .7)}


class Object(NamedTuple):
    kind: int
    x0: float    # parts of the frame: 0 .. 1
    y0: float
    x1: float
    y1: float


class Scene(NamedTuple):
    """What a picture shows, in data that JSON and pickle carry."""
    objects: tuple
    background: int
    size: tuple    # (width, height) in pixels


def _draw_kind(rng):
    return int(rng.choice(N_KINDS, p=KIND_FREQUENCY))


def _draw_kinds(rng):
    """The kinds of a scene's objects: mixed, or 1 .. 5 of one kind with up to two others, so that the
    counts that the model is asked for are in balance."""
    if rng.random() < .45:
        return [_draw_kind(rng) for _ in range(int(rng.choice(len(MIXED_COUNT), p=MIXED_COUNT)))]
    kind, n = _draw_kind(rng), int(rng.choice(len(ALIKE_COUNT), p=ALIKE_COUNT)) + 1
    return [kind] * n + [_draw_kind(rng) for _ in range(int(rng.integers(0, min(2, 6 - n) + 1)))]


def _draw_sprite(rng, kind, usual, largest, frame, family):
    """A sprite of the kind, of about the usual size, mirrored, tilted or neither."""
    choice, (width, height) = sprites.of_kind(kind, family), frame
    sprite = choice[int(rng.integers(len(choice)))]
    size = np.clip(usual * math.exp(rng.normal(0, .22)), SMALLEST, largest) * min(frame)
    size *= KINDS[kind].size if kind < N_KINDS else 1
    scale = size / math.sqrt(sprite.width * sprite.height)
    w = max(6, int(sprite.width * scale * rng.uniform(.94, 1.08)))
    h = max(6, int(sprite.height * scale))
    if h > .95 * height:
        w, h = int(w * .95 * height / h), int(.95 * height)
    if w > .95 * width:
        w, h = int(.95 * width), int(h * .95 * width / w)
    sprite = sprites.resized(sprite, w, h)
    if rng.random() < .5:
        sprite = sprites.mirrored(sprite)
    if rng.random() < .15 and kind != TRAFFIC_LIGHT:
        sprite = sprite.rotate(float(rng.uniform(-8, 8)), Image.BILINEAR, expand=True)
        sprite = sprite.crop(sprites.opaque_box(sprite))
    return sprite


def _overlap(a, b):
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return w * h if w > 0 and h > 0 else 0


def _area(box):
    return (box[2] - box[0]) * (box[3] - box[1])


def _find_place(rng, size, frame, taken):
    """Corner and visible box of a sprite that covers little of the others, or None after 20 tries."""
    (w, h), (width, height) = size, frame
    beyond = .12 if rng.random() < .12 else 0.    # some are cut by the frame's edge
    for _ in range(20):
        x = int(rng.uniform(-beyond * w, width - (1 - beyond) * w))
        y = int(rng.uniform(-beyond * h, height - (1 - beyond) * h))
        box = (max(0, x), max(0, y), min(width, x + w), min(height, y + h))
        limit = .2 if rng.random() < .2 else .03
        if _area(box) > 30 and all(
                _overlap(box, other) <= limit * min(_area(box), _area(other)) for other in taken):
            return (x, y), box
    return None


def _tint(rng, sprite):
    pixels = np.asarray(sprite).astype(np.float32)
    pixels[..., :3] = np.clip(
        pixels[..., :3] * rng.uniform(.8, 1.12) * rng.uniform(.94, 1.06, 3), 0, 255)
    return Image.fromarray(pixels.astype(np.uint8), 'RGBA')


def _photograph(rng, image):
    """Contrast, exposure and white balance, perhaps noise, perhaps JPEG."""
    pixels = np.asarray(image).astype(np.float32)
    pixels = (((pixels - 128) * rng.uniform(.8, 1.12) + 128) * rng.uniform(.7, 1.12)
              * rng.uniform(.95, 1.05, 3).astype(np.float32))
    if rng.random() < .4 and min(image.size) < 250:
        pixels = pixels + rng.normal(0, rng.uniform(1, 6), pixels.shape)
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    if rng.random() < .4:
        file = io.BytesIO()
        image.save(file, 'JPEG', quality=int(rng.integers(45, 92)))
        image = Image.open(file).convert('RGB')
    return image


def draw(rng, family=sprites.NOTO, shape=WIDE):
    """A picture of the shape with sprites of the family, and its Scene."""
    usual_size, other_size, often = FRAMES[shape]
    width, height = usual_size if rng.random() < often else other_size
    image, background = backgrounds.paint(rng, width, height)
    if rng.random() < .3:
        width, height = width * 2, height * 2
        image = image.resize((width, height), Image.BILINEAR)
    kinds = _draw_kinds(rng)
    rng.shuffle(kinds)
    largest = LARGEST.get(len(kinds), LARGEST_OF_MANY)
    if rng.random() < .2:
        kinds.append(DISTRACTOR)
    usual = math.exp(rng.uniform(math.log(SMALLEST), math.log(largest)))
    objects, taken = [], []
    for kind in kinds:
        sprite = _draw_sprite(rng, kind, usual, largest, (width, height), family)
        place = _find_place(rng, sprite.size, (width, height), taken)
        if not place:
            continue
        corner, box = place
        taken.append(box)
        if rng.random() < .5:
            sprite = _tint(rng, sprite)
        image.paste(sprite, corner, sprite)
        if kind < N_KINDS:
            objects.append(
                Object(kind, box[0] / width, box[1] / height, box[2] / width, box[3] / height))
    return _photograph(rng, image), Scene(tuple(objects), background, (width, height))
