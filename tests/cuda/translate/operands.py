"""dsvl2: the CUDA stand-in: PTX operands as C expressions
SPDX-License-Identifier: LGPL-2.1-or-later

A register is an array r->name[32] of unsigned integers of its width; l is the lane. C types are those of
device/device.h.
"""
import re

from ptx_parser import SIZES, PtxError, align, split_operands

C_TYPES = {'pred': 'u8', 'b8': 'u8', 'u8': 'u8', 's8': 's8', 'b16': 'u16', 'u16': 'u16', 's16': 's16', 'bf16': 'u16',
           'f16': 'u16', 'b32': 'u32', 'u32': 'u32', 's32': 's32', 'f32': 'float', 'tf32': 'u32', 'bf16x2': 'u32',
           'f16x2': 'u32', 'b64': 'u64', 'u64': 'u64', 's64': 's64', 'f64': 'double'}
STORED = {1: 'u8', 2: 'u16', 4: 'u32', 8: 'u64'}

RED_ZONE = 16         # bytes behind each array in shared memory (device.h)
SHARED_ALIGNMENT = 16
DYNAMIC_ALIGNMENT = 128

SPECIAL = {
    '%laneid': 'l', '%warpid': 'w->id', '%smid': '0', '%nsmid': '1', 'WARP_SZ': '32',
    '%lanemask_lt': '((1u << l) - 1)', '%lanemask_eq': '(1u << l)', '%lanemask_le': '((2u << l) - 1)',
    '%lanemask_gt': '~((2u << l) - 1)', '%lanemask_ge': '~((1u << l) - 1)',
    '%dynamic_smem_size': 'b->dynamic_bytes', '%total_smem_size': 'b->shared_bytes',
}


def c_name(name):
    return re.sub(r'\W', '_', name)


class Operands:
    """Names of one kernel: registers, parameters, variables."""

    def __init__(self, kernel, variables):
        self.registers = {name: ('r_' + c_name(name), type) for name, type in kernel.registers.items()}
        self.params = kernel.params
        self.variables = {v.name for v in variables if v.space in ('global', 'const')}
        self.shared, self.static_bytes = self.place_shared(kernel.shared + [v for v in variables if v.space == 'shared'])
        self.local, self.local_bytes = {}, 0
        for array in kernel.local:
            offset = align(self.local_bytes, array.alignment)
            self.local[array.name] = offset
            self.local_bytes = align(offset + array.bytes, 16)

    @staticmethod
    def place_shared(arrays):
        """-> {name: (offset, bytes)}, bytes of the static ones; the dynamic array begins behind them."""
        placed, end = {}, 0
        for array in (a for a in arrays if not a.external):
            offset = align(end, max(array.alignment, SHARED_ALIGNMENT))
            placed[array.name] = (offset, array.bytes)
            end = offset + array.bytes + RED_ZONE
        end = align(end, DYNAMIC_ALIGNMENT)
        for array in (a for a in arrays if a.external):
            placed[array.name] = (end, 0)
        return placed, end

    def type_of(self, register):
        if register not in self.registers:
            raise PtxError(f'{register} is not a register')
        return self.registers[register][1]

    def register(self, name):
        return self.registers[name][0]

    def value(self, operand, type):
        """An expression of C type C_TYPES[type]."""
        if type == 'pred' and operand.startswith('!'):
            return '!' + self.value(operand[1:], type)
        bits = self.bits(operand, type)
        if type == 'f32':
            return f'f32_of_bits ({bits})'
        if type == 'f64':
            return f'f64_of_bits ({bits})'
        return f'({C_TYPES[type]}) {bits}'

    def bits(self, operand, type):
        if operand in self.registers:
            return f'r->{self.register(operand)}[l]'
        if m := re.match(r'0[fF]([0-9a-fA-F]{8})$', operand) or re.match(r'0[dD]([0-9a-fA-F]{16})$', operand):
            return f'0x{m[1]}u' if len(m[1]) == 8 else f'0x{m[1]}ull'
        if re.match(r'-?(0[xX][0-9a-fA-F]+|\d+)U?$', operand):
            number = int(operand.rstrip('U'), 0) & (2 ** (8 * max(SIZES[type], 4)) - 1)
            return f'{number:#x}' + ('ull' if number >= 2 ** 32 else 'u')
        if operand in self.shared:
            return f'{self.shared[operand][0]}u'
        if operand in self.local:
            return f'((u64) w->local[l] + {self.local[operand]})'
        if operand in self.params:
            return f'(u64) (b->param + {self.params[operand][0]})'
        if operand in self.variables:
            return f'(u64) v_{c_name(operand)}'
        if m := re.match(r'%(n?tid|n?ctaid)\.([xyz])$', operand):
            index = 'xyz'.index(m[2])
            return f'w->tid[{index}][l]' if m[1] == 'tid' else f'b->{m[1]}[{index}]'
        if operand in SPECIAL:
            return SPECIAL[operand]
        raise PtxError(f'unknown operand {operand}')

    def store(self, register, type, expression):
        """A statement that sets a register to an expression of type C_TYPES[type]."""
        if register == '_':
            return f'(void) ({expression});'
        width = SIZES[self.type_of(register)]
        if type == 'f32':
            expression = f'bits_of_f32 ({expression})'
        elif type == 'f64':
            expression = f'bits_of_f64 ({expression})'
        elif type == 'pred':
            expression = f'({expression}) != 0'
        elif C_TYPES[type].startswith('s') and width > SIZES[type]:
            expression = f'({STORED[width]}) (s64) ({expression})'
        return f'r->{self.register(register)}[l] = {expression};'

    def vector(self, operand):
        """'{a, b}' or 'a' -> registers"""
        return split_operands(operand.strip('{} ')) if operand.startswith('{') else [operand]

    def address(self, operand):
        """'[%rd1 + 8]' -> a u64"""
        m = re.match(r'\[\s*([%$\w.]+)\s*(?:\+\s*(-?\w+))?\s*\]$', operand)
        if not m:
            raise PtxError('address ' + operand)
        base = self.bits(m[1], 'u64')
        if m[1] in self.registers and SIZES[self.type_of(m[1])] == 4:
            base = f'(u64) {base}'
        return base + (f' + (u64) (s64) {m[2]}' if m[2] else '')

    def param(self, operand, site):
        """'[name + 8]' or '[%rd1 + 8]' -> a pointer into the kernel's parameters"""
        m = re.match(r'\[\s*([%$\w]+)\s*(?:\+\s*(-?\d+))?\s*\]$', operand)
        if m and m[1] in self.registers:
            return f'param_at (b, w, l, {self.address(operand)}, {site})'
        if not m or m[1] not in self.params:
            raise PtxError('parameter ' + operand)
        return f'(b->param + {self.params[m[1]][0] + int(m[2] or 0)})'
