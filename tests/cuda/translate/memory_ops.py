"""dsvl2: the CUDA stand-in: PTX instructions that touch memory, as C statements for the lanes of a mask
SPDX-License-Identifier: LGPL-2.1-or-later

Addresses of all lanes are computed first, then checked by one call of the runtime, which also turns offsets
in shared memory into pointers; then the lanes load or store.
"""
from lane_ops import Words
from operands import C_TYPES
from ptx_parser import SIZES, PtxError

SPACES = ('global', 'shared', 'local', 'param', 'const')
# What says only how long a cache may keep the data.
CACHE_HINTS = {'ca', 'cg', 'cs', 'lu', 'cv', 'wb', 'wt', 'nc', 'weak', 'L1::no_allocate', 'L1::evict_last', 'L1::evict_first',
               'L1::evict_normal', 'L1::evict_unchanged', 'L2::64B', 'L2::128B', 'L2::256B', 'L2::evict_last',
               'L2::evict_first', 'L2::evict_normal'}
# What orders accesses of different threads.
ORDERED = {'relaxed', 'acquire', 'release', 'acq_rel', 'volatile'}
SCOPES = {'cta', 'gpu', 'sys', 'cluster'}
VECTORS = {'v2': 2, 'v4': 4, 'v8': 8}
MEMORY_TYPES = {'b8', 'u8', 's8', 'b16', 'u16', 's16', 'b32', 'u32', 's32', 'f32', 'b64', 'u64', 's64', 'f64'}

NAMES = {'ld', 'ldu', 'st', 'atom', 'red', 'cp', 'isspacep'}


class Access:
    """The words of ld, st, atom and red, sorted."""

    def __init__(self, w, others=()):
        self.space, self.vector, self.ordered, self.others = 'generic', 1, False, []
        for part in w.parts[1:-1]:
            base = part.split('::')[0]
            if base in SPACES:
                self.space = base
            elif part in VECTORS:
                self.vector = VECTORS[part]
            elif part in ORDERED:
                self.ordered = True
            elif part in others:
                self.others.append(part)
            elif part not in CACHE_HINTS | SCOPES:
                w.refuse(f'unknown: .{part}')


def checked(names, space, operand, bytes, access, site):
    """Statements that leave a checked pointer for each lane in at[]."""
    call = 'shared_access' if space == 'shared' else 'generic_access'
    return (f'u64 at[LANES]; EACH_LANE_FAST (m, at[l] = {names.address(operand)};); '
            f'{call} (b, w, m, at, {bytes}, {access}, {site}); ')


def load_param(w, site):
    """Parameters are read from the kernel's own copy; slots of calls are registers."""
    operand = w.operands[1 if w.name == 'ld' else 0]
    slot = '%call_' + operand.strip('[] ').removesuffix('+0')
    if slot in w.names.registers:
        if w.name == 'st':
            return f'EACH_LANE (m, {w.names.store(slot, "b64", f"(u64) {w.value(1)}")});'
        return f'EACH_LANE (m, {w.result(f"({C_TYPES[w.type]}) {w.names.value(slot, chr(98) + str(64))}")});'
    if w.name == 'st':
        w.refuse('a kernel cannot write its parameters')
    pointer = w.names.param(operand, site)
    return 'EACH_LANE_FAST (m, ' + ' '.join(
        load_one(w, register, f'{pointer} + {i * SIZES[w.type]}')
        for i, register in enumerate(w.names.vector(w.operands[0]))) + ');'


def load_one(w, register, pointer):
    type = w.type
    if register == '_':
        return ';'
    bits = {1: 'u8', 2: 'u16', 4: 'u32', 8: 'u64'}[SIZES[type]]
    plain = type if type[0] in 'us' else {1: 'b8', 2: 'b16', 4: 'b32', 8: 'b64'}[SIZES[type]]
    return f'{{ {bits} x; memcpy (&x, (const void *) ({pointer}), sizeof x); {w.names.store(register, plain, f"({C_TYPES[plain]}) x")} }}'


def load_store(w, site):
    access = Access(w)
    if w.type not in MEMORY_TYPES:
        w.refuse(f'unknown: .{w.type}')
    if access.space == 'param':
        return load_param(w, site)
    is_store = w.name == 'st'
    data, operand = (w.operands[1], w.operands[0]) if is_store else (w.operands[0], w.operands[1])
    if len(w.operands) > 2:
        w.refuse('cache policies are not supported')
    if access.vector == 1 and data.startswith('{'):
        w.refuse('a vector without .v2, .v4 or .v8')
    size = SIZES[w.type]
    kind = 'ACCESS_STORE' if is_store else 'ACCESS_LOAD'
    if access.ordered and not (access.space == 'shared' and w.has('volatile')):
        kind = 'ACCESS_ATOMIC_STORE' if is_store else 'ACCESS_ATOMIC_LOAD'
    out = checked(w.names, access.space, operand, size * access.vector, kind, site)
    lane = []
    for i, register in enumerate(w.names.vector(data)):
        if is_store:
            bits = {1: 'b8', 2: 'b16', 4: 'b32', 8: 'b64'}[size]
            lane.append(f'{{ const {C_TYPES[bits]} x = {w.names.value(register, bits)}; memcpy ((u8 *) at[l] + {i * size}, &x, sizeof x); }}')
        else:
            lane.append(load_one(w, register, f'(u8 *) at[l] + {i * size}'))
    return out + f'EACH_LANE (m, {" ".join(lane)});'


ATOMICS = {
    'add': 'old + v', 'exch': 'v', 'and': 'old & v', 'or': 'old | v', 'xor': 'old ^ v', 'max': 'old > v ? old : v',
    'min': 'old < v ? old : v', 'inc': 'old >= v ? 0 : old + 1', 'dec': 'old == 0 || old > v ? v : old - 1',
    'cas': 'old == v ? other : old',
}


def atomic(w, site):
    access = Access(w, others=tuple(ATOMICS) + ('noftz',))
    operation = next((x for x in access.others if x in ATOMICS), None)
    if not operation or access.vector > 1 or w.type not in MEMORY_TYPES | {'f16x2', 'bf16x2'}:
        w.refuse()
    at = 0 if w.name == 'red' else 1
    value = w.names.value(w.operands[at + 1], w.type)
    c_type = C_TYPES[w.type]
    other = f'const {c_type} other = {w.names.value(w.operands[at + 2], w.type)}; ' if operation == 'cas' else ''
    new = ATOMICS[operation]
    if w.type.endswith('x2'):
        if operation != 'add':
            w.refuse()
        h = w.type.removesuffix('x2')
        one = lambda s: f'(u32) {h}_of_f32 (f32_of_{h} ((u16) (old >> {s})) + f32_of_{h} ((u16) (v >> {s}))) << {s}'
        new = f'{one(0)} | {one(16)}'
    store = w.result('old') if w.name == 'atom' else ''
    return (checked(w.names, access.space, w.operands[at], SIZES[w.type], 'ACCESS_ATOMIC', site) +
            f'EACH_LANE (m, {{ {c_type} old, new; memcpy (&old, (void *) at[l], sizeof old); const {c_type} v = {value}; '
            f'{other}new = {new}; memcpy ((void *) at[l], &new, sizeof new); {store} }});')


def copy_async(w, site):
    """cp.async{.ca,.cg}.shared.global [to], [from], bytes{, from_bytes}; and its groups."""
    if w.parts[1] != 'async' or w.has('bulk') or w.has('mbarrier'):
        w.refuse()
    if w.type == 'commit_group':
        return 'EACH_LANE (m, async_commit (w, l););'
    if w.type in ('wait_group', 'wait_all'):
        pending = w.operands[0] if w.type == 'wait_group' else '0'
        commit = 'async_commit (w, l); ' if w.type == 'wait_all' else ''
        return f'EACH_LANE (m, {commit}async_wait (b, w, l, {pending}););'
    for part in w.parts[2:]:
        if part.split('::')[0] not in ('ca', 'cg', 'shared', 'global', 'L2'):
            w.refuse(f'unknown: .{part}')
    bytes = w.operands[2]
    from_bytes = w.names.value(w.operands[3], 'u32') if len(w.operands) > 3 else bytes
    if bytes not in ('4', '8', '16') or (w.has('cg') and bytes != '16'):
        w.refuse('size')
    return (f'EACH_LANE (m, async_copy (b, w, l, (u32) ({w.names.address(w.operands[0])}), '
            f'{w.names.address(w.operands[1])}, {bytes}, {from_bytes}, {site}););')


def is_space(w, site):
    if w.type not in ('shared', 'global'):
        w.refuse()
    inside = f'({w.names.value(w.operands[1], "u64")} - (u64) b->shared < b->shared_bytes)'
    return f'EACH_LANE (m, {w.names.store(w.operands[0], "pred", inside if w.type == "shared" else "!" + inside)});'


def translate(names, instruction, site):
    """C statements for the lanes m."""
    w = Words(names, instruction)
    write = {'ld': load_store, 'ldu': load_store, 'st': load_store, 'atom': atomic, 'red': atomic, 'cp': copy_async,
             'isspacep': is_space}.get(w.name)
    if not write:
        raise PtxError(f'unknown instruction {instruction.opcode}')
    return write(w, site)
