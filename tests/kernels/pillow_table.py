#!/usr/bin/env python3
# dsvl2: prints check_frames_pillow.h, what Pillow makes of some pictures (pip install "pillow<12" numpy)
# SPDX-License-Identifier: LGPL-2.1-or-later
#
#   python3 tests/kernels/pillow_table.py > tests/kernels/check_frames_pillow.h
#
# Nothing of the build or the tests runs it: the table is in the repository. Pillow 12.3 and 13 filter some pictures
# in height first, which changes a last bit here and there; the models' own code was written against older ones.
import numpy as np
import PIL
from PIL import Image, ImageOps

GREY = (127, 127, 127)
CASES = [  # width, height, tiles across, tiles down, tile's side
    (1, 1, 1, 1, 7), (1, 1, 1, 1, 1), (2, 1, 1, 1, 5), (1, 9, 1, 1, 9), (1, 9, 1, 1, 31), (13, 1, 2, 1, 6),
    (3, 3, 1, 1, 3), (17, 17, 1, 1, 16), (16, 16, 1, 1, 17), (37, 23, 2, 1, 14), (37, 23, 1, 3, 14),
    (23, 37, 2, 2, 31), (64, 48, 1, 1, 64), (48, 64, 3, 1, 64), (100, 75, 1, 1, 33), (101, 211, 2, 2, 40),
    (640, 3, 1, 1, 320), (3, 640, 1, 1, 320), (319, 241, 2, 1, 97), (400, 300, 1, 1, 28), (255, 257, 1, 1, 7),
    (1000, 20, 1, 1, 48), (20, 1000, 1, 1, 48), (1280, 720, 1, 1, 28), (500, 500, 1, 1, 1),
]
KINDS = ["noise", "black and white", "slopes"]


def picture(width, height, kind):
    """The same bytes as picture () in check_frames.c."""
    n = width * height * 3
    if kind == 2:
        y, x, c = np.indices((height, width, 3))
        return ((x * (c + 1) + y * 3) & 255).astype(np.uint8)
    state, values = 1, np.empty(n, np.uint8)
    for i in range(n):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        values[i] = state >> 24
    if kind == 1:
        values = np.where(values < 128, 0, 255).astype(np.uint8)
    return values.reshape(height, width, 3)


def checksum(data):
    """FNV-1a."""
    h = 2166136261
    for b in data:
        h = ((h ^ b) * 16777619) & 0xFFFFFFFF
    return h


def main():
    print(f"/* dsvl2: what Pillow {PIL.__version__} makes of some pictures; printed by pillow_table.py")
    print(" * SPDX-License-Identifier: LGPL-2.1-or-later */")
    print("static const PillowCase pillow_cases[] = {")
    print("  /* width, height, kind; canvas: across, down, S, left, top, inner width, height; checksum */")
    print("  /* clang-format off */")
    for n, (width, height, across, down, side) in enumerate(CASES):
        for kind in range(3) if n % 4 == 0 else [n % 3]:
            image = Image.fromarray(picture(width, height, kind))
            canvas = (across * side, down * side)
            try:
                inner = ImageOps.contain(image, canvas, Image.BICUBIC)
            except ValueError:  # a side of zero: the engine keeps it at one
                continue
            padded = ImageOps.pad(image, canvas, Image.BICUBIC, color=GREY)
            left = round((canvas[0] - inner.width) * 0.5)
            top = round((canvas[1] - inner.height) * 0.5)
            tiles = np.array(padded).reshape(down, side, across, side, 3).transpose(0, 2, 4, 1, 3)
            print(f"  {{ {width}, {height}, {kind}, {{ {across}, {down}, {side}, {left}, {top}, {inner.width}, "
                  f"{inner.height} }}, 0x{checksum(tiles.tobytes()):08x} }},")
    print("  /* clang-format on */")
    print("};")


if __name__ == "__main__":
    main()
