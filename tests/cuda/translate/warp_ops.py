"""dsvl2: the CUDA stand-in: PTX instructions that lanes of a warp run together, as C statements
SPDX-License-Identifier: LGPL-2.1-or-later

TABLE maps the beginning of an opcode to a function that writes C for the lanes m, and to the operand that
names lanes (None: all of the warp).
"""
import re

from lane_ops import Words
from operands import C_TYPES
from ptx_parser import PtxError

ELEMENTS = {'f16': 'ELEMENT_F16', 'bf16': 'ELEMENT_BF16', 'tf32': 'ELEMENT_TF32', 'f32': 'ELEMENT_F32', 's32': 'ELEMENT_S32',
            's8': 'ELEMENT_S8', 'u8': 'ELEMENT_U8'}
BYTES = {'f16': 2, 'bf16': 2, 'tf32': 4, 'f32': 4, 's32': 4, 's8': 1, 'u8': 1}
TABLE = {}


def warp_rule(prefix, mask=None):
    def register(function):
        TABLE[prefix] = (function, mask)
        return function
    return register


def each(statement):
    return f'EACH_LANE (m, {statement}); '


@warp_rule('shfl.sync', mask=4)
def shuffle(w, site):
    if w.parts[2] not in ('up', 'down', 'bfly', 'idx') or w.type != 'b32':
        w.refuse()
    value, *valid = w.operands[0].split('|')
    return (f'u32 given[LANES], from[LANES]; u8 ok[LANES]; ' + each(f'given[l] = {w.value(1)};') +
            each(f'from[l] = shfl_source (SHFL_{w.parts[2].upper()}, l, {w.value(2, "u32")}, {w.value(3, "u32")}, &ok[l]);') +
            each('if (!(m >> from[l] & 1)) device_fault (b, w, l, ' + site +
                 ', "shfl.sync reads lane %u, which does not take part: mask %08x", from[l], m);') +
            each(w.names.store(value, 'b32', 'given[from[l]]') +
                 (' ' + w.names.store(valid[0], 'pred', 'ok[l]') if valid else '')))


@warp_rule('vote.sync', mask=2)
def vote(w, site):
    result = {'ballot': ('b32', 'votes'), 'any': ('pred', 'votes != 0'), 'all': ('pred', 'votes == m'),
              'uni': ('pred', 'votes == 0 || votes == m')}.get(w.parts[2])
    if not result:
        w.refuse()
    return ('u32 votes = 0; ' + each(f'votes |= (u32) ({w.value(1, "pred")} != 0) << l;') +
            each(w.names.store(w.operands[0], *result)))


@warp_rule('match.sync', mask=2)
def match(w, site):
    if w.parts[2] != 'any' or w.type not in ('b32', 'b64'):
        w.refuse()
    c = C_TYPES[w.type]
    return (f'{c} given[LANES]; u32 equal[LANES] = {{ 0 }}; ' + each(f'given[l] = {w.value(1)};') +
            each('for (int k = 0; k < LANES; k++) equal[l] |= (u32) ((m >> k & 1) && given[k] == given[l]) << k;') +
            each(w.names.store(w.operands[0], 'b32', 'equal[l]')))


@warp_rule('redux.sync', mask=2)
def reduce(w, site):
    step = {'add': 'sum + x', 'min': 'x < sum ? x : sum', 'max': 'x > sum ? x : sum', 'and': 'sum & x', 'or': 'sum | x',
            'xor': 'sum ^ x'}.get(w.parts[2])
    if not step or w.type not in ('u32', 's32', 'b32'):
        w.refuse()
    c = C_TYPES[w.type]
    return (f'{c} sum = 0; int first = 1; ' +
            each(f'const {c} x = {w.value(1)}; sum = first ? x : ({c}) ({step}); first = 0;') +
            each(w.names.store(w.operands[0], w.type, 'sum')))


@warp_rule('bar.warp.sync', mask=0)
def sync_warp(w, site):
    return 'w->epoch++;'


@warp_rule('activemask')
def active_mask(w, site):
    return each(w.names.store(w.operands[0], 'b32', 'm'))


def fragment(names, name, registers):
    return f'u32 {name}[LANES][MAX_REGISTERS]; ' + each(
        ' '.join(f'{name}[l][{i}] = {names.value(x, "b32")};' for i, x in enumerate(registers)))


def from_fragment(names, name, registers):
    return each(' '.join(names.store(x, 'b32', f'{name}[l][{i}]') for i, x in enumerate(registers)))


def shape_of(w):
    return [int(n) for n in re.match(r'm(\d+)n(\d+)k(\d+)$', next(p for p in w.parts if re.match(r'm\d+n\d+k\d+$', p))).groups()]


def types_of(w):
    return [p for p in w.parts if p in ELEMENTS]


@warp_rule('mma.sync')
def mma(w, site):
    M, N, K = shape_of(w)
    td, ta, tb, tc = types_of(w)
    sizes = {'f16': (8, 16), 'bf16': (8, 16), 'tf32': (4, 8), 's8': (16, 32), 'u8': (16, 32)}
    if (M, N) != (16, 8) or K not in sizes.get(ta, ()) or BYTES[ta] != BYTES[tb] or td != tc or not (w.has('row') and w.has('col')):
        w.refuse()
    if (ta in ('s8', 'u8')) != (td == 's32') or td not in ('f32', 's32', 'f16') or w.has('satfinite'):
        w.refuse()
    d, a, b, c = (w.names.vector(x) for x in w.operands[:4])
    if len(a) != M * K * BYTES[ta] // 128 or len(b) != N * K * BYTES[tb] // 128 or len(c) != M * N * BYTES[tc] // 128:
        w.refuse('number of registers')
    return (fragment(w.names, 'A', a) + fragment(w.names, 'B', b) + fragment(w.names, 'C', c) +
            f'mma_16_8 ({K}, {ELEMENTS[ta]}, {ELEMENTS[tb]}, {ELEMENTS[tc]}, A, B, C); b->count.matrix_flops += {2 * M * N * K}; ' +
            from_fragment(w.names, 'C', d))


WMMA_SHAPES = {'f16': {(16, 16, 16), (32, 8, 16), (8, 32, 16)}, 'bf16': {(16, 16, 16), (32, 8, 16), (8, 32, 16)},
               's8': {(16, 16, 16), (32, 8, 16), (8, 32, 16)}, 'u8': {(16, 16, 16), (32, 8, 16), (8, 32, 16)},
               'tf32': {(16, 16, 8)}}


def in_shared(w):
    return int(any(p.split('::')[0] == 'shared' for p in w.parts))


def wmma_extent(w, use):
    M, N, K = shape_of(w)
    return {'a': (M, K), 'b': (K, N), 'c': (M, N), 'd': (M, N)}[use]


def wmma_move(w, registers, use, access, site, stride):
    rows, columns = wmma_extent(w, use)
    address = w.operands[1 if access == 'ACCESS_LOAD' else 0]
    by_row = 'row' in w.parts
    default = columns if by_row else rows
    leading = w.names.value(w.operands[stride], 'u32') if len(w.operands) > stride else str(default)
    type = types_of(w)[0]
    return (f'{{ const int l = 0; wmma_move (b, w, {in_shared(w)}, {w.names.address(address)}, {leading}, {int(by_row)}, '
            f'{ELEMENTS[type]}, {rows}, {columns}, F, {access}, {site}); }} ')


@warp_rule('wmma.load')
def wmma_load(w, site):
    use, type = w.parts[2], types_of(w)[0]
    if use in 'ab' and tuple(shape_of(w)) not in WMMA_SHAPES.get(type, ()):
        w.refuse()
    registers = w.names.vector(w.operands[0])
    return ('u32 F[LANES][MAX_REGISTERS] = { 0 }; ' + wmma_move(w, registers, use, 'ACCESS_LOAD', site, 2) +
            from_fragment(w.names, 'F', registers))


@warp_rule('wmma.store')
def wmma_store(w, site):
    registers = w.names.vector(w.operands[1])
    return fragment(w.names, 'F', registers) + wmma_move(w, registers, 'd', 'ACCESS_STORE', site, 2)


@warp_rule('wmma.mma')
def wmma_multiply(w, site):
    shape = shape_of(w)
    types = types_of(w)
    td, ta, tb, tc = types if len(types) == 4 else (types[0], 'f16', 'f16', types[1])
    if tuple(shape) not in WMMA_SHAPES.get(ta, ()) or ta != tb or w.has('satfinite'):
        w.refuse()
    d, a, b, c = (w.names.vector(x) for x in w.operands[:4])
    return (fragment(w.names, 'A', a) + fragment(w.names, 'B', b) + fragment(w.names, 'C', c) +
            f'wmma_mma ({shape[0]}, {shape[1]}, {shape[2]}, {ELEMENTS[ta]}, {ELEMENTS[tc]}, {ELEMENTS[td]}, A, B, C); '
            f'b->count.matrix_flops += {2 * shape[0] * shape[1] * shape[2]}; ' + from_fragment(w.names, 'C', d))


def matrix_move(w, registers, address, access, site):
    if 'm8n8' not in w.parts or w.type != 'b16' or not in_shared(w):
        w.refuse()
    return ('u32 at[LANES]; ' + each(f'at[l] = (u32) ({w.names.address(address)});') +
            f'matrix_move (b, w, at, {len(registers)}, {int(w.has("trans"))}, F, {access}, {site}); ')


@warp_rule('ldmatrix')
def load_matrix(w, site):
    registers = w.names.vector(w.operands[0])
    return ('u32 F[LANES][MAX_REGISTERS] = { 0 }; ' + matrix_move(w, registers, w.operands[1], 'ACCESS_LOAD', site) +
            from_fragment(w.names, 'F', registers))


@warp_rule('stmatrix')
def store_matrix(w, site):
    registers = w.names.vector(w.operands[1])
    return fragment(w.names, 'F', registers) + matrix_move(w, registers, w.operands[0], 'ACCESS_STORE', site)


def rule_of(opcode):
    return next((prefix for prefix in TABLE if opcode.startswith(prefix)), None)


def mask_of(names, instruction):
    """The lanes that an instruction names, as C."""
    operand = TABLE[rule_of(instruction.opcode)][1]
    return '(u32) FULL_MASK' if operand is None else names.value(instruction.operands[operand], 'u32')


def translate(names, instruction, site):
    """C statements for the lanes m, which are those that the instruction names."""
    prefix = rule_of(instruction.opcode)
    if not prefix:
        raise PtxError(f'unknown instruction {instruction.opcode}')
    return TABLE[prefix][0](Words(names, instruction), site)
