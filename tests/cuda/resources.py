#!/usr/bin/env python3
# dsvl2: what ptxas gives each CUDA kernel: registers, shared memory, spills
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# usage: tests/cuda/resources.py [ARCH…]     default: 75 80 86 89 90 100 120
#
# Prints a Markdown table; exit status 1 if a kernel spills or keeps anything in local memory.
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
NVCC = shutil.which('nvcc') or '/usr/local/cuda/bin/nvcc'


def compile_verbosely(source, arch):
    """What ptxas says about the kernels of a file."""
    with tempfile.NamedTemporaryFile(suffix='.cubin') as out:
        return subprocess.run(
            [NVCC, '-std=c++17', '-O3', f'-arch=sm_{arch}', '-cubin', '-Xptxas', '-v', '-I', ROOT, source,
             '-o', out.name], check=True, text=True, stderr=subprocess.PIPE).stderr


def demangle(name):
    """The kernel's name with its template arguments, without its parameters."""
    text = subprocess.run(['c++filt', name], check=True, text=True, stdout=subprocess.PIPE).stdout.strip()
    return re.sub(r'\(.*$', '', re.sub(r'\(int\)', '', text)).removeprefix('void ')


def kernels(log):
    """Yields name, bytes of stack, spill stores, spill loads, registers, static shared memory."""
    name = frame = None
    for line in log.splitlines():
        if m := re.search(r"Compiling entry function '(\w+)'", line):
            name = m[1]
        elif m := re.search(r'(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads', line):
            frame = [int(x) for x in m.groups()]
        elif m := re.search(r'Used (\d+) registers', line):
            shared = re.search(r'(\d+) bytes smem', line)
            yield name, *frame, int(m[1]), int(shared[1]) if shared else 0


def main():
    archs = sys.argv[1:] or ['75', '80', '86', '89', '90', '100', '120']
    bad = n = 0
    print('| kernel | arch | registers | static shared bytes | stack | spill stores | spill loads |')
    print('|---|---|---|---|---|---|---|')
    for source in sorted((ROOT / 'kernels' / 'cuda').glob('*.cu')):
        for arch in archs:
            for name, stack, stores, loads, registers, shared in kernels(compile_verbosely(source, arch)):
                n += 1
                bad += stack + stores + loads > 0
                print(f'| {source.stem}: {demangle(name)} | sm_{arch} | {registers} | {shared} | {stack} |'
                      f' {stores} | {loads} |', flush=True)
    print(f'\n{n} kernels, {bad} with local memory')
    return bad > 0 or n == 0


sys.exit(main())
