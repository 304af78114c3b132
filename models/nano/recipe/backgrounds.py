"""Painted backgrounds: streets by day and night, meadows, beaches, plain colours.

SPDX-License-Identifier: LGPL-2.1-or-later
"""
import numpy as np
from PIL import Image, ImageDraw, ImageFilter

STREET, MEADOW, BEACH, NIGHT, PLAIN = range(5)
NAMES = ('A street', 'A meadow', 'A beach', 'A street at night', 'A plain background')
FREQUENCY = (.4, .2, .1, .12, .18)

# Darkest and lightest colour of the ground.
GROUND = {
    STREET: ((80, 80, 80), (150, 150, 155)),
    MEADOW: ((60, 120, 30), (140, 200, 80)),
    BEACH: ((200, 170, 110), (245, 225, 170)),
    NIGHT: ((20, 22, 28), (60, 62, 75)),
}


def _colour(rng, low, high):
    return rng.uniform(low, high).astype(np.float32)


def _clouds(rng, height, width, base, octaves=3):
    """Smooth noise [height, width] in 0 .. 1: random grids of growing fineness, blended."""
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        n = base * 2 ** octave
        grid = Image.fromarray(rng.random((n, n * 2), dtype=np.float32) * 255)
        total += np.asarray(grid.resize((width, height), Image.BICUBIC)) / 255 * .5 ** octave
    return total / sum(.5 ** octave for octave in range(octaves))


def _plain(rng, width, height, y, texture):
    """A gradient from top to bottom or from left to right."""
    a = _colour(rng, np.full(3, 30.), np.full(3, 245.))
    b = _colour(rng, np.full(3, 30.), np.full(3, 245.))
    x = np.linspace(0, 1, width, dtype=np.float32)[None, :, None]
    paint = a + (b - a) * (y if rng.random() < .5 else x)
    return np.broadcast_to(paint, (height, width, 3)) + texture * rng.uniform(0, 60)


def _landscape(rng, kind, width, height, y, texture, horizon):
    """Sky above the horizon, ground below it, perhaps the sea between them."""
    top = _colour(rng, [90, 150, 200], [170, 210, 255])
    low = _colour(rng, [170, 200, 220], [255, 240, 255])
    if kind == NIGHT:
        top = _colour(rng, [5, 5, 20], [30, 30, 70])
        low = _colour(rng, [20, 20, 40], [60, 60, 110])
    sky = top + (low - top) * np.clip(y / horizon, 0, 1)
    sky = np.broadcast_to(sky, (height, width, 3)) + texture * rng.uniform(0, 50)
    ground = _colour(rng, *GROUND[kind]) * (1.15 - .3 * y) + texture * rng.uniform(20, 70)
    paint = np.where(y > horizon, ground, sky)
    if kind == BEACH and rng.random() < .7:
        sea = _colour(rng, [30, 110, 160], [90, 190, 220]) + texture * 60
        paint = np.where((y > horizon) & (y < horizon + .15), sea, paint)
    return paint


def _skyline(rng, draw, kind, width, horizon):
    x = 0
    while x < width:
        w, h = int(rng.integers(12, 50)), int(rng.integers(6, max(8, horizon - 5)))
        shade = rng.uniform(90, 200, 3) if kind == STREET else rng.uniform(10, 60, 3)
        draw.rectangle([x, horizon - h, x + w, horizon], fill=tuple(int(v) for v in shade))
        for _ in range(int(rng.integers(0, 5))):
            wx, wy = x + int(rng.integers(1, w)), horizon - int(rng.integers(1, h + 1))
            glass = (230, 220, 120) if kind == NIGHT else (60, 70, 90)
            draw.rectangle([wx, wy, wx + 3, wy + 4], fill=glass)
        x += w + int(rng.integers(0, 20))


def _road_markings(rng, draw, width, height, horizon):
    for _ in range(int(rng.integers(0, 3))):
        y, thick = int(rng.uniform(horizon, height)), int(rng.integers(1, 5))
        step = int(rng.integers(16, 50))
        for x in range(int(rng.integers(-20, 0)), width, step):
            draw.rectangle([x, y, x + step // 2, y + thick], fill=(235, 235, 225))


def _tufts(rng, image, draw, width, height, horizon):
    """Blotches on the ground in about its own colour."""
    for _ in range(int(rng.integers(0, 12))):
        x, y = rng.uniform(0, width), rng.uniform(horizon, height)
        r = rng.uniform(2, 14)
        shade = np.asarray(image)[min(height - 1, int(y)), min(width - 1, int(x))]
        shade = tuple(int(min(255, v)) for v in shade * rng.uniform(.7, 1.2))
        draw.ellipse([x - r, y - r / 2, x + r, y + r / 2], fill=shade)


def paint(rng, width, height, kind=None, horizon=None):
    """A background, and its kind. Kind and horizon (part of the height) are drawn where not given."""
    drawn = int(rng.choice(len(NAMES), p=FREQUENCY))
    kind = drawn if kind is None else kind
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    texture = _clouds(rng, height, width, base=int(rng.integers(3, 8)))[..., None] - .5
    drawn = rng.uniform(.25, .6)
    horizon = drawn if horizon is None else horizon
    if kind == PLAIN:
        pixels = _plain(rng, width, height, y, texture)
    else:
        pixels = _landscape(rng, kind, width, height, y, texture, horizon)
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    line = int(horizon * height)
    if kind in (STREET, NIGHT):
        if rng.random() < .6:
            _skyline(rng, draw, kind, width, line)
        _road_markings(rng, draw, width, height, line)
    else:
        _tufts(rng, image, draw, width, height, line)
    if rng.random() < .25:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(.5, 2)))
    return image, kind
