#!/usr/bin/env python3
# dsvl2: what ptxas gives each CUDA kernel: registers, shared memory, spills, occupancy
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# usage: tests/cuda/resources.py [ARCH…]     default: 75 80 86 89 90 100 120
#
# Prints a Markdown table; exit status 1 if a kernel spills or keeps anything in local memory. Occupancy is that of blocks
# as large as __launch_bounds__ says, without dynamic shared memory: the part of a multiprocessor's warps that fit.
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from multiprocessing.pool import ThreadPool

ROOT = pathlib.Path(__file__).resolve().parents[2]
NVCC = shutil.which('nvcc') or '/usr/local/cuda/bin/nvcc'


WARP, REGISTERS, REGISTER_UNIT = 32, 65536, 256
# A multiprocessor's threads, blocks, shared bytes (CUDA C++ Programming Guide, "Compute Capabilities")
LIMITS = {'75': (1024, 16, 64 << 10), '80': (2048, 32, 164 << 10), '86': (1536, 16, 100 << 10), '89': (1536, 24, 100 << 10),
          '90': (2048, 32, 228 << 10), '100': (2048, 32, 228 << 10), '120': (1536, 24, 100 << 10)}


def compile_verbosely(source, arch):
    """What ptxas says about the kernels of a file, {kernel: threads of __launch_bounds__}."""
    with tempfile.TemporaryDirectory() as folder:
        log = subprocess.run(
            [NVCC, '-std=c++17', '-O3', f'-arch=sm_{arch}', '-cubin', '-Xptxas', '-v', '-I', ROOT, source,
             '-keep', '-keep-dir', folder, '-o', f'{folder}/out.cubin'], check=True, text=True, stderr=subprocess.PIPE).stderr
        ptx = ''.join(p.read_text() for p in pathlib.Path(folder).glob('*.ptx'))
    return log, {name: int(n) for name, n in re.findall(r'\.entry (\w+)\([^)]*\)\s*\.maxntid (\d+)', ptx)}


def occupancy(arch, threads, registers, shared):
    """Percent of the warps of a multiprocessor."""
    most_threads, most_blocks, shared_there = LIMITS[arch]
    warps = -(-threads // WARP)
    of_warp = -(-registers * WARP // REGISTER_UNIT) * REGISTER_UNIT
    of_block = shared + (1024 if arch != '75' else 0)  # the system's own
    blocks = min(most_blocks, most_threads // threads, REGISTERS // of_warp // warps, shared_there // max(1, of_block))
    return 100 * blocks * warps * WARP // most_threads


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


HEADING = """# The CUDA kernels' resources

Written by `tests/cuda/resources.py > docs/cuda-resources.md`: what ptxas gives each kernel on each architecture. Local
memory must be 0. Occupancy is that of blocks as large as `__launch_bounds__` says, without dynamic shared memory.

| kernel | arch | threads | registers | static shared bytes | local bytes | occupancy |
|---|---|---|---|---|---|---|"""


def main():
    archs = sys.argv[1:] or list(LIMITS)
    jobs = [(source, arch) for source in sorted((ROOT / 'kernels' / 'cuda').glob('*.cu')) for arch in archs]
    bad = n = 0
    print(HEADING)
    with ThreadPool(os.cpu_count()) as pool:
        for (source, arch), (log, bounds) in zip(jobs, pool.imap(lambda job: compile_verbosely(*job), jobs)):
            for name, stack, stores, loads, registers, shared in kernels(log):
                n += 1
                bad += stack + stores + loads > 0
                print(f'| {source.stem}: {demangle(name)} | sm_{arch} | {bounds[name]} | {registers} | {shared} | {stack + stores + loads} |'
                      f' {occupancy(arch, bounds[name], registers, shared)} % |', flush=True)
    print(f'\n{n} kernels, {bad} with local memory.')
    return bad > 0 or n == 0


sys.exit(main())
