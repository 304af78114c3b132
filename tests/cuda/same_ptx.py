#!/usr/bin/env python3
"""dsvl2: the CUDA stand-in: is the PTX for one architecture that for another one?
SPDX-License-Identifier: LGPL-2.1-or-later

usage: same_ptx.py FILE… FILE…     TAP on stdout; first all of one architecture, then in the same order all of the other

What is the same but for .target need run for one of them only.
"""
import os
import re
import sys


def instructions(path):
    with open(path, encoding='utf-8') as f:
        return re.sub(r'^\.target .*$', '.target', f.read(), count=1, flags=re.MULTILINE)


def main():
    files = sys.argv[1:]
    pairs = list(zip(files[:len(files) // 2], files[len(files) // 2:]))
    failed = len(files) % 2 or not pairs
    for n, (one, other) in enumerate(pairs, 1):
        texts = instructions(one), instructions(other)
        same = texts[0] == texts[1] and '.entry' in texts[0]
        failed = failed or not same
        print(f'{"ok" if same else "not ok"} {n} - {os.path.basename(one)} and {os.path.basename(other)}: {texts[0].count(".entry")} kernels')
    print(f'1..{len(pairs)}')
    return failed


sys.exit(main())
