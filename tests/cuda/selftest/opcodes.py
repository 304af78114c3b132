#!/usr/bin/env python3
"""dsvl2: the CUDA stand-in: every PTX instruction that the translator knows against Python
SPDX-License-Identifier: LGPL-2.1-or-later

usage: opcodes.py LIBCUDART DEVICE_INCLUDE    TAP on stdout

One kernel for each case, each lane a row of inputs; translated, compiled and run as any other kernel.
"""
import ctypes
import math
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'translate'))

import lane_ops  # noqa: E402
import memory_ops  # noqa: E402
import ptx2c  # noqa: E402
import warp_ops  # noqa: E402
from numbers_of_ptx import SIZES, is_float, of_bits, samples, to_bits  # noqa: E402
from opcode_cases import CASES  # noqa: E402
from warp_cases import WARP_CASES  # noqa: E402

LANES, SLOT, RESULTS = 32, 8, 4


def register_type(type):
    return 'pred' if type == 'pred' else f'b{max(16, 8 * SIZES[type])}'


def rows_of(case):
    """32 rows of inputs."""
    if case.values:
        return [case.values[i % len(case.values)] for i in range(LANES)]
    columns = [samples(t) for t in case.inputs]
    return [tuple(c[(i * (1, 5, 3, 7)[k] + i // len(c) * (k + 1)) % len(c)] for k, c in enumerate(columns)) for i in range(LANES)]


HEADER = '.version 9.0\n.target sm_90\n.address_size 64\n.extern .shared .align 16 .b8 dynamic[];\n'


def begin(name):
    return (f'.visible .entry {name}(.param .u64 {name}_in, .param .u64 {name}_out)\n{{\n.reg .b64 %in, %out, %at; .reg .b32 %lane; '
            f'.reg .b32 %x;\n mov.u32 %lane, %laneid; ld.param.u64 %in, [{name}_in]; ld.param.u64 %out, [{name}_out];\n'
            f'mad.wide.u32 %in, %lane, {SLOT}, %in; mad.wide.u32 %out, %lane, {SLOT}, %out;\n')


def kernel(name, case):
    body = begin(name) + f'.reg .{register_type(case.output)} %o;\n'
    for i, type in enumerate(case.inputs):
        at = f'[%in + {i * LANES * SLOT}]'
        body += f'.reg .{register_type(type)} %i{i};\n'
        if type == 'pred':
            body += f'ld.global.u32 %x, {at}; setp.ne.u32 %i{i}, %x, 0;\n'
        else:
            body += f'ld.global.{register_type(type)} %i{i}, {at};\n'
    operands = case.operands or ', '.join(['%o'] + [f'%i{i}' for i in range(len(case.inputs))])
    body += f'{case.opcode} {operands};\n'
    if case.output == 'pred':
        body += 'selp.u32 %x, 1, 0, %o; st.global.u32 [%out], %x;\n'
    else:
        body += f'st.global.{register_type(case.output)} [%out], %o;\n'
    return body + 'ret;\n}\n'


class Device:
    """The emulated runtime, called from Python."""

    def __init__(self, libcudart, library):
        os.environ['STANDIN_KERNELS'] = library
        self.cuda = ctypes.CDLL(libcudart)
        self.data, self.out = ctypes.c_void_p(), ctypes.c_void_p()

    def run(self, name, words):
        """words: inputs as 64-bit integers, 32 for each operand -> RESULTS × 32 of them."""
        host = (ctypes.c_uint64 * max(len(words), 1))(*words)
        result = (ctypes.c_uint64 * (LANES * RESULTS))()
        c, d, o = self.cuda, self.data, self.out
        self.check(c.cudaMalloc(ctypes.byref(d), ctypes.sizeof(host)))
        self.check(c.cudaMalloc(ctypes.byref(o), ctypes.sizeof(result)))
        self.check(c.cudaMemcpy(d, host, ctypes.c_size_t(ctypes.sizeof(host)), 1))
        self.check(c.cudaMemset(o, 0, ctypes.c_size_t(ctypes.sizeof(result))))
        arguments = (ctypes.c_void_p * 2)(ctypes.addressof(d), ctypes.addressof(o))
        self.check(c.standin_test_launch(name.encode(), LANES, 1024, arguments))
        self.check(c.cudaMemcpy(result, o, ctypes.c_size_t(ctypes.sizeof(result)), 2))
        self.check(c.cudaFree(d))
        self.check(c.cudaFree(o))
        return list(result)

    @staticmethod
    def check(error):
        if error:
            raise RuntimeError(f'CUDA error {error}')


def agrees(type, got, expected, tolerance):
    if isinstance(got, tuple):
        return all(agrees(type[:-2], g, e, tolerance) for g, e in zip(got, expected))
    if not is_float(type):
        return got == expected
    if expected != expected or got != got:
        return expected != expected and got != got
    if got == expected:
        return got != 0 or tolerance > 0 or True
    return math.isfinite(expected) and abs(got - expected) <= tolerance * max(abs(expected), 1e-3)


def check_case(device, name, case):
    """A sentence about the first lane that is wrong, or None."""
    rows = rows_of(case)
    words = [to_bits(t, rows[l][i]) for i, t in enumerate(case.inputs) for l in range(LANES)]
    result = device.run(name, words)
    for lane, row in enumerate(rows):
        given = [of_bits(t, to_bits(t, v)) for t, v in zip(case.inputs, row)]
        expected = case.reference(*given)
        got = of_bits(case.output, result[lane] & (2 ** (8 * SIZES[case.output]) - 1))
        if not agrees(case.output, got, expected, case.tolerance):
            return f'of {given}: {got}, expected {expected}'
    return None


def check_warp_case(device, name, case):
    words = [case.inputs(i, l) & (2 ** 64 - 1) for i in range(case.n_inputs) for l in range(LANES)]
    result = device.run(name, words)
    for i in range(case.n_results):
        for lane in range(LANES):
            expected, got = case.expected(i, lane) & 0xffffffff, result[i * LANES + lane] & 0xffffffff
            if got != expected:
                return f'result {i} of lane {lane}: {got:#x}, expected {expected:#x}'
    return None


def uncovered():
    """What the translator knows and no case runs."""
    seen = {(c.opcode.split('.')[0], c.opcode.split('.')[-1]) for c in CASES}
    words = ' '.join(c.body for c in WARP_CASES)
    out = [f'{name}.{type}' for name, rule in lane_ops.TABLE.items() for type in rule.types
           if (name, type) not in seen and (name, type) not in KNOWN_GAPS and name not in ('membar', 'fence', 'griddepcontrol', 'nanosleep', 'prefetch', 'prefetchu')]
    out += [name for name in list(warp_ops.TABLE) + sorted(memory_ops.NAMES) + sorted(memory_ops.ATOMICS) if name not in words]
    return out + [name for name in ptx2c.BRANCH - {'trap', 'exit'} if name not in words]


# Types that a rule shares with its other instructions, which this one lacks in PTX.
KNOWN_GAPS = {(name, type) for name in ('sqrt', 'rsqrt', 'rcp', 'lg2', 'sin', 'cos') for type in ('f16', 'bf16', 'f16x2', 'bf16x2')}
KNOWN_GAPS |= {(name, 'f64') for name in ('ex2', 'lg2', 'sin', 'cos', 'tanh')}


def build(directory, cases, libcudart, include):
    text = HEADER
    for i, case in enumerate(cases):
        text += kernel(f'case_{i}', case) if hasattr(case, 'opcode') else begin(f'case_{i}') + case.body.replace('$name', f'case_{i}') + '\nret;\n}\n'
    source, library = os.path.join(directory, 'cases.c'), os.path.join(directory, 'cases.so')
    with open(source, 'w', encoding='utf-8') as f:
        f.write(ptx2c.translate(text))
    subprocess.run(['gcc', '-O1', '-w', '-march=native', '-ffp-contract=off', '-fno-strict-aliasing', '-shared', '-fPIC', '-I', include, source,
                    libcudart, '-lm', '-o', library], check=True)
    return library


def main():
    libcudart, include = (os.path.abspath(p) for p in sys.argv[1:3])
    cases = CASES + WARP_CASES
    failed = 0
    with tempfile.TemporaryDirectory() as directory:
        device = Device(libcudart, build(directory, cases, libcudart, include))
        for i, case in enumerate(cases):
            wrong = (check_case if hasattr(case, 'opcode') else check_warp_case)(device, f'case_{i}', case)
            title = case.opcode if hasattr(case, 'opcode') else case.title
            failed += wrong is not None
            print(f'{"not ok" if wrong else "ok"} {i + 1} - {title}{": " + wrong if wrong else ""}')
    missing = uncovered()
    print(f'{"not ok" if missing else "ok"} {len(cases) + 1} - every instruction has a case{": not " + " ".join(missing) if missing else ""}')
    print(f'1..{len(cases) + 1}')
    sys.exit(1 if failed or missing else 0)


if __name__ == '__main__':
    main()
