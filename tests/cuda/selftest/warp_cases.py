"""dsvl2: the CUDA stand-in: what PTX's memory, warp-wide and control instructions must do
SPDX-License-Identifier: LGPL-2.1-or-later

A case is the body of a kernel of 32 threads. It finds its lane in %lane, the address of its first input in %in
(the next one 256 bytes on) and of its first result in %out (likewise); `dynamic` is 1 KiB of shared memory.
"""
import struct
from dataclasses import dataclass

WARP_CASES = []
NEXT = 256   # bytes from a lane's first input (result) to its second


@dataclass
class WarpCase:
    title: str
    body: str
    inputs: object        # (operand, lane) -> 64 bits
    expected: object      # (result, lane) -> 32 bits
    n_inputs: int = 1
    n_results: int = 1


def warp_case(title, body, expected, inputs=lambda i, l: l * 3 + 1, n_inputs=1, n_results=1):
    WARP_CASES.append(WarpCase(title, body, inputs, expected, n_inputs, n_results))


def given(l):
    return l * 3 + 1


LOAD = '.reg .b32 %a, %b, %c, %d; .reg .pred %p, %q; ld.global.u32 %a, [%in];\n'
STORE = '\nst.global.u32 [%out], %b;'

# --- shuffles, votes, reductions ------------------------------------------------------------------------
SHUFFLES = {
    'bfly': (5, 0x1f, lambda l: l ^ 5), 'down': (7, 0x1f, lambda l: l + 7 if l + 7 < 32 else l),
    'up': (3, 0, lambda l: l - 3 if l >= 3 else l), 'idx': (9, 0x1f, lambda l: 9),
}
for mode, (by, clamp, source) in SHUFFLES.items():
    warp_case(f'shfl.sync.{mode}.b32', LOAD + f'shfl.sync.{mode}.b32 %b, %a, {by}, {clamp}, -1;' + STORE, lambda i, l, s=source: given(s(l)))
warp_case('shfl.sync.down.b32 of halves of a warp, with its predicate',
          LOAD + f'shfl.sync.down.b32 %b|%p, %a, 4, 0x100f, -1; selp.u32 %c, 1, 0, %p; st.global.u32 [%out + {NEXT}], %c;' + STORE,
          lambda i, l: (given(l + 4 if l % 16 < 12 else l), int(l % 16 < 12))[i], n_results=2)
warp_case('shfl.sync.idx.b32 by a register', LOAD + 'xor.b32 %c, %lane, 31; shfl.sync.idx.b32 %b, %a, %c, 31, -1;' + STORE,
          lambda i, l: given(31 - l))
ODD = 'and.b32 %c, %lane, 1; setp.ne.u32 %p, %c, 0; '
warp_case('vote.sync.ballot.b32', LOAD + ODD + 'vote.sync.ballot.b32 %b, %p, -1;' + STORE, lambda i, l: 0xaaaaaaaa)
warp_case('vote.sync.ballot.b32 of a negated predicate', LOAD + ODD + 'vote.sync.ballot.b32 %b, !%p, -1;' + STORE, lambda i, l: 0x55555555)
for how, result in (('any', 1), ('all', 0), ('uni', 0)):
    warp_case(f'vote.sync.{how}.pred', LOAD + ODD + f'vote.sync.{how}.pred %q, %p, -1; selp.u32 %b, 1, 0, %q;' + STORE, lambda i, l, r=result: r)
warp_case('match.sync.any.b32', LOAD + 'and.b32 %c, %lane, 3; match.sync.any.b32 %b, %c, -1;' + STORE, lambda i, l: 0x11111111 << l % 4)
REDUCE = {'add': sum, 'min': min, 'max': max}
for how, f in REDUCE.items():
    warp_case(f'redux.sync.{how}.u32', LOAD + f'redux.sync.{how}.u32 %b, %a, -1;' + STORE, lambda i, l, f=f: f(given(k) for k in range(32)))
warp_case('redux.sync.min.s32', LOAD + 'redux.sync.min.s32 %b, %a, -1;' + STORE, lambda i, l: -31, inputs=lambda i, l: -l)
for how in ('and', 'or', 'xor'):
    def bits(how=how):
        out = given(0)
        for k in range(1, 32):
            out = {'and': out & given(k), 'or': out | given(k), 'xor': out ^ given(k)}[how]
        return out
    warp_case(f'redux.sync.{how}.b32', LOAD + f'redux.sync.{how}.b32 %b, %a, -1;' + STORE, lambda i, l, b=bits: b())
warp_case('activemask.b32 in a branch', LOAD + ODD + 'mov.u32 %b, 0; @!%p bra ELSE; activemask.b32 %b; bra.uni END; ELSE: activemask.b32 %b; END:' + STORE,
          lambda i, l: 0xaaaaaaaa if l % 2 else 0x55555555)

# --- control --------------------------------------------------------------------------------------------
warp_case('bra: a loop whose lanes leave one after the other',
          LOAD + 'mov.u32 %b, 0; LOOP: add.u32 %b, %b, %lane; add.u32 %c, %b, 0; setp.lt.u32 %p, %c, 100; setp.ne.and.u32 %p, %lane, 0, %p; @%p bra LOOP;' + STORE,
          lambda i, l: 0 if l == 0 else -(-100 // l) * l)
warp_case('ret: some lanes return early', LOAD + 'mov.u32 %b, 7; setp.gt.u32 %p, %lane, 9; @%p ret; mov.u32 %b, 8;' + STORE, lambda i, l: 8 if l <= 9 else 0)
warp_case('brx.idx', LOAD + 'and.b32 %c, %lane, 3; TABLE: .branchtargets L0, L1, L2, L0; brx.idx %c, TABLE; L0: mov.u32 %b, 10; bra.uni END; '
          'L1: mov.u32 %b, 11; bra.uni END; L2: mov.u32 %b, 12; END:' + STORE, lambda i, l: (10, 11, 12, 10)[l % 4])
SHARED = 'shl.b32 %c, %lane, 2; mov.u32 %d, dynamic; add.u32 %c, %c, %d; st.shared.u32 [%c], %a; '
OTHER = 'xor.b32 %c, %lane, 31; shl.b32 %c, %c, 2; add.u32 %c, %c, %d; ld.shared.u32 %b, [%c];'
warp_case('bar.sync', LOAD + SHARED + 'bar.sync 0; ' + OTHER + STORE, lambda i, l: given(31 - l))
warp_case('barrier.sync', LOAD + SHARED + 'barrier.sync 0; ' + OTHER + STORE, lambda i, l: given(31 - l))
warp_case('bar.warp.sync', LOAD + SHARED + 'bar.warp.sync -1; ' + OTHER + STORE, lambda i, l: given(31 - l))
warp_case('bar.red.popc.u32', LOAD + ODD + 'bar.red.popc.u32 %b, 0, %p;' + STORE, lambda i, l: 16)
for how, result in (('and', 0), ('or', 1)):
    warp_case(f'bar.red.{how}.pred', LOAD + ODD + f'bar.red.{how}.pred %q, 0, %p; selp.u32 %b, 1, 0, %q;' + STORE, lambda i, l, r=result: r)

# --- memory ---------------------------------------------------------------------------------------------
for type, mask in (('u8', 0xff), ('u16', 0xffff), ('u32', 0xffffffff), ('b32', 0xffffffff)):
    for how in ('ld.global', 'ld.global.nc', 'ldu.global', 'ld.volatile.global', 'ld.relaxed.gpu.global', 'ld.global.L1::no_allocate.L2::128B'):
        if type in ('u32', 'u8') or how == 'ld.global':
            warp_case(f'{how}.{type}', LOAD + f'{how}.{type} %b, [%in];' + STORE, lambda i, l, m=mask: 0x81828384 & m, inputs=lambda i, l: 0x81828384)
warp_case('ld.global.s8', LOAD + 'ld.global.s8 %b, [%in];' + STORE, lambda i, l: -124, inputs=lambda i, l: 0x81828384)
warp_case('ld.global.s16', LOAD + 'ld.global.s16 %b, [%in];' + STORE, lambda i, l: 0x8384 - 0x10000, inputs=lambda i, l: 0x81828384)
warp_case('ld.global.v2.u32', LOAD + f'ld.global.v2.u32 {{%b, %c}}, [%in]; st.global.u32 [%out + {NEXT}], %c;' + STORE,
          lambda i, l: (given(l), 77)[i], inputs=lambda i, l: given(l) | 77 << 32, n_results=2)
warp_case('st.global.v2.u16, st.global.u8', LOAD + '.reg .b16 %h, %g; mov.b32 {%h, %g}, %a; st.global.v2.u16 [%out], {%g, %h}; st.global.u8 [%out + 4], %a;',
          lambda i, l: 0x33441122, inputs=lambda i, l: 0x11223344)
warp_case('ld.shared.v4.f32, st.shared.v4.f32', LOAD + 'mov.u32 %d, dynamic; shl.b32 %c, %lane, 4; add.u32 %d, %d, %c; '
          'st.shared.v4.f32 [%d], {%a, %lane, %a, %c}; ld.shared.v4.f32 {_, %b, _, _}, [%d];' + STORE, lambda i, l: l)
warp_case('st.volatile.shared, st.release.gpu.global', LOAD + 'mov.u32 %d, dynamic; shl.b32 %c, %lane, 2; add.u32 %d, %d, %c; st.volatile.shared.u32 [%d], %a; '
          'ld.volatile.shared.u32 %b, [%d]; st.release.gpu.global.u32 [%out], %b;', lambda i, l: given(l))
warp_case('ld.local, st.local', '.local .align 8 .b8 stack[16];' + LOAD + '.reg .b64 %s, %t; mov.u64 %s, stack; cvta.local.u64 %t, %s; '
          'st.local.u32 [%s + 8], %a; ld.u32 %b, [%t + 8];' + STORE, lambda i, l: given(l))
warp_case('generic addresses of shared memory, isspacep', LOAD + '.reg .b64 %s, %g; ' + SHARED + 'cvt.u64.u32 %s, %c; cvta.shared.u64 %g, %s; isspacep.shared %p, %g; '
          f'ld.u32 %b, [%g]; selp.u32 %c, 1, 0, %p; st.global.u32 [%out + {NEXT}], %c;' + STORE, lambda i, l: (given(l), 1)[i], n_results=2)
warp_case('ld.param by a register: the second parameter, %out, again', '.reg .b64 %s, %t; mov.b64 %s, $name_in; ld.param.u64 %t, [%s + 8]; sub.u64 %t, %out, %t; '
          'st.global.u32 [%out], %t;', lambda i, l: 8 * l)
ATOMIC = {
    'add': lambda v: sum(v), 'min': min, 'max': max, 'and': lambda v: __import__('functools').reduce(int.__and__, v),
    'or': lambda v: __import__('functools').reduce(int.__or__, v), 'xor': lambda v: __import__('functools').reduce(int.__xor__, v),
}
FIRST = 'mul.wide.u32 %at, %lane, 8; sub.u64 %at, %out, %at; '
for how, f in ATOMIC.items():
    type = 'b32' if how in ('and', 'or', 'xor') else 'u32'
    start = 0xffffffff if how in ('and', 'min') else 0
    init = f'mov.u32 %c, {start}; setp.eq.u32 %p, %lane, 0; @%p st.global.u32 [%at], %c; bar.warp.sync -1; '
    warp_case(f'red.global.{how}.{type}', LOAD + FIRST + init + f'red.global.{how}.{type} [%at], %a;', lambda i, l, f=f: f([given(k) for k in range(32)]) if l == 0 else 0)
warp_case('red.global.add.f32', LOAD + FIRST + 'cvt.rn.f32.u32 %a, %a; red.global.add.f32 [%at], %a;',
          lambda i, l: struct.unpack('<I', struct.pack('<f', sum(given(k) for k in range(32))))[0] if l == 0 else 0)
warp_case('atom.global.add.u32', LOAD + FIRST + f'mov.u32 %c, 1; atom.global.add.u32 %b, [%at + {NEXT}], %c; add.u32 %b, %b, 5;' + STORE, lambda i, l: l + 5)
warp_case('atom.shared.exch.b32', LOAD + SHARED + 'atom.shared.exch.b32 %b, [%c], %lane; ld.shared.u32 %a, [%c]; mad.lo.u32 %b, %b, 100, %a;' + STORE, lambda i, l: given(l) * 100 + l)
warp_case('atom.shared.cas.b32', LOAD + SHARED + 'atom.shared.cas.b32 %b, [%c], 4, 99; ld.shared.u32 %b, [%c];' + STORE, lambda i, l: 99 if given(l) == 4 else given(l))
warp_case('atom.shared.inc.u32', LOAD + SHARED + 'atom.shared.inc.u32 %b, [%c], 10; ld.shared.u32 %b, [%c];' + STORE, lambda i, l: 0 if given(l) >= 10 else given(l) + 1)
warp_case('atom.shared.dec.u32', LOAD + SHARED + 'atom.shared.dec.u32 %b, [%c], 10; ld.shared.u32 %b, [%c];' + STORE, lambda i, l: 10 if given(l) > 10 else given(l) - 1)
COPY = 'mov.u32 %d, dynamic; shl.b32 %c, %lane, 3; add.u32 %d, %d, %c; '
warp_case('cp.async.ca.shared.global, commit_group, wait_group', LOAD + COPY + 'cp.async.ca.shared.global [%d], [%in], 8; cp.async.commit_group; cp.async.wait_group 0; '
          'ld.shared.u32 %b, [%d];' + STORE, lambda i, l: given(l))
warp_case('cp.async with fewer bytes to read, wait_all', LOAD + COPY + f'cp.async.ca.shared.global [%d], [%in], 8, 4; cp.async.wait_all; ld.shared.v2.u32 {{%b, %c}}, [%d]; '
          f'st.global.u32 [%out + {NEXT}], %c;' + STORE, lambda i, l: (given(l), 0)[i], inputs=lambda i, l: given(l) | 5 << 32, n_results=2)
warp_case('cp.async: wait_group 1 leaves the newest group', LOAD + COPY + 'cp.async.ca.shared.global [%d], [%in], 8; cp.async.commit_group; '
          f'cp.async.ca.shared.global [%d + 256], [%in + {NEXT}], 8; cp.async.commit_group; cp.async.wait_group 1; ld.shared.u32 %b, [%d]; cp.async.wait_group 0;' + STORE,
          lambda i, l: given(l), n_inputs=2)


# --- matrices -------------------------------------------------------------------------------------------
def small(i, k):
    """Integers that every type holds exactly."""
    return (i * 7 + k * 3) % 5 - 2


def bf16(v):
    return struct.unpack('<I', struct.pack('<f', float(v)))[0] >> 16


def f16(v):
    return struct.unpack('<H', struct.pack('<e', float(v)))[0]


def f32(v):
    return struct.unpack('<I', struct.pack('<f', float(v)))[0]


MMA_TYPES = {'bf16': (bf16, 2, 'f32'), 'f16': (f16, 2, 'f32'), 'tf32': (f32, 4, 'f32'), 's8': (lambda v: v & 255, 1, 's32')}


def mma_case(type, K):
    """PTX's manual, "Matrix fragments for mma.m16n8kK": groupID = lane / 4, threadID_in_group = lane % 4."""
    encode, size, result = MMA_TYPES[type]
    per = 4 // size
    n_a, n_b = 16 * K // 32 // per, 8 * K // 32 // per

    def word(l, register, of):
        group, thread = l >> 2, l & 3
        out = 0
        for j in range(per):
            k = thread * per + j
            if of == 'a':
                row, k = group + (8 if register % 2 else 0), k + (4 * per if register >= 2 else 0)
                v = small(row, k)
            else:
                v = small(k + (4 * per if register else 0) + 11, group)
            out |= encode(v) << 8 * size * j
        return out
    registers = [f'%m{i}' for i in range(n_a + n_b)]
    load = ' '.join(f'ld.global.u32 {r}, [%in + {i * NEXT}];' for i, r in enumerate(registers))
    a, b = ', '.join(registers[:n_a]), ', '.join(registers[n_a:])
    body = (f'.reg .b32 {", ".join(registers)}; .reg .b32 %s0, %s1, %s2, %s3;' + load +
            'mov.b32 %s0, 0; mov.b32 %s1, 0; mov.b32 %s2, 0; mov.b32 %s3, 0;'
            f'mma.sync.aligned.m16n8k{K}.row.col.{result}.{type}.{type}.{result} {{%s0, %s1, %s2, %s3}}, {{{a}}}, {{{b}}}, {{%s0, %s1, %s2, %s3}};' +
            ' '.join(f'st.global.u32 [%out + {i * NEXT}], %s{i};' for i in range(4)))

    def expected(i, l):
        row, column = (l >> 2) + (8 if i >= 2 else 0), (l & 3) * 2 + (i & 1)
        total = sum(small(row, k) * small(k + 11, column) for k in range(K))
        return f32(total) if result == 'f32' else total
    warp_case(f'mma.sync m16n8k{K} {type}', body, expected, inputs=lambda i, l: word(l, i, 'a') if i < n_a else word(l, i - n_a, 'b'),
              n_inputs=n_a + n_b, n_results=4)


for type, K in (('bf16', 16), ('bf16', 8), ('f16', 16), ('f16', 8), ('tf32', 8), ('tf32', 4), ('s8', 32), ('s8', 16)):
    mma_case(type, K)


def matrix_case(transposed):
    """Lane l's two input words are row l / 8 · 8 + l % 8 … of matrices of 8 × 8; element = 16 · row + column."""
    def expected(i, l):
        at = lambda r, c: (i * 8 + r) * 8 + c
        pair = [at(l % 4 * 2 + h, l // 4) if transposed else at(l // 4, l % 4 * 2 + h) for h in (0, 1)]
        return pair[0] | pair[1] << 16
    store = 'mov.u32 %d, dynamic; shl.b32 %c, %lane, 3; add.u32 %c, %c, %d; .reg .b64 %w; ld.global.u64 %w, [%in]; st.shared.u64 [%c], %w; bar.warp.sync -1; '
    body = (LOAD + store + 'and.b32 %c, %lane, 15; shl.b32 %c, %c, 4; add.u32 %c, %c, %d; '
            f'ldmatrix.sync.aligned.m8n8.x2{".trans" if transposed else ""}.shared.b16 {{%a, %b}}, [%c]; st.global.u32 [%out + {NEXT}], %b; st.global.u32 [%out], %a;')
    warp_case(f'ldmatrix x2{" trans" if transposed else ""}', body, expected, n_results=2,
              inputs=lambda i, l: sum((l * 4 + j) << 16 * j for j in range(4)))


matrix_case(False)
matrix_case(True)
warp_case('stmatrix, then ldmatrix, gives the same', LOAD + 'mov.u32 %d, dynamic; and.b32 %c, %lane, 7; shl.b32 %c, %c, 4; add.u32 %c, %c, %d; '
          'stmatrix.sync.aligned.m8n8.x1.shared.b16 [%c], {%a}; bar.warp.sync -1; ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%b}, [%c];' + STORE, lambda i, l: given(l))


def wmma_case(type, by_row_b):
    """A 16 × 16 and B 16 × 16 in shared memory, C = A · B written to the results, 128 floats of it."""
    encode = {'bf16': bf16, 'f16': f16}[type]
    n_ab = 4 if type == 'bf16' else 8
    registers = lambda name, n: ', '.join(f'%{name}{i}' for i in range(n))
    layout = 'row' if by_row_b else 'col'
    # lane l brings 8 elements of A (words 0, 1) and of B (words 2, 3): elements 8 l … 8 l + 7
    body = ('.reg .b32 %d, %c; .reg .b64 %w; mov.u32 %d, dynamic; shl.b32 %c, %lane, 4; add.u32 %c, %c, %d; ' +
            ' '.join(f'ld.global.u64 %w, [%in + {i * NEXT}]; st.shared.u64 [%c + {(i // 2) * 512 + (i % 2) * 8}], %w;' for i in range(4)) +
            f'bar.warp.sync -1; .reg .b32 {registers("fa", n_ab)}, {registers("fb", n_ab)}, {registers("fc", 8)}; ' +
            ' '.join(f'mov.b32 %fc{i}, 0;' for i in range(8)) +
            f'wmma.load.a.sync.aligned.row.m16n16k16.shared.{type} {{{registers("fa", n_ab)}}}, [%d], 16; '
            f'wmma.load.b.sync.aligned.{layout}.m16n16k16.shared.{type} {{{registers("fb", n_ab)}}}, [%d + 512], 16; ' +
            f'wmma.mma.sync.aligned.row.{layout}.m16n16k16.f32' + (f'.{type}.{type}.f32' if type == 'bf16' else '.f32') +
            f' {{{registers("fc", 8)}}}, {{{registers("fa", n_ab)}}}, {{{registers("fb", n_ab)}}}, {{{registers("fc", 8)}}}; ' +
            FIRST + f'wmma.store.d.sync.aligned.row.m16n16k16.global.f32 [%at], {{{registers("fc", 8)}}}, 16; ')
    element = lambda which, e: small(e // 16, e % 16) if which == 0 else small(e // 16 + 11, e % 16) if by_row_b else small(e % 16 + 11, e // 16)

    def expected(i, l):
        e = 2 * (i * 32 + l)                     # a result's slot is two floats
        return f32(sum(small(e // 16, k) * small(k + 11, e % 16) for k in range(16)))
    warp_case(f'wmma m16n16k16 {type}, B by {layout}', body, expected, n_inputs=4, n_results=4,
              inputs=lambda i, l: sum(encode(element(i // 2, 8 * l + 4 * (i % 2) + j)) << 16 * j for j in range(4)))


for type in ('bf16', 'f16'):
    wmma_case(type, True)
    wmma_case(type, False)
