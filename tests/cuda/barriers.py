#!/usr/bin/env python3
"""dsvl2: without any one of its barriers, a kernel of kernels/cuda is caught by the stand-in
SPDX-License-Identifier: LGPL-2.1-or-later

usage: barriers.py RUN CHECK_KERNELS FOLDER [SOURCE…]     TAP on stdout; FOLDER has the kernels' PTX, SOURCE.ptx
(and SOURCE.ARCH.ptx, of no concern here)

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

# The ops whose kernels a source has, the quickest first.
OPS = {
    'attention': ['attend', 'attend_tiles', 'kv_write'],
    'attention_any': ['attend_tiles', 'attend'],
    'experts': ['moe_experts'],
    'experts_mma': ['moe_experts --bf16'],
    'experts_q': ['experts_quantised'],
    'frames': ['frame_tiles'],
    'linear': ['linear_heads', 'linear'],
    'linear_mma': ['linear_heads --bf16', 'linear --bf16'],
    'linear_q': ['linear_quantised'],
    'linear_q_mma': ['linear_quantised --bf16'],
    'logits': ['argmax'],
    'norm': ['rms_norm', 'layer_norm'],
    'patches': ['patchify', 'unfold'],
    'rope': ['rope'],
    'rounding': ['attend_tiles --bf16 --attention cudnn'],
    'routing': ['moe_route'],
    'rows': ['gather_rows', 'add_rows', 'silu_mul'],
}


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
    run, check_kernels, folder, *chosen = sys.argv[1:]
    failed, where = 0, {}   # barrier: the sources that it is in, more than one where a header has it
    for source in chosen or OPS:
        for barrier in barriers(os.path.join(folder, source + '.ptx')):
            where.setdefault(barrier, []).append(source)
    for n, (barrier, users) in enumerate(sorted(where.items()), 1):
        caught = None
        for source in users:
            caught = caught or fault(run, check_kernels, OPS[source], barrier)
        failed += not caught
        print(f'{"ok" if caught else "not ok"} {n} - without {barrier[0]}:{barrier[1]} ({", ".join(users)}): '
              f'{caught or "nobody notices: it is needless, or no case needs it"}', flush=True)
    sources = [f[:-4] for f in os.listdir(folder) if f.count('.') == 1 and f.endswith('.ptx')]
    unknown = sorted(source for source in sources if source not in [*OPS, 'bugs', 'example'])
    print(f'{"not ok" if unknown else "ok"} {len(where) + 1} - every source with kernels is in this table {" ".join(unknown)}')
    print(f'1..{len(where) + 1}')
    return failed > 0 or not where or bool(unknown)


sys.exit(main())
