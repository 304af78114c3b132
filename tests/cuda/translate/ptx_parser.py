"""dsvl2: the CUDA stand-in: reads the PTX that nvcc writes
SPDX-License-Identifier: LGPL-2.1-or-later

parse (text) gives a Module. A kernel's body is a list of Label and Instruction; registers that inline PTX
declares in a scope of its own are renamed, so names are unique in a kernel.
"""
import os
import re
from dataclasses import dataclass, field

SIZES = {'pred': 1, 'b8': 1, 'u8': 1, 's8': 1, 'b16': 2, 'u16': 2, 's16': 2, 'f16': 2, 'bf16': 2, 'b32': 4, 'u32': 4,
         's32': 4, 'f32': 4, 'tf32': 4, 'f16x2': 4, 'bf16x2': 4, 'b64': 8, 'u64': 8, 's64': 8, 'f64': 8}


class PtxError(Exception):
    """Something in the PTX that the stand-in does not know."""


@dataclass
class Label:
    name: str


@dataclass
class Instruction:
    opcode: str
    operands: list
    predicate: tuple = None   # (register, wanted value) or None
    location: tuple = ('?', 0)

    @property
    def parts(self):
        return self.opcode.split('.')


@dataclass
class Array:
    """A variable of .shared, .global, .const or .local memory."""
    space: str
    name: str
    type: str
    bytes: int
    alignment: int
    external: bool = False
    values: str = None


@dataclass
class Kernel:
    name: str
    params: dict = field(default_factory=dict)      # name: (offset, bytes)
    param_bytes: int = 0
    registers: dict = field(default_factory=dict)   # name: type
    shared: list = field(default_factory=list)
    local: list = field(default_factory=list)
    body: list = field(default_factory=list)
    branch_targets: dict = field(default_factory=dict)
    max_threads: int = 0


@dataclass
class Module:
    target: str = ''
    kernels: list = field(default_factory=list)
    variables: list = field(default_factory=list)


def split_operands(text):
    """'{%r1, %r2}, [%rd1+4], 3' -> three strings"""
    out, depth, current = [], 0, ''
    for ch in text:
        depth += (ch in '{[(') - (ch in '}])')
        if ch == ',' and depth == 0:
            out.append(current.strip())
            current = ''
        else:
            current += ch
    if current.strip():
        out.append(current.strip())
    return out


def align(offset, alignment):
    return (offset + alignment - 1) // alignment * alignment


TOKEN = re.compile(r'''\s*(?:
    (?P<loc>\.loc\s[^\n]*)
  | (?P<line>\.(?:version|target|address_size|file|maxntid|minnctapersm|reqntid|maxnreg|noreturn)\b[^\n]*)
  | (?P<section>\.section[^{]*\{[^}]*\})
  | (?P<entry>(?:\.visible\s+|\.weak\s+)?\.entry\s+[$\w]+\s*\([^)]*\))
  | (?P<label>[$\w]+)\s*:(?!:)
  | (?P<brace>[{}])
  | (?P<statement>[^;]+);
)''', re.X)

ARRAY = re.compile(r'''(?:\.(?P<linkage>extern|visible|weak)\s+)?\.(?P<space>shared|global|const|local)\s+
    (?:\.attribute\([^)]*\)\s*)?(?:\.align\s+(?P<align>\d+)\s+)?\.(?P<type>\w+)\s+(?P<name>[$\w]+)(?:\[(?P<n>\d*)\])?
    \s*(?:=\s*(?P<values>.*))?$''', re.X | re.S)

PARAM = re.compile(r'''\.param\s+(?:\.align\s+(\d+)\s+)?\.(\w+)\s+(?:\.ptr[^%$\w]*(?:\.\w+\s*|\d+\s*)*)?([$\w]+)
    (?:\[(\d+)\])?$''', re.X)


class Parser:
    def __init__(self, text):
        self.module = Module()
        self.files = dict(re.findall(r'\.file\s+(\d+)\s+"([^"]*)"', text))
        text = re.sub(r'/\*.*?\*/', '', text, flags=re.S)
        self.text = re.sub(r'//[^\n]*', '', text).rstrip()
        self.kernel = None
        self.scopes = []
        self.renamed = 0
        self.location = ('?', 0)

    def parse(self):
        at = 0
        while at < len(self.text):
            token = TOKEN.match(self.text, at)
            if not token:
                raise PtxError('cannot read: ' + self.text[at:at + 100])
            at = token.end()
            getattr(self, 'on_' + token.lastgroup)(token[token.lastgroup].strip())
        return self.module

    def on_loc(self, text):
        """Of code that is inlined from CUDA's own headers, where it is called counts."""
        m = re.match(r'\.loc\s+(\d+)\s+(\d+)(?:.*inlined_at\s+(\d+)\s+(\d+))?', text)
        file, line = (m[3], m[4]) if m[3] and '/include/' in self.files.get(m[1], '') else (m[1], m[2])
        if line != '0':
            self.location = (os.path.basename(self.files.get(file, '?')), int(line))

    def on_line(self, text):
        if text.startswith('.target'):
            self.module.target = text.split()[1].rstrip(',')
        elif text.startswith(('.maxntid', '.reqntid')) and self.kernel:
            n = 1
            for side in re.findall(r'\d+', text):
                n *= int(side)
            self.kernel.max_threads = n

    def on_section(self, text):
        pass

    def on_entry(self, text):
        m = re.search(r'\.entry\s+([$\w]+)\s*\((.*)\)', text, re.S)
        self.kernel = Kernel(m[1])
        self.module.kernels.append(self.kernel)
        for param in filter(None, split_operands(m[2])):
            q = PARAM.match(param)
            if not q:
                raise PtxError('parameter: ' + param)
            size = SIZES[q[2]] * int(q[4] or 1)
            offset = align(self.kernel.param_bytes, int(q[1] or SIZES[q[2]]))
            self.kernel.params[q[3]] = (offset, size)
            self.kernel.param_bytes = offset + size

    def on_label(self, name):
        if not self.kernel:
            raise PtxError('label outside a kernel: ' + name)
        self.kernel.body.append(Label(name))

    def on_brace(self, brace):
        if brace == '{':
            self.scopes.append({})
            return
        self.scopes.pop()
        if not self.scopes:
            self.kernel = None

    def on_statement(self, text):
        text = ' '.join(text.split())
        if text.startswith('.reg'):
            self.declare_registers(text)
        elif text.startswith('.param') and self.kernel:          # a slot for a call's argument or result
            m = re.match(r'\.param\s+(?:\.align\s+\d+\s+)?\.(\w+)\s+(\w+)(?:\[\d+\])?$', text)
            self.kernel.registers['%call_' + m[2]] = 'b64'
        elif text.startswith(('.pragma', '.extern .func', '.alias')):
            pass                                                 # of functions, calls say more
        elif '.func' in text.split('(')[0]:
            raise PtxError('functions that are not inlined are not supported: ' + text[:120])
        elif ARRAY.match(text):
            self.declare_array(ARRAY.match(text))
        elif not self.kernel:
            raise PtxError('outside a kernel: ' + text[:120])
        else:
            self.instruction(text)

    def declare_registers(self, text):
        m = re.match(r'\.reg\s+\.(\w+)\s+(.*)', text)
        if m[1] not in SIZES:
            raise PtxError('registers of type ' + m[1])
        for name in m[2].split(','):
            q = re.match(r'\s*(%?[$\w]+)(?:<(\d+)>)?\s*$', name)
            if q[2]:
                for i in range(int(q[2])):
                    self.kernel.registers[f'{q[1]}{i}'] = m[1]
            else:
                self.renamed += 1
                unique = f'%{q[1].strip("%")}__{self.renamed}'
                self.scopes[-1][q[1]] = unique
                self.kernel.registers[unique] = m[1]

    def declare_array(self, m):
        size = SIZES[m['type']]
        n = 0 if m['n'] == '' else int(m['n'] or 1)
        array = Array(m['space'], m['name'], m['type'], size * n, int(m['align'] or size), m['linkage'] == 'extern',
                      m['values'])
        if self.kernel and array.space in ('shared', 'local'):
            getattr(self.kernel, array.space).append(array)
        else:
            self.module.variables.append(array)

    def instruction(self, text):
        for scope in self.scopes:
            for name, unique in scope.items():
                text = re.sub(r'(?<![\w%$.])' + re.escape(name) + r'(?![\w])', unique, text)
        m = re.match(r'(?:@(!?)(%\w+)\s+)?([\w.:]+)\s*(.*)$', text, re.S)
        if text.startswith('.branchtargets') or not m:
            m = re.match(r'\.branchtargets\s+(.*)$', text)
            if not m:
                raise PtxError('cannot read: ' + text)
            label = self.kernel.body.pop()
            self.kernel.branch_targets[label.name] = split_operands(m[1])
            return
        predicate = (m[2], not m[1]) if m[2] else None
        self.kernel.body.append(Instruction(m[3], split_operands(m[4]), predicate, self.location))


def parse(text):
    return Parser(text).parse()
