#!/usr/bin/env python3
"""dsvl2: the machine code of CUDA kernels, as NVIDIA's cuobjdump and nvdisasm show it
SPDX-License-Identifier: LGPL-2.1-or-later

usage: machine_code.py FOLDER     puts the two programs into FOLDER/disassembler, unless they are there or on this machine

They are no part of nvcc's Debian or PyPI packages: they come from a package of their own, into a virtual environment.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys

PACKAGES = ['nvidia-cuda-cuobjdump<14', 'nvidia-cuda-nvdisasm<14']
SYSTEM_SHARED = 1024    # bytes of a block's shared memory that the system takes
SKIPPED = 77    # Meson's status of a test that cannot run here


def disassembler():
    """The folder with cuobjdump and nvdisasm: on the path, beside nvcc, or where main () put them. None without them."""
    nvcc = shutil.which('nvcc') or '/usr/local/cuda/bin/nvcc'
    build = os.environ.get('DSVL2_BUILD', str(pathlib.Path(__file__).resolve().parents[2] / 'build'))
    folders = [*os.environ['PATH'].split(os.pathsep), os.path.dirname(nvcc),
               *pathlib.Path(build, 'disassembler').glob('lib/python3*/site-packages/nvidia/cu13/bin')]
    for folder in folders:
        if all(os.access(os.path.join(folder, name), os.X_OK) for name in ['cuobjdump', 'nvdisasm']):
            return str(folder)
    return None


def disassembler_or_skip():
    """The same; ends the process as a test that cannot run if there is none."""
    folder = disassembler()
    if not folder:
        print('skipped: no cuobjdump and nvdisasm on this machine; tests/cuda/machine_code.py gets them')
        sys.exit(SKIPPED)
    return folder


def dump(folder, option, module):
    """The lines of cuobjdump, each with the source and architecture that it speaks of: (source, arch, line)."""
    environment = dict(os.environ, PATH=folder + os.pathsep + os.environ['PATH'])
    text = subprocess.run([os.path.join(folder, 'cuobjdump'), option, module], env=environment, text=True, check=True,
                          stdout=subprocess.PIPE).stdout
    source = arch = None
    for line in text.splitlines():
        if line.startswith('arch = sm_'):
            arch = line.removeprefix('arch = sm_')
        elif line.startswith('identifier = '):
            source = pathlib.Path(line.removeprefix('identifier = ')).stem
        else:
            yield source, arch, line


def demangle(names):
    """{kernel's name in machine code: its name with template arguments, without parameters}"""
    names = sorted(names)
    text = subprocess.run(['c++filt', *names], check=True, text=True, stdout=subprocess.PIPE).stdout
    return {name: re.sub(r'\(.*$', '', re.sub(r'\(\w+\)(?=[-\d])', '', line)).removeprefix('void ')
            for name, line in zip(names, text.splitlines())}


def instructions(folder, module):
    """{(source, kernel, arch): [mnemonic with its suffixes]} of every kernel"""
    found = {}
    kernel = None
    for source, arch, line in dump(folder, '-sass', module):
        if m := re.match(r'\s*Function : (\w+)', line):
            kernel = found.setdefault((source, m[1], arch), [])
        elif m := re.match(r'\s*/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]+)', line):
            kernel.append(m[1])
    names = demangle({name for _, name, _ in found})
    return {(source, names[name], arch): code for (source, name, arch), code in found.items()}


def resources(folder, module):
    """{(source, kernel, arch): (threads, registers, static shared bytes, local bytes)} of every kernel; threads as
    __launch_bounds__ says, 0 without."""
    used, threads = {}, {}
    kernel = attribute = None
    for source, arch, line in dump(folder, '-res-usage', module):
        if m := re.match(r' Function (\w+):', line):
            kernel = m[1]
        elif m := re.match(r'  REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)', line):
            registers, stack, shared, local = map(int, m.groups())
            if int(arch) >= 90 and shared >= SYSTEM_SHARED:  # counted there if a kernel of the file has any
                shared -= SYSTEM_SHARED
            used[source, kernel, arch] = registers, shared, stack + local
    for source, arch, line in dump(folder, '-elf', module):
        if m := re.match(r'\.nv\.info\.(\w+)$', line):
            kernel = source, m[1], arch
        elif m := re.match(r'\s*Value:\s+(0x[0-9a-f]+) (0x[0-9a-f]+) (0x[0-9a-f]+)\s*$', line):
            if attribute == 'EIATTR_MAX_THREADS':
                threads[kernel] = int(m[1], 16) * int(m[2], 16) * int(m[3], 16)
        elif m := re.match(r'\s*Attribute:\s+(\w+)', line):
            attribute = m[1]
    names = demangle({name for _, name, _ in used})
    return {(source, names[name], arch): (threads.get((source, name, arch), 0), *rest)
            for (source, name, arch), rest in used.items()}


def main():
    if not disassembler():
        folder = os.path.join(sys.argv[1], 'disassembler')
        subprocess.run([sys.executable, '-m', 'venv', folder], check=True)
        subprocess.run([os.path.join(folder, 'bin', 'pip'), 'install', '--quiet', *PACKAGES], check=True)
    print(disassembler())


if __name__ == '__main__':
    main()
