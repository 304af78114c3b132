#!/usr/bin/env python3
"""dsvl2: the CUDA stand-in: is the PTX for one architecture that for another one?
SPDX-License-Identifier: LGPL-2.1-or-later

usage: same_ptx.py FILE OTHER [FILE OTHER]…     TAP on stdout

Kernels whose PTX is the same but for .target need run for one of the two alone.
"""
import os
import re
import sys


def instructions(path):
    with open(path, encoding='utf-8') as f:
        return re.sub(r'^\.target .*$', '.target', f.read(), count=1, flags=re.MULTILINE)


def main():
    pairs = list(zip(sys.argv[1::2], sys.argv[2::2]))
    failed = not pairs or len(sys.argv) % 2 == 0
    for n, pair in enumerate(pairs, 1):
        one, other = map(instructions, pair)
        same = one == other and '.entry' in one
        failed = failed or not same
        print(f'{"ok" if same else "not ok"} {n} - {" and ".join(map(os.path.basename, pair))}: {one.count(".entry")} kernels')
    print(f'1..{len(pairs)}')
    return failed


sys.exit(main())
