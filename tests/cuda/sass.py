#!/usr/bin/env python3
"""dsvl2: the machine code of each kernel has the instructions that make it fast, and none that reach local memory
SPDX-License-Identifier: LGPL-2.1-or-later

usage: sass.py MODULE     TAP on stdout; MODULE is dsvl2-cuda.so or an object of nvcc's. Exit status 77 without cuobjdump
"""
import fnmatch
import re
import sys

import machine_code

# What a kernel may claim: the instruction, and the first architecture that has it.
WIDE = ('reads 16 bytes at a time', r'(LDG|LDGSTS)\.E\.(\w+\.)*128(\.\w+)*', 75)
ASYNC = ('copies 16 bytes at a time past the registers', r'LDGSTS\.E\.(\w+\.)*128(\.\w+)*', 80)
MATRIX = ('multiplies bf16 on the tensor cores', r'HMMA\.16816\.F32\.BF16', 80)
LOCAL = r'(LDL|STL)\b'

# (source, kernel): what it claims; the first line that fits counts. Where nothing is claimed, neighbouring lanes read
# neighbours of four bytes or fewer: a warp still asks for whole lines, with more instructions.
CLAIMS = [
    ('attention', 'attend_block<*>', [WIDE, ASYNC]),
    ('attention', 'join_splits<*>', [WIDE]),
    ('attention', 'kv_write_row', []),
    ('attention_any', 'attend_row', []),            # for widths and addresses that 16 bytes do not fit
    ('experts', '*', [WIDE]),
    ('experts_mma', 'add_pairs', []),
    ('experts_mma', 'sort_pairs', []),
    ('experts_mma', '*<2, *, false>', [MATRIX]),             # bf16 at any address
    ('experts_mma', '*<*>', [MATRIX, WIDE]),
    ('experts_q', '*', [WIDE]),
    ('frames', '*', []),                            # samples of a byte, from rows at any address
    ('linear', 'multiply_rows<*>', [WIDE]),
    ('linear_mma', 'multiply_few<*, true>', [MATRIX, WIDE]),
    ('linear_mma', 'multiply_few<*, false>', [MATRIX]),
    ('linear_mma', 'multiply_many<*>', [MATRIX, ASYNC]),
    ('linear_mma', 'round_rows<true>', [WIDE]),
    ('linear_mma', 'round_rows<false>', []),
    ('linear_q', '*', [WIDE]),
    ('linear_q_mma', 'multiply_few<*>', [MATRIX, WIDE]),
    ('linear_q_mma', 'multiply_many<*>', [MATRIX, ASYNC]),
    ('linear_q_mma', 'round_rows<*, true>', [WIDE]),
    ('linear_q_mma', 'round_rows<*, false>', []),
    ('logits', 'argmax_row', []),
    ('norm', '*', []),
    ('patches', '*', []),
    ('rope', 'rope_head', []),
    ('rounding', '*', [WIDE]),
    ('routing', 'route_row', []),
    ('rows', '*', []),
]


def claims_of(source, kernel):
    """None if nobody says."""
    return next((claims for s, k, claims in CLAIMS if s == source and fnmatch.fnmatch(kernel, k)), None)


def claims_there(source, kernel, arch):
    """Those that count on an architecture: a kernel for the tensor cores runs on none without them."""
    claims = claims_of(source, kernel) or []
    return [] if MATRIX in claims and int(arch) < MATRIX[2] else [c for c in claims if int(arch) >= c[2]]


def faults(source, kernel, arch, code):
    """Yields what is wrong with a kernel."""
    if claims_of(source, kernel) is None:
        yield 'it has no line in CLAIMS of tests/cuda/sass.py'
    for text, pattern, _ in claims_there(source, kernel, arch):
        if not any(re.fullmatch(pattern, mnemonic) for mnemonic in code):
            yield f'it does not do what it claims: {text}'
    local = sum(re.match(LOCAL, mnemonic) is not None for mnemonic in code)
    if local:
        yield f'{local} instructions reach local memory'
    if not code:
        yield 'it has no instruction'


def main():
    kernels = machine_code.instructions(machine_code.disassembler_or_skip(), sys.argv[1])
    failed = 0
    for n, ((source, kernel, arch), code) in enumerate(kernels.items(), 1):
        wrong = list(faults(source, kernel, arch, code))
        failed += bool(wrong)
        kept = [text for text, _, _ in claims_there(source, kernel, arch)]
        print(f'{"not ok" if wrong else "ok"} {n} - {source}: {kernel}, sm_{arch}: {"; ".join(wrong or kept) or "claims nothing"}')
    print(f'1..{len(kernels)}')
    return failed > 0 or not kernels


if __name__ == '__main__':
    sys.exit(main())
