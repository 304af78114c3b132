"""Sprites: emoji cut out to their opaque pixels, vehicles in further colours.

SPDX-License-Identifier: LGPL-2.1-or-later

Two families of artists drew them: NOTO's are what is trained on; EMOJIONE's only measure how far that goes.
"""
import functools
import os

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from . import kinds

FONT = '/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf'
FONT_SIZE = 109    # the only size that its bitmaps have
OPAQUE = 24        # alpha above this belongs to the object
PICTURES = '/usr/share/rubygems-integration/all/gems/gemojione-3.3.0/assets/png'    # Debian's ruby-gemojione
NOTO, EMOJIONE = 'noto', 'emojione'


def opaque_box(sprite):
    """Bounding box of what can be seen of an RGBA image: (x0, y0, x1, y1), or None where nothing can."""
    return sprite.getchannel('A').point(lambda a: 255 if a > OPAQUE else 0).getbbox()


def _has(emoji, family):
    return family == NOTO or os.path.exists(_picture(emoji))


def _picture(emoji):
    """EmojiOne's file of an emoji; it has not all of them."""
    return os.path.join(PICTURES, '-'.join(f'{ord(c):04X}' for c in emoji) + '.png')


@functools.cache
def render(emoji, family=NOTO):
    """One emoji as an RGBA image without margins."""
    if family == EMOJIONE:
        sprite = Image.open(_picture(emoji)).convert('RGBA')
        return sprite.crop(opaque_box(sprite))
    canvas = Image.new('RGBA', (160, 150), (0, 0, 0, 0))
    font = ImageFont.truetype(FONT, FONT_SIZE)
    ImageDraw.Draw(canvas).text((10, 8), emoji, font=font, embedded_color=True)
    return canvas.crop(opaque_box(canvas))


@functools.cache
def repaint(emoji, hue, family=NOTO):
    """The emoji with its saturated parts in another hue (degrees)."""
    pixels = np.asarray(render(emoji, family)).copy()
    hsv = np.asarray(Image.fromarray(pixels[..., :3]).convert('HSV')).copy()
    hsv[..., 0] = np.where(hsv[..., 1] > 90, int(hue / 360 * 255), hsv[..., 0])
    pixels[..., :3] = np.asarray(Image.fromarray(hsv, 'HSV').convert('RGB'))
    return Image.fromarray(pixels, 'RGBA')


@functools.cache
def of_kind(kind, family=NOTO):
    """All sprites of a kind (an index of KINDS, or DISTRACTOR)."""
    every = kinds.DISTRACTOR_EMOJI if kind == kinds.DISTRACTOR else kinds.KINDS[kind].emoji
    drawn = [emoji for emoji in every if _has(emoji, family)]
    plain = [render(emoji, family) for emoji in drawn]
    if kind not in kinds.REPAINTED:
        return plain
    return plain + [repaint(emoji, hue, family) for emoji in drawn for hue in kinds.HUES]


def resized(sprite, width, height):
    return sprite.resize((width, height), Image.BILINEAR, reducing_gap=2.0)


def mirrored(sprite):
    return sprite.transpose(Image.FLIP_LEFT_RIGHT)
