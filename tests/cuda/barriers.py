#!/usr/bin/env python3
"""dsvl2: without any one of its barriers, a kernel of kernels/cuda is caught by the stand-in
SPDX-License-Identifier: LGPL-2.1-or-later

usage: barriers.py RUN CHECK_KERNELS FOLDER SOURCE=OP[,OP]…     TAP on stdout; FOLDER has the kernels' PTX, SOURCE.ptx
(and SOURCE.ARCH.ptx, of no concern here); an OP may have options of check_kernels behind it

Each __syncthreads and __syncwarp of each kernel, as the PTX's line numbers tell them, is taken away in turn
(STANDIN_DROP_BARRIER); then the ops of the sources that have it run until the stand-in stops one with a fault.
"""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'translate'))
from ptx_parser import Instruction, parse  # noqa: E402

FAULT = 98
BARRIER = re.compile(r'(bar|barrier)\.(cta\.)?(sync|red)\b|bar\.warp')


def barriers(path):
    """-> [(file, line)] of all kernels"""
    with open(path, encoding='utf-8') as f:
        return sorted({item.location for kernel in parse(f.read()).kernels for item in kernel.body
                       if isinstance(item, Instruction) and BARRIER.match(item.opcode)})


def fault(run, check_kernels, ops, barrier):
    """What the stand-in says as it stops one of the ops; None if all of them run through."""
    environment = dict(os.environ, STANDIN_DROP_BARRIER='%s:%d' % barrier)
    for op in ops:
        r = subprocess.run([run, check_kernels, '--backend', 'cuda', '--op', *op.split()], env=environment, text=True, check=False,
                           stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=900)
        at = re.search(r'stand-in: ([^\n]*)\n  at .*, kernel \w+,', r.stderr)
        if r.returncode == FAULT and at:
            return f'{op}: {at[1]}'
    return None


def main():
    run, check_kernels, folder, *sources = sys.argv[1:]
    ops = {source: listed.split(',') for source, listed in (argument.split('=') for argument in sources)}
    failed, where = 0, {}   # barrier: the sources that it is in, more than one where a header has it
    for source in ops:
        for barrier in barriers(os.path.join(folder, source + '.ptx')):
            where.setdefault(barrier, []).append(source)
    for n, (barrier, users) in enumerate(sorted(where.items()), 1):
        caught = None
        for source in users:
            caught = caught or fault(run, check_kernels, ops[source], barrier)
        failed += not caught
        print(f'{"ok" if caught else "not ok"} {n} - without {barrier[0]}:{barrier[1]} ({", ".join(users)}): '
              f'{caught or "nobody notices: it is needless, or no case needs it"}', flush=True)
    there = [f[:-4] for f in os.listdir(folder) if f.count('.') == 1 and f.endswith('.ptx')]
    unknown = sorted(source for source in there if source not in [*ops, 'bugs', 'example'])
    print(f'{"not ok" if unknown else "ok"} {len(where) + 1} - every source with kernels has its ops {" ".join(unknown)}')
    print(f'1..{len(where) + 1}')
    return failed > 0 or not where or bool(unknown)


sys.exit(main())
