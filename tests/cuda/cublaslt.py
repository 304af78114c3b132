#!/usr/bin/env python3
"""dsvl2: products of tiles are cuBLASLt's where it can do them, and our own kernels' with a reason where it cannot
SPDX-License-Identifier: LGPL-2.1-or-later

usage: cublaslt.py RUN CHECK_KERNELS     TAP on stdout; RUN sets up the stand-in and runs a command

Each case runs check_kernels over products of tiles, which have to be right whoever computes them, and looks at what it
says of the back end and at the calls that the stand-in counted.
"""
import json
import os
import re
import subprocess
import sys
import tempfile

# Puts a folder before those that RUN has the libraries found in.
FIRST = ['bash', '-c', 'LD_LIBRARY_PATH="$0:$LD_LIBRARY_PATH" exec "$@"']

# name, arguments, environment, what libcublasLt.so.13 is (None: the stand-in's), is it used, what the note says
CASES = [
    ('as it is', ['--bf16'], {}, None, True, ''),
    ('not there', ['--bf16'], {}, 'empty', False, 'Our own kernels multiply pictures: cuBLASLt cannot be loaded ('),
    ('another library', ['--bf16'], {}, 'other', False, 'Our own kernels multiply pictures: libcublasLt.so.13 has no cublasLtGetVersion; '),
    ('too old', ['--bf16'], {'STANDIN_FAIL': 'cublasLtGetVersion:*'}, None, False,
     'Our own kernels multiply pictures: cuBLASLt is of version 0, 130000 or newer is needed'),
    ('cannot be opened', ['--bf16'], {'STANDIN_FAIL': 'cublasLtCreate:*'}, None, False,
     'Our own kernels multiply pictures: cuBLASLt could not be opened: CUBLAS_STATUS_ALLOC_FAILED'),
    ('has no algorithm', ['--bf16'], {'STANDIN_FAIL': 'cublasLtMatmulAlgoGetHeuristic:*'}, None, False, ''),
    ('takes no batches', ['--bf16'], {'STANDIN_FAIL': 'cublasLtMatmulAlgoCheck:*'}, None, True, ''),
    ('a device without bf16', ['--bf16'], {'STANDIN_DEVICE': 'sm_75'}, None, False, ''),
    ('bf16 not allowed', [], {}, None, False, ''),
]


def run_case(command, folder, arguments, environment, library):
    """-> exit status, the back end's line, its last line, batches of the products that were counted"""
    counters = os.path.join(folder, 'counters.json')
    if library:
        path = os.path.join(folder, library)
        os.mkdir(path)
        target = os.path.join(path, 'libcublasLt.so.13')
        if library == 'empty':
            open(target, 'wb').close()
        else:
            os.symlink(os.path.join(os.environ['DSVL2_BUILD'], 'tests', 'cuda', 'libcudart.so.13'), target)
        command = [command[0], *FIRST, path, *command[1:]]
    r = subprocess.run([*command, *arguments], env=dict(os.environ, STANDIN_COUNTERS=counters, **environment), text=True,
                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False, timeout=600)
    with open(counters, encoding='utf-8') as f:
        products = [c['name'] for c in json.load(f)['libraries'] if c['name'].startswith('cublasLtMatmul ')]
    lines = r.stdout.splitlines()
    return r.returncode, next((s for s in lines if s.startswith('# cuda')), ''), lines[-1] if lines else '', \
        {int(re.search(r'batch=(\d+)', p)[1]) for p in products}


def main():
    command = [*sys.argv[1:3], '--backend', 'cuda', '--attention', 'own', '--op', 'linear_tiles']
    failed = 0
    for n, (name, arguments, environment, library, used, note) in enumerate(CASES, 1):
        with tempfile.TemporaryDirectory() as folder:
            status, opened, result, batches = run_case(command, folder, arguments, environment, library)
        together = 'STANDIN_FAIL' not in environment
        good = status == 0 and bool(batches) == used and (1 in batches) == used and (max(batches, default=0) > 1) == (used and together)
        good = good and (': ' + note in opened if note else ': ' not in opened)
        good = good and ('+cublaslt' in opened) == (used or name == 'has no algorithm')
        failed += not good
        print(f'{"ok" if good else "not ok"} {n} - {name}: {opened}; {result}, batches of {sorted(batches)}', flush=True)
    print(f'1..{len(CASES)}')
    return failed > 0


sys.exit(main())
