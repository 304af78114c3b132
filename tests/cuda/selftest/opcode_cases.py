"""dsvl2: the CUDA stand-in: what each PTX instruction of one lane must compute
SPDX-License-Identifier: LGPL-2.1-or-later

CASES is a list of Case. Its reference is Python, written from PTX's manual, not from the translator.
"""
import math
import struct
from dataclasses import dataclass, field
from fractions import Fraction

from numbers_of_ptx import exact_fma, f32, ieee_divide, is_float, limits, rounded, wrap

CASES = []
INTEGERS = ['u16', 's16', 'u32', 's32', 'u64', 's64']
BITS = ['b16', 'b32', 'b64']
FLOATS = ['f32', 'f64']
HALVES = ['f16', 'bf16', 'f16x2', 'bf16x2']


@dataclass
class Case:
    opcode: str
    inputs: list                  # types
    output: str
    reference: object             # of as many values
    tolerance: float = 0.0        # relative; 0: equal, NaN to NaN
    operands: str = ''            # where they are not "%o, %i0, %i1 …"
    values: list = field(default_factory=list)   # rows of inputs, where samples() would not do


def case(opcode, inputs, output, reference, tolerance=0.0, operands='', values=()):
    CASES.append(Case(opcode, inputs.split(), output, reference, tolerance, operands, list(values)))


def of_floats(type, f):
    """A function of floats, its result rounded to the type; of pairs, half by half."""
    if type.endswith('x2'):
        one = of_floats(type[:-2], f)
        return lambda *v: tuple(one(*(x[i] for x in v)) for i in (0, 1))

    def g(*v):
        try:
            return rounded(type, f(*v))
        except OverflowError:
            return math.inf
    return g


def c_division(a, b):
    q = abs(a) // abs(b)
    return q if (a < 0) == (b < 0) else -q


def quotient(type):
    return lambda a, b: wrap(type, c_division(a, b) if b else -1)


def remainder(type):
    return lambda a, b: wrap(type, a - b * c_division(a, b) if b else a)


def no_nan(f):
    return lambda a, b: b if a != a else a if b != b else f(a, b)


def nan_wins(f):
    return lambda a, b: math.nan if a != a or b != b else f(a, b)


# --- arithmetic -----------------------------------------------------------------------------------------
for t in INTEGERS:
    w = 8 * int(t[1:]) // 8
    case(f'add.{t}', f'{t} {t}', t, lambda a, b, t=t: wrap(t, a + b))
    case(f'sub.{t}', f'{t} {t}', t, lambda a, b, t=t: wrap(t, a - b))
    case(f'mul.lo.{t}', f'{t} {t}', t, lambda a, b, t=t: wrap(t, a * b))
    case(f'mul.hi.{t}', f'{t} {t}', t, lambda a, b, t=t, w=w: wrap(t, a * b >> w))
    case(f'mad.lo.{t}', f'{t} {t} {t}', t, lambda a, b, c, t=t: wrap(t, a * b + c))
    case(f'mad.hi.{t}', f'{t} {t} {t}', t, lambda a, b, c, t=t, w=w: wrap(t, (a * b >> w) + c))
    case(f'div.{t}', f'{t} {t}', t, quotient(t))
    case(f'rem.{t}', f'{t} {t}', t, remainder(t))
    case(f'min.{t}', f'{t} {t}', t, min)
    case(f'max.{t}', f'{t} {t}', t, max)
    if w < 64:
        wide = f'{t[0]}{2 * w}'
        case(f'mul.wide.{t}', f'{t} {t}', wide, lambda a, b: a * b)
        case(f'mad.wide.{t}', f'{t} {t} {wide}', wide, lambda a, b, c, wide=wide: wrap(wide, a * b + c))
    if t[0] == 's':
        case(f'abs.{t}', t, t, lambda a, t=t: wrap(t, abs(a)))
        case(f'neg.{t}', t, t, lambda a, t=t: wrap(t, -a))
case('add.sat.s32', 's32 s32', 's32', lambda a, b: min(max(a + b, -2 ** 31), 2 ** 31 - 1))
case('sub.sat.s32', 's32 s32', 's32', lambda a, b: min(max(a - b, -2 ** 31), 2 ** 31 - 1))
for t in FLOATS + HALVES:
    rn = '.rn' if t in FLOATS else ''
    case(f'add{rn}.{t}', f'{t} {t}', t, of_floats(t, lambda a, b: a + b))
    case(f'sub{rn}.{t}', f'{t} {t}', t, of_floats(t, lambda a, b: a - b))
    case(f'mul{rn}.{t}', f'{t} {t}', t, of_floats(t, lambda a, b: a * b))
    case(f'fma.rn.{t}', f'{t} {t} {t}', t, of_floats(t, exact_fma))
    case(f'min.{t}', f'{t} {t}', t, of_floats(t, no_nan(min)))
    case(f'max.{t}', f'{t} {t}', t, of_floats(t, no_nan(max)))
    case(f'abs.{t}', t, t, of_floats(t, abs))
    case(f'neg.{t}', t, t, of_floats(t, lambda a: -a))
    if t not in FLOATS:
        case(f'max.NaN.{t}', f'{t} {t}', t, of_floats(t, nan_wins(max)))
        case(f'min.NaN.{t}', f'{t} {t}', t, of_floats(t, nan_wins(min)))
        case(f'fma.rn.relu.{t}', f'{t} {t} {t}', t, of_floats(t, lambda a, b, c: max(0.0, exact_fma(a, b, c))))
case('max.NaN.f32', 'f32 f32', 'f32', nan_wins(max))
case('min.NaN.f32', 'f32 f32', 'f32', nan_wins(min))
for t in FLOATS:
    case(f'mad.rn.{t}', f'{t} {t} {t}', t, of_floats(t, exact_fma))
    case(f'div.rn.{t}', f'{t} {t}', t, of_floats(t, ieee_divide))
    case(f'copysign.{t}', f'{t} {t}', t, lambda a, b: math.copysign(b, a))
case('add.ftz.f32', 'f32 f32', 'f32', lambda a, b: 0.0, values=[(2.0 ** -127, 2.0 ** -128), (-2.0 ** -130, 2.0 ** -130)])
case('add.sat.f32', 'f32 f32', 'f32', lambda a, b: 0.0 if a + b != a + b else min(max(a + b, 0.0), 1.0))
case('mul.ftz.f32', 'f32 f32', 'f32', lambda a, b: 0.0, values=[(2.0 ** -100, 2.0 ** -30)])
case('fma.rn.ftz.f32', 'f32 f32 f32', 'f32', lambda a, b, c: 0.0, values=[(2.0 ** -100, 2.0 ** -30, 2.0 ** -140)])
case('fma.rn.sat.f32', 'f32 f32 f32', 'f32', lambda a, b, c: 0.0 if (x := exact_fma(a, b, c)) != x else min(max(f32(x), 0.0), 1.0))
def directed(mode, f):
    """f gives a Fraction; its float32 neighbour in the mode's direction, by trying float32's neighbours."""
    def g(*v):
        exact = f(*map(Fraction, v))
        near = f32(float(exact))
        bits = struct.unpack('<i', struct.pack('<f', near))[0]
        neighbours = [struct.unpack('<f', struct.pack('<i', bits + d))[0] for d in (-1, 0, 1)]
        below = max(x for x in neighbours if Fraction(x) <= exact)
        above = min(x for x in neighbours if Fraction(x) >= exact)
        return {'rm': below, 'rp': above, 'rz': below if exact >= 0 else above}[mode]
    return g


THIRDS = [(a, b, c) for a in (1.0, -1 / 3, 3.140625, -2.0 ** -20) for b in (1.1, -7.7, 2.0 ** 12 + 1 / 7) for c in (0.3, -12582913.0)]
THIRDS = [tuple(map(f32, row)) for row in THIRDS]
for mode in ('rm', 'rp', 'rz'):
    case(f'fma.{mode}.f32', 'f32 f32 f32', 'f32', directed(mode, lambda a, b, c: a * b + c), values=THIRDS)
    case(f'add.{mode}.f32', 'f32 f32', 'f32', directed(mode, lambda a, b: a + b), values=[row[1:] for row in THIRDS])
    case(f'sub.{mode}.f32', 'f32 f32', 'f32', directed(mode, lambda a, b: a - b), values=[row[1:] for row in THIRDS])
    case(f'mul.{mode}.f32', 'f32 f32', 'f32', directed(mode, lambda a, b: a * b), values=[row[:2] for row in THIRDS])
case('div.approx.f32', 'f32 f32', 'f32', of_floats('f32', ieee_divide), 1e-6)
case('div.full.f32', 'f32 f32', 'f32', of_floats('f32', ieee_divide), 1e-6)
case('dp4a.s32.s32', 's32 s32 s32', 's32', lambda a, b, c: wrap('s32', c + sum(wrap('s8', a >> 8 * i) * wrap('s8', b >> 8 * i) for i in range(4))))
case('dp4a.u32.u32', 'u32 u32 u32', 'u32', lambda a, b, c: wrap('u32', c + sum((a >> 8 * i & 255) * (b >> 8 * i & 255) for i in range(4))))
case('dp4a.u32.s32', 'u32 s32 s32', 's32', lambda a, b, c: wrap('s32', c + sum((a >> 8 * i & 255) * wrap('s8', b >> 8 * i) for i in range(4))))


def safe(f):
    """NaN out of a function's domain."""
    def g(a):
        try:
            return f(a)
        except ValueError:
            return math.nan
        except OverflowError:
            return math.inf
    return g


SPECIAL = {
    'sqrt': safe(math.sqrt), 'rsqrt': lambda a: ieee_divide(1.0, safe(math.sqrt)(a)), 'rcp': lambda a: ieee_divide(1.0, a),
    'ex2': safe(lambda a: 2.0 ** a), 'lg2': lambda a: -math.inf if a == 0 else safe(math.log2)(a), 'sin': safe(math.sin),
    'cos': safe(math.cos), 'tanh': math.tanh,
}
for name, f in SPECIAL.items():
    case(f'{name}.approx.f32', 'f32', 'f32', of_floats('f32', f), 1e-5)
    if name in ('sqrt', 'rcp', 'rsqrt'):
        mode = 'approx' if name == 'rsqrt' else 'rn'
        case(f'{name}.{mode}.f64', 'f64', 'f64', f, 1e-15)
    if name in ('sqrt', 'rcp'):
        case(f'{name}.rn.f32', 'f32', 'f32', of_floats('f32', f))
    if name in ('ex2', 'tanh'):
        for t in HALVES:
            case(f'{name}.approx.{t}', t, t, of_floats(t, f), 1e-2)
case('ex2.approx.ftz.f32', 'f32', 'f32', of_floats('f32', lambda a: 2.0 ** a), 1e-5, values=[(x,) for x in (-150.0, -1.0, 0.0, 3.25)][1:])
case('rcp.approx.ftz.f32', 'f32', 'f32', of_floats('f32', SPECIAL['rcp']), 1e-6)
case('rsqrt.approx.ftz.f32', 'f32', 'f32', of_floats('f32', SPECIAL['rsqrt']), 1e-6)
TESTS = {'finite': math.isfinite, 'infinite': math.isinf, 'number': lambda a: a == a, 'notanumber': math.isnan}
for name, f in TESTS.items():
    for t in FLOATS:
        case(f'testp.{name}.{t}', t, 'pred', f)
case('testp.normal.f32', 'f32', 'pred', lambda a: math.isfinite(a) and abs(a) >= 2.0 ** -126)
case('testp.subnormal.f32', 'f32', 'pred', lambda a: 0 < abs(a) < 2.0 ** -126, values=[(0.0,), (2.0 ** -127,), (1.0,)])

# --- bits -----------------------------------------------------------------------------------------------
for t in BITS + ['pred']:
    ones = 1 if t == 'pred' else 2 ** int(t[1:]) - 1
    case(f'and.{t}', f'{t} {t}', t, lambda a, b: a & b)
    case(f'or.{t}', f'{t} {t}', t, lambda a, b: a | b)
    case(f'xor.{t}', f'{t} {t}', t, lambda a, b: a ^ b)
    case(f'not.{t}', t, t, lambda a, ones=ones: a ^ ones)
for t in BITS:
    case(f'shl.{t}', f'{t} u32', t, lambda a, n, t=t: wrap(t, a << n) if n < int(t[1:]) else 0)
for t in BITS + INTEGERS:
    case(f'shr.{t}', f'{t} u32', t, lambda a, n, t=t: a >> min(n, 64) if t[0] == 's' or n < int(t[1:]) else 0)
for t in INTEGERS:
    case(f'shl.{t}', f'{t} u32', t, lambda a, n, t=t: wrap(t, a << n) if n < int(t[1:]) else 0)


def funnel(a, b, n, left, clamp):
    n = min(n, 32) if clamp else n & 31
    both = b << 32 | a
    return both << n >> 32 & 0xffffffff if left else both >> n & 0xffffffff


for side in 'lr':
    for mode in ('wrap', 'clamp'):
        case(f'shf.{side}.{mode}.b32', 'b32 b32 u32', 'b32', lambda a, b, n, s=side, m=mode: funnel(a, b, n, s == 'l', m == 'clamp'))
for table in (0x00, 0x80, 0x96, 0xe8, 0xca, 0xff, 0x1b):
    case('lop3.b32', 'b32 b32 b32', 'b32', operands=f'%o, %i0, %i1, %i2, {table:#x}', reference=lambda a, b, c, t=table: sum(
        (t >> ((a >> i & 1) << 2 | (b >> i & 1) << 1 | (c >> i & 1)) & 1) << i for i in range(32)))


def permute(a, b, s):
    source = [(a | b << 32) >> 8 * i & 255 for i in range(8)]
    out = 0
    for i in range(4):
        selector = s >> 4 * i & 15
        byte = source[selector & 7]
        out |= (byte if selector < 8 else 255 if byte > 127 else 0) << 8 * i
    return out


case('prmt.b32', 'b32 b32 b32', 'b32', permute)


def extract(t):
    bits = int(t[1:])

    def f(a, position, length):
        position, length = position & 255, length & 255
        if length == 0:
            return 0
        sign = a >> min(position + length - 1, bits - 1) & 1 if t[0] == 's' else 0
        out = 0
        for i in range(bits):
            out |= ((a >> (position + i) & 1) if i < length and position + i < bits else sign) << i
        return wrap(t, out)
    return f


def insert(bits):
    def f(a, b, position, length):
        position, length = position & 255, length & 255
        for i in range(length):
            if position + i < bits:
                b = b & ~(1 << (position + i)) | (a >> i & 1) << (position + i)
        return b
    return f


FIELDS = [(p, n) for p in (0, 3, 8, 31, 40, 63) for n in (0, 1, 8, 32, 64)]
for t in ('u32', 's32', 'u64', 's64'):
    case(f'bfe.{t}', f'{t} u32 u32', t, extract(t), values=[(wrap(t, 0x9a5a5a5af1234567 * (i + 1)), *f) for i, f in enumerate(FIELDS)])
    n = int(t[1:])
    case(f'bfind.{t}', t, 'u32', lambda a: (a if a >= 0 else ~a).bit_length() - 1 & 0xffffffff)
    case(f'bfind.shiftamt.{t}', t, 'u32', lambda a, n=n: n - m if (m := (a if a >= 0 else ~a).bit_length()) else 0xffffffff)
for t in ('b32', 'b64'):
    n = int(t[1:])
    case(f'bfi.{t}', f'{t} {t} u32 u32', t, insert(n), values=[(wrap(t, 0x9a5a5a5af1234567 * (i + 1)), wrap(t, ~i * 77), *f) for i, f in enumerate(FIELDS)])
    case(f'popc.{t}', t, 'u32', lambda a: bin(a).count('1'))
    case(f'clz.{t}', t, 'u32', lambda a, n=n: n - a.bit_length())
    case(f'brev.{t}', t, t, lambda a, n=n: int(f'{a:0{n}b}'[::-1], 2))

# --- comparing and choosing -----------------------------------------------------------------------------
ORDER = {'eq': lambda a, b: a == b, 'ne': lambda a, b: a != b, 'lt': lambda a, b: a < b, 'le': lambda a, b: a <= b,
         'gt': lambda a, b: a > b, 'ge': lambda a, b: a >= b}
for t in INTEGERS:
    for name, f in ORDER.items():
        case(f'setp.{name}.{t}', f'{t} {t}', 'pred', f)
for t in BITS:
    case(f'setp.eq.{t}', f'{t} {t}', 'pred', ORDER['eq'])
    case(f'setp.ne.{t}', f'{t} {t}', 'pred', ORDER['ne'])
    case(f'set.eq.u32.{t}', f'{t} {t}', 'u32', lambda a, b: 0xffffffff * (a == b))
for name, same in (('lo', 'lt'), ('ls', 'le'), ('hi', 'gt'), ('hs', 'ge')):
    case(f'setp.{name}.u32', 'u32 u32', 'pred', ORDER[same])


def ordered(f):
    return lambda a, b: a == a and b == b and f(a, b)


def unordered(f):
    return lambda a, b: a != a or b != b or f(a, b)


for t in ('f32', 'f64', 'f16', 'bf16'):
    for name, f in ORDER.items():
        case(f'setp.{name}.{t}', f'{t} {t}', 'pred', ordered(f))
        case(f'setp.{name}u.{t}', f'{t} {t}', 'pred', unordered(f))
    case(f'setp.num.{t}', f'{t} {t}', 'pred', lambda a, b: a == a and b == b)
    case(f'setp.nan.{t}', f'{t} {t}', 'pred', lambda a, b: a != a or b != b)
    case(f'set.lt.u32.{t}', f'{t} {t}', 'u32', lambda a, b: 0xffffffff * (a < b))
for t in INTEGERS:
    case(f'set.lt.u32.{t}', f'{t} {t}', 'u32', lambda a, b: 0xffffffff * (a < b))
case('set.gt.f32.f32', 'f32 f32', 'f32', lambda a, b: float(a > b))
case('setp.lt.ftz.f32', 'f32 f32', 'pred', lambda a, b: False, values=[(0.0, 2.0 ** -130)])
for name, f in (('and', lambda x, y: x and y), ('or', lambda x, y: x or y), ('xor', lambda x, y: x != y)):
    case(f'setp.lt.{name}.s32', 's32 s32 pred', 'pred', lambda a, b, c, f=f: f(a < b, bool(c)))
    case(f'setp.lt.{name}.s32', 's32 s32 pred', 'pred', lambda a, b, c, f=f: f(a < b, not c), operands='%o, %i0, %i1, !%i2')
case('setp.gt.s32', 's32 s32', 'pred', lambda a, b: a <= b, operands='_|%o, %i0, %i1')
for t in INTEGERS + BITS + FLOATS:
    case(f'selp.{t}', f'{t} {t} pred', t, lambda a, b, p: a if p else b)

# --- moving and converting ------------------------------------------------------------------------------
for t in INTEGERS + BITS + FLOATS + ['pred', 'f16', 'bf16', 'f16x2', 'bf16x2']:
    case(f'mov.{t}', t, t, lambda a: a)
case('mov.b32', 'b16 b16', 'b32', lambda a, b: a | b << 16, operands='%o, {%i0, %i1}')
case('mov.b64', 'b32 b32', 'b64', lambda a, b: a | b << 32, operands='%o, {%i0, %i1}')
case('mov.b32', 'b32', 'b16', lambda a: a >> 16, operands='{_, %o}, %i0')
case('mov.b64', 'b64', 'b32', lambda a: a & 0xffffffff, operands='{%o, _}, %i0')
case('cvta.to.global.u64', 'u64', 'u64', lambda a: a)
case('cvta.global.u64', 'u64', 'u64', lambda a: a)
case('cvta.to.global.u32', 'u32', 'u32', lambda a: a)
SMALL = ['u8', 's8']
for a in SMALL + INTEGERS:
    for b in SMALL + INTEGERS:
        case(f'cvt.{b}.{a}', a, b, lambda x, b=b: wrap(b, x))
        if '64' not in a + b:
            case(f'cvt.sat.{b}.{a}', a, b, lambda x, b=b: min(max(x, limits(b)[0]), limits(b)[1]))
    for f in ('f32', 'f64', 'f16', 'bf16'):
        case(f'cvt.rn.{f}.{a}', a, f, lambda x, f=f: rounded(f, float(x)) if f in ('f64', 'f32') else rounded(f, f32(float(x))))


def to_integer(t, how):
    def f(x):
        if x != x:
            return 0
        low, high = limits(t)
        return low if x <= low else high if x >= high else int(how(x))
    return f


def nearest_even(x):
    return round(x)


MODES = {'rni': nearest_even, 'rzi': math.trunc, 'rmi': math.floor, 'rpi': math.ceil}
for mode, how in MODES.items():
    for f in ('f32', 'f64', 'f16', 'bf16'):
        for t in SMALL + INTEGERS:
            case(f'cvt.{mode}.{t}.{f}', f, t, to_integer(t, how))
    case(f'cvt.{mode}.f32.f32', 'f32', 'f32', lambda x, how=how: float(how(x)) if math.isfinite(x) else x)
for a in ('f32', 'f64', 'f16', 'bf16'):
    for b in ('f32', 'f64', 'f16', 'bf16'):
        if a != b:
            rn = '.rn' if (b in ('f16', 'bf16') or (a, b) == ('f64', 'f32')) else ''
            case(f'cvt{rn}.{b}.{a}', a, b, lambda x, b=b: rounded(b, x))
case('cvt.rz.bf16.f32', 'f32', 'bf16', lambda x: x, values=[(1.0,), (-2.75,), (0.5,)])
case('cvt.sat.f32.f32', 'f32', 'f32', lambda x: 0.0 if x != x else min(max(x, 0.0), 1.0))
case('cvt.ftz.f32.f32', 'f32', 'f32', lambda x: 0.0, values=[(2.0 ** -130,)])
for h in ('f16x2', 'bf16x2'):
    case(f'cvt.rn.{h}.f32', 'f32 f32', h, lambda a, b, h=h: (rounded(h[:-2], b), rounded(h[:-2], a)))
case('cvt.rna.tf32.f32', 'f32', 'b32', lambda x: x, values=[(0.0,)])
for text in ('membar.gl', 'membar.cta', 'fence.acq_rel.gpu', 'fence.sc.cta', 'griddepcontrol.wait', 'griddepcontrol.launch_dependents'):
    case(text, 'b32', 'b32', lambda a: a, operands='; mov.b32 %o, %i0')
case('nanosleep.u32', 'b32', 'b32', lambda a: a, operands='20; mov.b32 %o, %i0')
case('prefetch.global.L2', 'b32', 'b32', lambda a: a, operands='[%in]; mov.b32 %o, %i0')
case('prefetchu.L1', 'b32', 'b32', lambda a: a, operands='[%in]; mov.b32 %o, %i0')
