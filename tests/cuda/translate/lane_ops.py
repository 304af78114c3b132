"""dsvl2: the CUDA stand-in: PTX instructions that each lane computes alone, as C statements
SPDX-License-Identifier: LGPL-2.1-or-later

TABLE maps an instruction's first word to its rule: the modifiers and types that are understood, and a
function that writes C. Anything else is a PtxError that names the instruction. Every entry has cases in
selftest/opcodes.py.
"""
import re
from dataclasses import dataclass

from operands import C_TYPES
from ptx_parser import SIZES, PtxError

SIGNED = {'s16', 's32', 's64'}
UNSIGNED = {'u16', 'u32', 'u64'}
INTEGERS = SIGNED | UNSIGNED
BITS = {'b16', 'b32', 'b64'}
FLOATS = {'f32', 'f64'}
HALVES = {'f16', 'bf16', 'f16x2', 'bf16x2'}
WIDER = {'s16': 's32', 'u16': 'u32', 's32': 's64', 'u32': 'u64', 's64': 's128', 'u64': 'u128'}

TABLE = {}


@dataclass
class Rule:
    types: set
    modifiers: set
    write: object


class Words:
    """One instruction, with its operands as C."""

    def __init__(self, names, instruction):
        self.names, self.instruction = names, instruction
        self.parts, self.operands = instruction.parts, instruction.operands
        self.name, self.type = self.parts[0], self.parts[-1]

    def has(self, modifier):
        return modifier in self.parts[1:]

    def value(self, i, type=None):
        return self.names.value(self.operands[i], type or self.type)

    def result(self, expression, type=None):
        return self.names.store(self.operands[0], type or self.type, expression)

    def flushed(self, expression):
        """With the modifiers of a float32 instruction's result applied."""
        if self.has('sat'):
            expression = f'sat ({expression})'
        return f'ftz ({expression})' if self.has('ftz') else expression

    def directed(self, a, b, c):
        """a · b + c of float32 if the instruction rounds other than to the nearest, else None."""
        mode = next((m for m in ('rm', 'rp', 'rz') if self.has(m)), None)
        if not mode:
            return None
        if self.type != 'f32':
            self.refuse()
        return self.result(self.flushed(f'fma_{mode} ({a}, {b}, {c})'))

    def refuse(self, why='is not supported'):
        raise PtxError(f'{self.instruction.opcode} {", ".join(self.operands)}: {why}')


def rule(names, types, modifiers=''):
    def register(function):
        for name in names.split():
            TABLE[name] = Rule(set(types), set(modifiers.split()), function)
        return function
    return register


def unsigned(type):
    return 'u' + type[1:]


def half(type):
    """The scalar type of f16x2, bf16x2 …"""
    return type.removesuffix('x2')


def on_halves(w, inputs, compute):
    """A result of one or two 16-bit floats; compute (list of float expressions) gives a float expression."""
    h = half(w.type)

    def one(shift):
        values = [f'f32_of_{h} ((u16) ({w.value(i)} >> {shift}))' for i in inputs]
        return f'{h}_of_f32 ({compute(values)})'
    return w.result(f'(u32) {one(0)} | (u32) {one(16)} << 16' if w.type.endswith('x2') else one(0))


# --- arithmetic -----------------------------------------------------------------------------------------

@rule('add sub', INTEGERS | FLOATS | HALVES, 'rn rm rp rz ftz sat')
def add(w):
    sign = '+' if w.name == 'add' else '-'
    if w.type in HALVES:
        return on_halves(w, (1, 2), lambda v: w.flushed(f'{v[0]} {sign} {v[1]}'))
    if w.type in FLOATS:
        return (w.directed(w.value(1), '1', ('' if w.name == 'add' else '-') + w.value(2)) or
                w.result(w.flushed(f'{w.value(1)} {sign} {w.value(2)}')))
    if w.has('sat'):
        if w.type != 's32':
            w.refuse()
        return w.result(f'(s32) clamp_s64 ((s64) {w.value(1)} {sign} (s64) {w.value(2)}, INT32_MIN, INT32_MAX)')
    u = unsigned(w.type)
    return w.result(f'({C_TYPES[w.type]}) ({w.value(1, u)} {sign} {w.value(2, u)})')


@rule('mul', INTEGERS | FLOATS | HALVES, 'rn rm rp rz ftz sat lo hi wide')
def mul(w):
    if w.type in HALVES:
        return on_halves(w, (1, 2), lambda v: w.flushed(f'{v[0]} * {v[1]}'))
    if w.type in FLOATS:
        return w.directed(w.value(1), w.value(2), '0') or w.result(w.flushed(f'{w.value(1)} * {w.value(2)}'))
    return product(w, None)


@rule('mad', INTEGERS | FLOATS, 'rn rm rp rz ftz sat lo hi wide')
def mad(w):
    return fma(w) if w.type in FLOATS else product(w, 3)


def product(w, addend):
    """An integer product: its low or high half, or all of it."""
    wide = WIDER[w.type]
    if w.has('wide'):
        u = unsigned(wide)
        plus = f' + {w.value(addend, u)}' if addend else ''
        return w.result(f'({C_TYPES[wide]}) ((({u}) (({wide}) {w.value(1)} * ({wide}) {w.value(2)})){plus})', wide)
    u = unsigned(w.type)
    plus = f' + {w.value(addend, u)}' if addend else ''
    if w.has('hi'):
        shift = 8 * SIZES[w.type]
        return w.result(f'({C_TYPES[w.type]}) (({C_TYPES[u]}) ((({wide}) {w.value(1)} * ({wide}) {w.value(2)}) >> {shift}){plus})')
    if not w.has('lo'):
        w.refuse('neither lo, hi nor wide')
    whole = 'u32' if SIZES[u] < 4 else u            # u16 · u16 would be an int in C, and overflow
    return w.result(f'({C_TYPES[w.type]}) (({whole}) {w.value(1, u)} * {w.value(2, u)}{plus})')


@rule('fma', FLOATS | HALVES, 'rn rm rp rz ftz sat relu')
def fma(w):
    if w.type in HALVES:
        relu = 'fmaxf (0, {})' if w.has('relu') else '{}'
        return on_halves(w, (1, 2, 3), lambda v: w.flushed(relu.format(f'(float) fma ({", ".join(v)})')))
    if w.has('relu'):
        w.refuse()
    directed = w.directed(w.value(1), w.value(2), w.value(3))
    if directed:
        return directed
    f = 'fma' if w.type == 'f64' else 'fmaf'
    return w.result(w.flushed(f'{f} ({w.value(1)}, {w.value(2)}, {w.value(3)})'))


@rule('div', INTEGERS | FLOATS, 'rn approx full ftz')
def div(w):
    if w.type in FLOATS:
        return w.result(w.flushed(f'{w.value(1)} / {w.value(2)}'))
    return w.result(f'div_{w.type} ({w.value(1)}, {w.value(2)})')


@rule('rem', INTEGERS)
def rem(w):
    return w.result(f'rem_{w.type} ({w.value(1)}, {w.value(2)})')


@rule('min max', INTEGERS | FLOATS | HALVES, 'ftz NaN')
def min_max(w):
    f = f'{w.name}_nan' if w.has('NaN') else f'f{w.name}f'
    if w.type in HALVES:
        return on_halves(w, (1, 2), lambda v: w.flushed(f'{f} ({v[0]}, {v[1]})'))
    if w.type == 'f32':
        inputs = [f'ftz ({w.value(i)})' if w.has('ftz') else w.value(i) for i in (1, 2)]
        return w.result(f'{f} ({", ".join(inputs)})')
    if w.type == 'f64':
        return w.result(f'f{w.name} ({w.value(1)}, {w.value(2)})')
    compare = '<' if w.name == 'min' else '>'
    return w.result(f'{w.value(1)} {compare} {w.value(2)} ? {w.value(1)} : {w.value(2)}')


@rule('abs neg', SIGNED | FLOATS | HALVES, 'ftz')
def abs_neg(w):
    if w.type in HALVES:
        mask = '0x7fff' if w.name == 'abs' else '0x8000'
        if w.type.endswith('x2'):
            mask += mask[2:]
        return w.result(f'{w.value(1)} {"&" if w.name == "abs" else "^"} {mask}u')
    if w.type in FLOATS:
        f = {'abs': 'fabs' if w.type == 'f64' else 'fabsf', 'neg': '-'}[w.name]
        return w.result(w.flushed(f'{f} ({w.value(1)})'))
    u = unsigned(w.type)
    negated = f'({C_TYPES[w.type]}) (0 - {w.value(1, u)})'
    return w.result(negated if w.name == 'neg' else f'{w.value(1)} < 0 ? {negated} : {w.value(1)}')


@rule('sqrt rsqrt rcp ex2 lg2 sin cos tanh', FLOATS | {'f16', 'bf16', 'f16x2', 'bf16x2'}, 'rn approx ftz')
def special(w):
    f = {'sqrt': 'sqrtf ({})', 'rsqrt': '1 / sqrtf ({})', 'rcp': '1 / ({})', 'ex2': 'exp2f ({})', 'lg2': 'log2f ({})',
         'sin': 'sinf ({})', 'cos': 'cosf ({})', 'tanh': 'tanhf ({})'}[w.name]
    if w.type in HALVES:
        if w.name not in ('ex2', 'tanh'):
            w.refuse()
        return on_halves(w, (1,), lambda v: f.format(v[0]))
    if w.type == 'f64':
        if w.name not in ('sqrt', 'rcp', 'rsqrt'):
            w.refuse()
        f = f.replace('sqrtf', 'sqrt')
    x = f'ftz ({w.value(1)})' if w.has('ftz') else w.value(1)
    return w.result(w.flushed(f.format(x)))


@rule('copysign', FLOATS)
def copysign(w):
    f = 'copysign' if w.type == 'f64' else 'copysignf'
    return w.result(f'{f} ({w.value(2)}, {w.value(1)})')


@rule('testp', FLOATS, 'finite infinite number notanumber normal subnormal')
def testp(w):
    test = {'finite': 'isfinite ({})', 'infinite': 'isinf ({})', 'number': '!isnan ({})', 'notanumber': 'isnan ({})',
            'normal': 'isnormal ({})', 'subnormal': 'fpclassify ({}) == FP_SUBNORMAL'}[w.parts[1]]
    return w.result(test.format(w.value(1)), 'pred')


@rule('dp4a', {'u32', 's32'}, 'u32 s32')
def dp4a(w):
    a, b = (int(t == 's32') for t in w.parts[1:3])
    return w.result(f'dp4a ({w.value(1, "u32")}, {w.value(2, "u32")}, {w.value(3, "u32")}, {a}, {b})', 'u32')


# --- bits -----------------------------------------------------------------------------------------------

@rule('and or xor', BITS | {'pred'})
def logic(w):
    sign = {'and': '&', 'or': '|', 'xor': '^'}[w.name]
    return w.result(f'{w.value(1)} {sign} {w.value(2)}')


@rule('not', BITS | {'pred'})
def complement(w):
    return w.result(f'!{w.value(1)}' if w.type == 'pred' else f'~{w.value(1)}')


@rule('shl shr', BITS | INTEGERS)
def shift(w):
    bits, n = 8 * SIZES[w.type], w.value(2, 'u32')
    beyond = f'({w.value(1)} < 0 ? -1 : 0)' if w.name == 'shr' and w.type in SIGNED else '0'
    x = w.value(1) if w.name == 'shr' else w.value(1, 'u64' if bits == 64 else 'u32')
    return w.result(f'{n} >= {bits} ? {beyond} : ({C_TYPES[w.type]}) ({x} {"<<" if w.name == "shl" else ">>"} {n})')


@rule('shf', {'b32'}, 'l r wrap clamp')
def funnel_shift(w):
    return w.result(f'shf_{w.parts[1]}_{w.parts[2]} ({w.value(1)}, {w.value(2)}, {w.value(3)})')


@rule('lop3', {'b32'})
def lop3(w):
    return w.result(f'lop3 ({w.value(1)}, {w.value(2)}, {w.value(3)}, {w.value(4)})')


@rule('prmt', {'b32'})
def prmt(w):
    return w.result(f'prmt ({w.value(1)}, {w.value(2)}, {w.value(3)})')


@rule('bfe', {'u32', 's32', 'u64', 's64'})
def bit_field_extract(w):
    how = 'signed' if w.type in SIGNED else 'unsigned'
    return w.result(f'({C_TYPES[w.type]}) bfe_{how} ({w.value(1)}, {w.value(2, "u32")}, {w.value(3, "u32")}, {8 * SIZES[w.type]})')


@rule('bfi', {'b32', 'b64'})
def bit_field_insert(w):
    return w.result(f'bfi_bits ({w.value(1)}, {w.value(2)}, {w.value(3, "u32")}, {w.value(4, "u32")}, {8 * SIZES[w.type]})')


@rule('popc clz', {'b32', 'b64'})
def count_bits(w):
    return w.result(f'{w.name}_{w.type} ({w.value(1)})', 'u32')


@rule('brev', {'b32', 'b64'})
def reverse_bits(w):
    return w.result(f'brev_bits ({w.value(1)}, {8 * SIZES[w.type]})')


@rule('bfind', {'u32', 's32', 'u64', 's64'}, 'shiftamt')
def find_bit(w):
    found = f'bfind_{w.type[0]}64 ({w.value(1)})'
    if w.has('shiftamt'):
        found = f'({found} == ~0u ? ~0u : {8 * SIZES[w.type] - 1} - {found})'
    return w.result(found, 'u32')


# --- comparing and choosing -----------------------------------------------------------------------------

@rule('setp set', INTEGERS | BITS | FLOATS | {'f16', 'bf16'},
      'eq ne lt le gt ge lo ls hi hs equ neu ltu leu gtu geu num nan and or xor ftz u32 s32 f32')
def set_predicate(w):
    condition = comparison(w, w.parts[1])
    if combine := next((x for x in w.parts[2:] if x in ('and', 'or', 'xor')), None):
        other = w.value(3, 'pred')
        condition = f'({condition}) {dict(zip(("and", "or", "xor"), "&|^"))[combine]} {other}'
    if w.name == 'set':
        to = w.parts[-2]
        return w.result(f'({condition}) ? {"1.0f" if to == "f32" else "~0u"} : 0', to)
    first, *second = w.operands[0].split('|')
    out = w.names.store(first, 'pred', condition)
    if second:
        if combine:
            w.refuse('two results of a combined comparison')
        out += ' ' + w.names.store(second[0], 'pred', f'!({condition})')
    return out


def comparison(w, how):
    x, y = w.value(1), w.value(2)
    floating = w.type not in INTEGERS | BITS
    if w.type in ('f16', 'bf16'):
        x, y = (f'f32_of_{w.type} ({v})' for v in (x, y))
    elif w.has('ftz'):
        x, y = f'ftz ({x})', f'ftz ({y})'
    signs = {'eq': '==', 'ne': '!=', 'lt': '<', 'le': '<=', 'gt': '>', 'ge': '>=', 'lo': '<', 'ls': '<=', 'hi': '>', 'hs': '>='}
    either_nan = f'({x} != {x} || {y} != {y})'
    if how == 'nan':
        return either_nan
    if how == 'num':
        return f'!{either_nan}'
    if floating and how.endswith('u'):
        return f'{x} {signs[how[:-1]]} {y} || {either_nan}'
    if floating and how == 'ne':                                # false with a NaN, unlike C's
        return f'{x} < {y} || {x} > {y}'
    return f'{x} {signs[how]} {y}'


@rule('selp', INTEGERS | BITS | FLOATS)
def select(w):
    return w.result(f'{w.value(3, "pred")} ? {w.value(1)} : {w.value(2)}')


# --- moving and converting ------------------------------------------------------------------------------

@rule('mov', INTEGERS | BITS | FLOATS | {'pred', 'f16', 'bf16', 'f16x2', 'bf16x2'})
def move(w):
    to, source = w.operands
    for packed in (to, source):
        if packed.startswith('{'):
            pieces = w.names.vector(packed)
            bits = 8 * SIZES[w.type] // len(pieces)
            piece = {8: 'b8', 16: 'b16', 32: 'b32'}[bits]
    if to.startswith('{'):
        return f'const u64 whole = {w.value(1)}; ' + ' '.join(
            w.names.store(x, piece, f'({C_TYPES[piece]}) (whole >> {bits * i})') for i, x in enumerate(pieces))
    if source.startswith('{'):
        return w.result(' | '.join(f'(u64) {w.names.value(x, piece)} << {bits * i}' for i, x in enumerate(pieces)))
    return w.result(w.value(1))


@rule('cvta', {'u64', 'u32'}, 'to global shared local const param')
def convert_address(w):
    if w.has('param'):
        w.refuse()
    if w.has('shared'):
        return w.result(f'{w.value(1)} {"-" if w.has("to") else "+"} (u64) b->shared')
    return w.result(w.value(1))


ROUND = {'rni': 'rint', 'rmi': 'floor', 'rpi': 'ceil', 'rzi': 'trunc'}


@rule('cvt', set(SIZES) - {'pred', 'b8', 'b16', 'b32', 'b64', 'f16x2', 'bf16x2', 'tf32'},
      ' '.join(SIZES) + ' rn rz rna rni rzi rmi rpi ftz sat')
def convert(w):
    to, source = w.parts[-2:]
    if to in ('f16x2', 'bf16x2'):                               # the first operand becomes the upper half
        h = half(to)
        if w.has('rz') or len(w.operands) != 3:
            w.refuse()
        high, low = (f'(u32) {h}_of_f32 ({w.value(i, source)})' for i in (1, 2))
        return w.result(f'{low} | {high} << 16', to)
    if to == 'tf32':
        if source != 'f32' or not w.has('rna'):
            w.refuse()
        return w.result(f'tf32_of_f32 ({w.value(1)})', 'b32')
    x = w.value(1)
    if source in ('f16', 'bf16'):
        x, source = f'f32_of_{source} ({x})', 'f32'
    if source in FLOATS and w.has('ftz'):
        x = f'ftz ({x})'
    return w.result(*converted(w, x, source, to))


def converted(w, x, source, to):
    """-> expression, type"""
    rounding = next((ROUND[p] for p in w.parts if p in ROUND), None)
    if to in ('f16', 'bf16'):
        if w.has('rz') and to == 'bf16':
            return f'bf16_of_f32_rz ((float) {x})', to
        if w.has('rz') or w.has('sat') or rounding:
            w.refuse()
        return f'{to}_of_f32 ((float) {x})', to
    if source in FLOATS and to in FLOATS:
        x = f'{rounding} ({x})' if rounding else f'({C_TYPES[to]}) {x}'
        return (f'sat ({x})' if w.has('sat') else x), to
    if source in FLOATS:
        if not rounding:
            w.refuse('to an integer without rounding')
        return f'{to}_of_f64 ({rounding} ({x}))', to
    if to in FLOATS:
        if w.has('rz'):
            w.refuse()
        return f'({C_TYPES[to]}) {x}', to
    if w.has('sat'):
        if '64' in source + to:
            w.refuse()
        bits = 8 * SIZES[to]
        low, high = (-2 ** (bits - 1), 2 ** (bits - 1) - 1) if to[0] == 's' else (0, 2 ** bits - 1)
        return f'({C_TYPES[to]}) clamp_s64 ((s64) {x}, {low}ll, {high}ll)', to
    return f'({C_TYPES[to]}) {x}', to


# --- memory of the kernel's own, and what a single run of a block at a time makes void --------------------

@rule('membar fence griddepcontrol nanosleep prefetch prefetchu', {'u32', 'gl', 'cta', 'sys', 'sc', 'acq_rel', 'wait',
      'launch_dependents', 'L1', 'L2', 'gpu', 'evict_last', 'evict_normal'},
      'global local acq_rel sc cta gpu sys')
def nothing(w):
    return ';'


def translate(names, instruction):
    """C statements for lane l."""
    w = Words(names, instruction)
    known = TABLE.get(w.name)
    if not known:
        raise PtxError(f'unknown instruction {instruction.opcode} {", ".join(instruction.operands)}')
    unknown = [p for p in w.parts[1:-1] if p not in known.modifiers]
    if w.type not in known.types:
        unknown.append(w.type)
    if unknown:
        w.refuse(f'unknown: {", ".join("." + u for u in unknown)}')
    return known.write(w)


def cost(instruction):
    """-> (flops, special functions) of one lane"""
    name, type = instruction.parts[0], instruction.parts[-1]
    if name in ('sqrt', 'rsqrt', 'rcp', 'ex2', 'lg2', 'sin', 'cos', 'tanh') or name == 'div' and type in FLOATS:
        return 0, 1
    if type not in FLOATS | HALVES:
        return 0, 0
    lanes = 2 if type.endswith('x2') else 1
    if name in ('fma', 'mad'):
        return 2 * lanes, 0
    return (lanes, 0) if name in ('add', 'sub', 'mul', 'min', 'max') else (0, 0)
