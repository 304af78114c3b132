"""Sprites: emoji of Noto Color Emoji, cut out to their opaque pixels, vehicles in further colours.

SPDX-License-Identifier: LGPL-2.1-or-later
"""
import functools

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from . import kinds

FONT = '/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf'
FONT_SIZE = 109    # the only size that its bitmaps have
OPAQUE = 24        # alpha above this belongs to the object


def opaque_box(sprite):
    """Bounding box of what can be seen of an RGBA image: (x0, y0, x1, y1), or None where nothing can."""
    return sprite.getchannel('A').point(lambda a: 255 if a > OPAQUE else 0).getbbox()


@functools.cache
def render(emoji):
    """One emoji as an RGBA image without margins."""
    canvas = Image.new('RGBA', (160, 150), (0, 0, 0, 0))
    font = ImageFont.truetype(FONT, FONT_SIZE)
    ImageDraw.Draw(canvas).text((10, 8), emoji, font=font, embedded_color=True)
    return canvas.crop(opaque_box(canvas))


@functools.cache
def repaint(emoji, hue):
    """The emoji with its saturated parts in another hue (degrees)."""
    pixels = np.asarray(render(emoji)).copy()
    hsv = np.asarray(Image.fromarray(pixels[..., :3]).convert('HSV')).copy()
    hsv[..., 0] = np.where(hsv[..., 1] > 90, int(hue / 360 * 255), hsv[..., 0])
    pixels[..., :3] = np.asarray(Image.fromarray(hsv, 'HSV').convert('RGB'))
    return Image.fromarray(pixels, 'RGBA')


@functools.cache
def of_kind(kind):
    """All sprites of a kind (an index of KINDS, or DISTRACTOR)."""
    if kind == kinds.DISTRACTOR:
        return [render(emoji) for emoji in kinds.DISTRACTOR_EMOJI]
    plain = [render(emoji) for emoji in kinds.KINDS[kind].emoji]
    if kind not in kinds.REPAINTED:
        return plain
    return plain + [repaint(emoji, hue) for emoji in kinds.KINDS[kind].emoji for hue in kinds.HUES]


def resized(sprite, width, height):
    return sprite.resize((width, height), Image.BILINEAR, reducing_gap=2.0)


def mirrored(sprite):
    return sprite.transpose(Image.FLIP_LEFT_RIGHT)
