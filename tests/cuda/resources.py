#!/usr/bin/env python3
# dsvl2: what each CUDA kernel takes: registers, shared memory, local memory, occupancy
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# usage: tests/cuda/resources.py MODULE            prints docs/cuda-resources.md for a module with all architectures
#        tests/cuda/resources.py MODULE TABLE      compares that file with the module's architectures; exit status 1 if it is
#                                                  out of date, 77 if it is of another nvcc
#
# Exit status 1 also if a kernel keeps anything in local memory, 77 without cuobjdump.
import re
import sys

import machine_code

WARP, REGISTERS, REGISTER_UNIT = 32, 65536, 256
# A multiprocessor's threads, blocks, shared bytes (CUDA C++ Programming Guide, "Compute Capabilities")
LIMITS = {'75': (1024, 16, 64 << 10), '80': (2048, 32, 164 << 10), '86': (1536, 16, 100 << 10), '89': (1536, 24, 100 << 10),
          '90': (2048, 32, 228 << 10), '100': (2048, 32, 228 << 10), '120': (1536, 24, 100 << 10)}

HEADING = """# The CUDA kernels' resources

Written by `tests/cuda/resources.py build/kernels/cuda/dsvl2-cuda.so > docs/cuda-resources.md` from a build for every
architecture, with nvcc {version}: registers of a thread, and occupancy, the part of a multiprocessor's warps that
fit. It is that of blocks as large as `__launch_bounds__` says, without dynamic shared memory. No kernel keeps anything in
local memory, which also means that none spills.
"""


def nvcc_version(folder, module):
    """That of the nvcc that made a module."""
    return next((m[1] for _, _, line in machine_code.dump(folder, '-elf', module)
                 if (m := re.search(r'Tool Version: .*\bV([\d.]+)', line))), 'unknown')


def occupancy(arch, threads, registers, shared):
    """Percent of the warps of a multiprocessor."""
    most_threads, most_blocks, shared_there = LIMITS[arch]
    warps = -(-threads // WARP)
    of_warp = -(-registers * WARP // REGISTER_UNIT) * REGISTER_UNIT
    of_block = shared + (machine_code.SYSTEM_SHARED if arch != '75' else 0)
    blocks = min(most_blocks, most_threads // threads, REGISTERS // of_warp // warps, shared_there // max(1, of_block))
    return 100 * blocks * warps * WARP // most_threads


def rows(kernels, archs):
    """The table's lines, a list of cells each: the kernel, threads, shared bytes, and a cell for each architecture."""
    yield ['kernel', 'threads', 'static shared bytes', *(f'sm_{arch}' for arch in archs)]
    yield ['---'] * (3 + len(archs))
    for source, kernel in dict.fromkeys((s, k) for s, k, _ in sorted(kernels)):
        of_arch = {arch: kernels[source, kernel, arch] for arch in archs if (source, kernel, arch) in kernels}
        threads = max(t for t, _, _, _ in of_arch.values())
        shared = '/'.join(str(n) for n in sorted({s for _, _, s, _ in of_arch.values()}))
        cells = [f'{of_arch[arch][1]}, {occupancy(arch, threads, *of_arch[arch][1:3])} %' if arch in of_arch else '–'
                 for arch in archs]
        yield [f'{source}: {kernel}', str(threads), shared, *cells]


def read_table(path):
    """-> (version of nvcc, [cells] of each line of the table)"""
    with open(path, encoding='utf-8') as f:
        text = f.read()
    version = re.search(r'with nvcc ([\d.]+):', text)
    return version and version[1], [[cell.strip() for cell in line.strip('|').split('|')]
                                    for line in text.splitlines() if line.startswith('|')]


def differences(table, now):
    """Yields the lines in which a table differs from the module, in the columns that both have."""
    columns = [i for i, name in enumerate(table[0]) if name in now[0]] if table else []
    then = [[line[i] for i in columns] for line in table]
    if not then or then[0] != now[0]:
        yield 'the table lacks an architecture of the module'
        return
    yield from ('- ' + ' | '.join(line) for line in then if line not in now)
    yield from ('+ ' + ' | '.join(line) for line in now if line not in then)


def main():
    module, table = sys.argv[1], sys.argv[2:]
    folder = machine_code.disassembler_or_skip()
    kernels = machine_code.resources(folder, module)
    archs = [arch for arch in LIMITS if any(a == arch for _, _, a in kernels)]
    local = [f'{s}: {k}, sm_{a}: {n} bytes of local memory' for (s, k, a), (_, _, _, n) in kernels.items() if n > 0]
    unbound = [f'{s}: {k}: no __launch_bounds__' for (s, k, a), (threads, *_) in kernels.items() if threads == 0]
    if local or unbound or not kernels:
        print('\n'.join(local + unbound) or 'the module has no kernel', file=sys.stderr)
        return 1
    version = nvcc_version(folder, module)
    if not table:
        print(HEADING.format(version=version))
        print('\n'.join(f'| {" | ".join(row)} |' for row in rows(kernels, archs)))
        return 0
    then, lines = read_table(table[0])
    if then != version:
        print(f'skipped: {table[0]} is of nvcc {then}, the module of {version}; no kernel has local memory')
        return machine_code.SKIPPED
    wrong = list(differences(lines, list(rows(kernels, archs))))
    print('\n'.join(wrong) or f'{table[0]} is that of {len(kernels)} kernels for {", ".join("sm_" + a for a in archs)}')
    if wrong:
        print(f'out of date: {table[0]}. Its first lines say how it is made')
    return bool(wrong)


sys.exit(main())
