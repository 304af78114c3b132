"""dsvl2: the CUDA stand-in: PTX's number types in Python, the reference of the opcode tests
SPDX-License-Identifier: LGPL-2.1-or-later

A value is an int or a float; to_bits and of_bits convert to what a register holds. Of packed types a value
is a pair, the lower half first.
"""
import math
import struct
from fractions import Fraction

SIZES = {'pred': 1, 'u8': 1, 's8': 1, 'b8': 1, 'u16': 2, 's16': 2, 'b16': 2, 'f16': 2, 'bf16': 2, 'u32': 4, 's32': 4, 'b32': 4,
         'f32': 4, 'f16x2': 4, 'bf16x2': 4, 'u64': 8, 's64': 8, 'b64': 8, 'f64': 8}


def is_float(type):
    return type.removesuffix('x2') in ('f16', 'bf16', 'f32', 'f64')


def wrap(type, n):
    """An integer as the type holds it."""
    bits = 8 * SIZES[type]
    n &= 2 ** bits - 1
    return n - 2 ** bits if type[0] == 's' and n >> (bits - 1) else n


def limits(type):
    bits = 8 * SIZES[type]
    return (-2 ** (bits - 1), 2 ** (bits - 1) - 1) if type[0] == 's' else (0, 2 ** bits - 1)


def f32(x):
    """Rounded to float32."""
    try:
        return struct.unpack('<f', struct.pack('<f', x))[0]
    except OverflowError:
        return math.copysign(math.inf, x)


def bf16_bits(x):
    if x != x:
        return 0x7fff
    bits = struct.unpack('<I', struct.pack('<f', f32(x)))[0]
    return ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) & 0xffff


def f16_bits(x):
    if x != x:
        return 0x7fff
    try:
        return struct.unpack('<H', struct.pack('<e', x))[0]
    except OverflowError:
        return 0xfc00 if x < 0 else 0x7c00


def to_bits(type, value):
    if type.endswith('x2'):
        low, high = (to_bits(type[:-2], v) for v in value)
        return low | high << 16
    if type == 'f32':
        return struct.unpack('<I', struct.pack('<f', f32(value)))[0]
    if type == 'f64':
        return struct.unpack('<Q', struct.pack('<d', value))[0]
    if type == 'bf16':
        return bf16_bits(value)
    if type == 'f16':
        return f16_bits(value)
    return int(value) & (2 ** (8 * SIZES[type]) - 1)


def of_bits(type, bits):
    if type.endswith('x2'):
        return of_bits(type[:-2], bits & 0xffff), of_bits(type[:-2], bits >> 16 & 0xffff)
    if type == 'f32':
        return struct.unpack('<f', struct.pack('<I', bits & 0xffffffff))[0]
    if type == 'f64':
        return struct.unpack('<d', struct.pack('<Q', bits))[0]
    if type == 'bf16':
        return struct.unpack('<f', struct.pack('<I', (bits & 0xffff) << 16))[0]
    if type == 'f16':
        return struct.unpack('<e', struct.pack('<H', bits & 0xffff))[0]
    return wrap(type, bits)


def rounded(type, x):
    """A Python number as the float type holds it."""
    return of_bits(type, to_bits(type, x))


def exact_fma(a, b, c):
    """a · b + c, rounded once to a Python float."""
    if all(map(math.isfinite, (a, b, c))):
        exact = Fraction(a) * Fraction(b) + Fraction(c)
        if exact:
            return float(exact)
    return a * b + c


def ieee_divide(a, b):
    if b == 0:
        return math.nan if a == 0 or a != a else math.copysign(math.inf, a) * math.copysign(1, b)
    return a / b


# What is interesting of each type: 16 values, given to lanes in all combinations that 32 lanes have room for.
def samples(type):
    if type.endswith('x2'):
        s = samples(type[:-2])
        return list(zip(s, s[3:] + s[:3]))
    if is_float(type):
        return [0.0, -0.0, 1.0, -1.0, 0.5, 1.5, -2.75, 3.140625, 100.0, -1000.0, 2.0 ** -10, -3 * 2.0 ** -7, math.inf, -math.inf,
                math.nan, 7.0]
    if type == 'pred':
        return [0, 1] * 8
    low, high = limits(type)
    return [wrap(type, n) for n in (0, 1, 2, 3, 7, 31, 32, 100, high, high - 1, low, low + 1, -1, -7, 0x5a5a5a5a5a5a5a5a, 0x1234)]
