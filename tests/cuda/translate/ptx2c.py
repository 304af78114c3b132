#!/usr/bin/env python3
"""dsvl2: the CUDA stand-in: translates nvcc's PTX into C that runs a warp in lock step
SPDX-License-Identifier: LGPL-2.1-or-later

usage: ptx2c.py FILE.ptx… > FILE.c

The C includes device/arith.h, device/warp.h and device/matrix.h. An instruction, modifier, type or operand
that is not known is an error that names it.
"""
import re
import sys

import lane_ops
import memory_ops
import warp_ops
from operands import C_TYPES, STORED, Operands, c_name
from ptx_parser import SIZES, Label, PtxError, parse

BARRIER = re.compile(r'(bar|barrier)\.(cta\.)?(sync|red)\b')
BRANCH = {'bra', 'brx', 'ret', 'exit', 'trap'}
MAX_BLOCKS = 65535


def is_meeting(instruction):
    """Does it begin a basic block of its own, in which lanes wait for each other?"""
    rule = warp_ops.rule_of(instruction.opcode)
    return bool(BARRIER.match(instruction.opcode)) or (rule is not None and rule != 'activemask')


class KernelWriter:
    def __init__(self, kernel, variables, prefix):
        self.kernel, self.prefix = kernel, prefix
        self.names = Operands(kernel, variables)
        self.id = f'{prefix}_{c_name(kernel.name)}'
        self.sites, self.barriers, self.costs = [], [], []
        self.blocks, self.label_block = self.cut()

    def cut(self):
        """-> lists of instructions, {label: number of its block}"""
        blocks, labels = [[]], {}
        for item in self.kernel.body:
            if isinstance(item, Label):
                if blocks[-1]:
                    blocks.append([])
                labels[item.name] = len(blocks) - 1
                continue
            if is_meeting(item) and blocks[-1]:
                blocks.append([])
            blocks[-1].append(item)
            if item.parts[0] in BRANCH or BARRIER.match(item.opcode):
                blocks.append([])
        if len(blocks) > MAX_BLOCKS:
            raise PtxError(f'{self.kernel.name}: {len(blocks)} basic blocks')
        return blocks, labels

    def site(self, instruction):
        """A C pointer to the instruction's Site."""
        name, line = instruction.location
        self.sites.append(f'{{ "{name}", {line} }}')
        return f'&sites_{self.id}[{len(self.sites) - 1}]'

    def write(self):
        body = []
        for number, block in enumerate(self.blocks):
            body.append(f'  case {number}:\n  B{number}:\n    b->visits[{number}] += __builtin_popcount (m);')
            try:
                body += self.block(number, block)
            except PtxError as e:
                raise PtxError(f'{self.kernel.name}: {e}') from None
            self.costs.append(self.cost(block))
        registers = ' '.join(f'{STORED[SIZES[type]]} {name}[LANES];' for name, type in self.names.registers.values())
        sites = ', '.join(self.sites) or '{ 0 }'
        return '\n'.join([
            f'/* {self.kernel.name} */',
            f'typedef struct {{ {registers or "u8 none;"} }} Registers_{self.id};',
            f'static Site sites_{self.id}[] = {{ {sites} }};',
            f'static void run_{self.id} (Block *b, Warp *w)\n{{',
            f'  Registers_{self.id} *const r = w->regs;\n  u32 m;\n  int block;',
            '  (void) r;\nnext:\n  block = warp_next (b, w, &m);\n  if (block < 0) return;\n  switch (block) {',
            *body, '  }\n}', self.tables()])

    def tables(self):
        """What the runtime knows of a kernel, as constant arrays."""
        k = self.kernel

        def array(type, name, rows):
            return f'static const {type} {name}_{self.id}[] = {{ {", ".join(rows) or "{ 0 }"} }};'
        return '\n'.join([
            array('Extent', 'params', [f'{{ {o}, {n} }}' for o, n in k.params.values()]),
            array('Extent', 'arrays', [f'{{ {o}, {n} }}' for o, n in self.names.shared.values()]),
            array('Cost', 'costs', ['{ %d, %d, %d, %d }' % c for c in self.costs])])

    def row(self):
        k = self.kernel
        return (f'{{ "{k.name}", run_{self.id}, sizeof (Registers_{self.id}), params_{self.id}, {len(k.params)}, {k.param_bytes}, '
                f'arrays_{self.id}, {len(self.names.shared)}, {self.names.static_bytes}, {self.names.local_bytes}, {k.max_threads}, '
                f'costs_{self.id}, {len(self.blocks)} }}')

    @staticmethod
    def cost(block):
        flops = [lane_ops.cost(i) for i in block]
        return len(block), sum(f for f, _ in flops), 0, sum(s for _, s in flops)

    # --- one basic block ---------------------------------------------------------------------------------

    def block(self, number, block):
        out, arithmetic, ended = [], [], False

        def flush():
            """Instructions that each lane computes alone, one after the other, are one loop over lanes."""
            if arithmetic:
                out.append(f'    EACH_LANE_FAST (m, {" ".join(arithmetic)});')
                arithmetic.clear()
        for instruction in block:
            name = instruction.parts[0]
            if name in lane_ops.TABLE:
                c = lane_ops.translate(self.names, instruction)
                if instruction.predicate:
                    flush()
                    out.append(f'    EACH_LANE ({self.lanes(instruction)}, {c});')
                else:
                    arithmetic.append(f'{{ {c} }}' if c.startswith('const') else c)
                continue
            flush()
            if name in BRANCH:
                c, ended = self.branch(number, instruction)
            elif BARRIER.match(instruction.opcode):
                c, ended = self.barrier(number, instruction), True
            elif isinstance(instruction, _VotesResult):
                c = instruction.write(self.names)
            elif is_meeting(instruction):
                c = self.meeting(number, instruction)
            elif name == 'activemask':
                c = warp_ops.translate(self.names, instruction, '0')
            elif name == 'call':
                c = self.call(instruction)
            else:
                c = memory_ops.translate(self.names, instruction, self.site(instruction))
                c = f'{{ const u32 all_ = m; {{ const u32 m = all_ & {self.lanes(instruction, "all_")}; {c} }} }}' if instruction.predicate else f'{{ {c} }}'
            out.append('    ' + c)
        flush()
        if not ended:
            out.append(f'    GO_TO ({number + 1});' if number + 1 < len(self.blocks) else '    RETURN (m);\n    goto next;')
        return out

    def lanes(self, instruction, m='m'):
        """The lanes that run it, as C."""
        if not instruction.predicate:
            return m
        register, wanted = instruction.predicate
        return f'lanes_where ({m}, r->{self.names.register(register)}, {int(bool(wanted))})'

    def branch(self, number, instruction):
        """-> C, whether nothing comes after it"""
        name, lanes = instruction.parts[0], self.lanes(instruction)
        if name == 'trap':
            return f'if ({lanes}) device_fault (b, w, __builtin_ctz ({lanes}), {self.site(instruction)}, "trap");', False
        if name in ('ret', 'exit'):
            return f'RETURN ({lanes});', not instruction.predicate
        if name == 'brx':
            targets = self.kernel.branch_targets[instruction.operands[1]]
            cases = ' '.join(f'if (index == {i}) w->pc[l] = {self.label_block[t]};' for i, t in enumerate(targets))
            return (f'EACH_LANE (m, const u32 index = {self.names.value(instruction.operands[0], "u32")}; {cases}); goto next;', True)
        to = self.label_block[instruction.operands[0]]
        if instruction.predicate:
            return f'BRANCH ({lanes}, {to}, {number + 1});', False
        return f'GO_TO ({to});', True

    def barrier(self, number, instruction):
        """bar.sync 0; bar.red.{popc,and,or} result, 0, predicate"""
        if instruction.predicate:
            raise PtxError(f'{instruction.opcode} with a predicate')
        counts = 'red' in instruction.parts
        named = instruction.operands[1 if counts else 0]
        extra = instruction.operands[2:] if counts else instruction.operands[1:]
        if named not in ('0', '0x0') or len(extra) != int(counts):
            raise PtxError(f'{instruction.opcode} {", ".join(instruction.operands)}: only barrier 0 of the whole block is supported')
        site = self.site(instruction)
        self.barriers.append(site)
        if not counts:
            return (f'if (({site})->dropped)\n      GO_TO ({number + 1});\n    MEET ((w->live), {number}, {site}, "bar.sync"); '
                    f'BLOCK_BARRIER ({number + 1}, {site}, 0);')
        votes = f'u32 votes = 0; EACH_LANE (m, votes += ({self.names.value(extra[0], "pred")}) != 0;);'
        # The result is read as the next block begins, when all warps have voted.
        self.blocks[number + 1].insert(0, _VotesResult(instruction))
        return f'{{ MEET ((w->live), {number}, {site}, "bar.red"); {votes} BLOCK_BARRIER ({number + 1}, {site}, votes); }}'

    def meeting(self, number, instruction):
        if instruction.predicate:
            raise PtxError(f'{instruction.opcode} with a predicate')
        site = self.site(instruction)
        what = '.'.join(instruction.parts[:2])
        named = warp_ops.mask_of(self.names, instruction)
        skip = ''
        if instruction.opcode.startswith('bar.warp'):
            self.barriers.append(site)
            skip = f'if (({site})->dropped)\n      GO_TO ({number + 1});\n    ' if number + 1 < len(self.blocks) else ''
        meet = f'{{ const int l = __builtin_ctz (m); const u32 mask = {named}; (void) l; MEET (mask, {number}, {site}, "{what}"); }}'
        return f'{skip}{meet} {{ {warp_ops.translate(self.names, instruction, site)} }}'

    def call(self, instruction):
        function = instruction.operands[-2] if len(instruction.operands) > 1 else instruction.operands[0]
        slots = [self.names.value('%call_' + x.strip(), 'b64') for x in instruction.operands[-1].strip('() ').split(',')]
        lanes = self.lanes(instruction)
        if function == 'vprintf':
            return f'EACH_LANE ({lanes}, device_printf ((const char *) {slots[0]}, (const u8 *) {slots[1]}););'
        if function == '__assertfail':
            return (f'EACH_LANE ({lanes}, device_fault (b, w, l, {self.site(instruction)}, "assertion failed: %s (%s:%u)", '
                    f'(const char *) {slots[0]}, (const char *) {slots[1]}, (u32) {slots[2]}););')
        raise PtxError(f'call of {function}: functions that are not inlined are not supported')


class _VotesResult:
    """Stands where the result of bar.red is stored."""
    predicate = None

    def __init__(self, instruction):
        self.instruction = instruction
        self.opcode = 'bar.warp.votes'
        self.parts = ['bar', 'warp', 'votes']
        self.location = instruction.location

    def write(self, names):
        how = self.instruction.parts[-2]
        result = self.instruction.operands[0]
        value = {'popc': ('u32', 'b->votes'), 'and': ('pred', 'b->votes == b->ntid[0] * b->ntid[1] * b->ntid[2]'),
                 'or': ('pred', 'b->votes != 0')}[how]
        return f'EACH_LANE (m, {names.store(result, *value)});'


def write_variables(module, prefix):
    """C definitions, rows of Variable."""
    out, rows = [], []
    for v in module.variables:
        if v.space not in ('global', 'const'):
            continue
        values = v.values or '{ 0 }'
        values = values if values.startswith('{') else f'{{ {values} }}'
        n = max(1, v.bytes // SIZES[v.type])
        out.append(f'static {C_TYPES[v.type]} v_{c_name(v.name)}[{n}] __attribute__ ((aligned ({max(16, v.alignment)}))) = {values};')
        rows.append(f'{{ "{v.name}", v_{c_name(v.name)}, sizeof v_{c_name(v.name)} }}')
    return out, rows


def translate(text, prefix='k'):
    """PTX text -> C text"""
    module = parse(text)
    variables, variable_rows = write_variables(module, prefix)
    writers = [KernelWriter(k, module.variables, prefix) for k in module.kernels]
    functions = [w.write() for w in writers]
    barriers = [s for w in writers for s in w.barriers]

    def table(type, name, rows, last):
        return f'static {type} {name}[] = {{ {", ".join(rows + [last])} }};'
    return '\n'.join([
        '#include "arith.h"\n#include "matrix.h"\n#include "warp.h"', *variables, *functions,
        table('const Kernel', 'kernels', [w.row() for w in writers], '{ 0 }'),
        table('const Variable', 'variables', variable_rows, '{ 0 }'),
        table('Site *const', 'barriers', barriers, '0'),
        '__attribute__ ((constructor)) static void announce (void)\n{',
        f'  device_register (kernels, {len(writers)}, variables, {len(variable_rows)}, barriers, {len(barriers)});\n}}\n'])


def main():
    try:
        for path in sys.argv[1:]:
            with open(path, encoding='utf-8') as f:
                sys.stdout.write(translate(f.read()))
    except PtxError as e:
        sys.exit(f'ptx2c: {path}: {e}')


if __name__ == '__main__':
    main()
