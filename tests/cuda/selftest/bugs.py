#!/usr/bin/env python3
"""dsvl2: the CUDA stand-in: each planted bug of bugs.cu is caught, for the right reason, at its line
SPDX-License-Identifier: LGPL-2.1-or-later

usage: bugs.py RUN BUGS [fast|asan|tsan]     TAP on stdout; RUN sets up the stand-in and runs a command

With a variant BUGS was compiled for the host (tests/cuda/host): other checks, which see less of some bugs.
"""
import os
import re
import subprocess
import sys

FAULT, LEAK, REFUSED = 98, 97, 1

# name: exit status, what it must say
EXPECTED = {
    'good': (0, ''),
    'race_without_barrier': (FAULT, 'race in shared memory: (load|store) .* of this block'),
    'race_without_syncwarp': (FAULT, 'race in shared memory: load .* of this block wrote'),
    'race_of_a_loop': (FAULT, 'race in shared memory: (load|store) .* of this block'),
    'race_of_a_byte': (FAULT, 'race in shared memory: load .* of this block wrote'),
    'race_of_blocks': (FAULT, 'race in global memory: store .* another block wrote'),
    'race_of_blocks_reading': (FAULT, 'race in global memory: load .* another block wrote'),
    'race_of_blocks_writing': (FAULT, 'race in global memory: store .* another block read'),
    'race_in_global_memory': (FAULT, 'race in global memory: (load|store) .* of this block wrote'),
    'race_of_atomic_and_plain': (FAULT, 'race in global memory: .* of this block wrote'),
    'beyond_shared_array': (FAULT, 'out of bounds in shared memory: store'),
    'beyond_dynamic_shared': (FAULT, 'out of bounds in shared memory: store'),
    'beyond_global_array': (FAULT, 'out of bounds in global memory: store'),
    'before_global_array': (FAULT, 'out of bounds in global memory: store'),
    'misaligned': (FAULT, 'misaligned access to global memory: 16 bytes'),
    'misaligned_shared': (FAULT, 'misaligned access to shared memory: 8 bytes'),
    'uninitialised_shared': (FAULT, 'uninitialised shared memory: load'),
    'uninitialised_dynamic': (FAULT, 'uninitialised shared memory: load'),
    'divergent_barrier': (FAULT, 'divergent'),
    'barrier_after_return': (FAULT, 'barrier that 48 threads of the block reach and 16 do not'),
    'barrier_without_a_warp': (FAULT, 'barrier that 32 threads of the block reach and 32 do not'),
    'divergent_shuffle': (FAULT, r'shfl\.sync names lanes that have returned'),
    'shuffle_from_outside_the_mask': (FAULT, 'which does not take part'),
    'copy_nobody_waited_for': (FAULT, 'uninitialised shared memory: load'),
    'copy_without_barrier': (FAULT, 'race in shared memory: load'),
    'failed_assertion': (FAULT, 'trap'),
    'grid_of_nothing': (REFUSED, 'a grid of'),
    'too_many_threads': (REFUSED, 'a block of'),
    'too_much_shared_memory': (REFUSED, 'bytes of dynamic shared memory'),
    'missing_synchronisation': (REFUSED, 'results are wrong'),
    'missing_event': (FAULT, 'was never written'),
    'missing_event_in_a_graph': (FAULT, 'was never written'),
    'host_touches_device_memory': (FAULT, 'host code touched device memory'),
    'host_pointer_in_a_kernel': (FAULT, 'which is no device memory'),
    'foreign_memory_in_a_kernel': (FAULT, 'another context'),
    'foreign_memory_in_a_copy': (REFUSED, 'memory of another context'),
    'use_after_free': (FAULT, 'which is in no allocation'),
    'uninitialised_global': (FAULT, 'uninitialised global memory: load'),
    'uninitialised_copy': (FAULT, 'was never written'),
    'copy_beyond': (REFUSED, 'more than its allocation holds'),
    'copy_in_the_wrong_direction': (REFUSED, 'which is not what was said'),
    'leak': (LEAK, '256 bytes of device memory'),
    'synchronise_in_a_capture': (REFUSED, 'while a stream is being captured'),
    'ignored_error': (FAULT, 'was never written'),
}
ENVIRONMENT = {'ignored_error': {'STANDIN_FAIL': 'cudaMemsetAsync:1'}}   # nobody looks at what it returns

# What differs where kernels are compiled for the host: in all variants; under each sanitizer. None: not seen there.
REPORTED = 66
HOST = {
    **{name: None for name in EXPECTED if re.match('race|beyond|before|misaligned|uninitialised_(shared|dynamic|global)', name)},
    'barrier_after_return': (FAULT, 'barrier that some threads of the block do not reach'),
    'barrier_without_a_warp': (FAULT, 'barrier that some threads of the block do not reach'),
    'divergent_shuffle': (FAULT, 'threads wait for others that never come'),
    'copy_nobody_waited_for': (FAULT, 'a cp.async that nobody waited for'),
    'copy_without_barrier': None,
    'host_pointer_in_a_kernel': None,
    'foreign_memory_in_a_kernel': None,
    'use_after_free': None,
}
SANITIZED = {
    'fast': {},
    'asan': {
        'beyond_shared_array': (1, 'index 64 out of bounds'),
        'beyond_dynamic_shared': (REPORTED, 'use-after-poison'),
        'beyond_global_array': (REPORTED, 'use-after-poison'),
        'before_global_array': (REPORTED, 'use-after-poison'),
        'misaligned': (1, 'misaligned address'),
        'misaligned_shared': (1, 'misaligned address'),
        'use_after_free': (REPORTED, 'use-after-poison'),
    },
    'tsan': {
        'race_without_barrier': (REPORTED, 'data race'),
        'race_without_syncwarp': (REPORTED, 'data race'),
        'race_of_a_loop': (REPORTED, 'data race'),
        'race_of_a_byte': (REPORTED, 'data race'),
        'race_in_global_memory': (REPORTED, 'data race'),
        'race_of_atomic_and_plain': (REPORTED, 'data race'),
        'copy_without_barrier': (REPORTED, 'data race'),
    },
}


def expected(variant):
    """{name: (status, what it must say)} of a variant; None: of the PTX route."""
    if not variant:
        return EXPECTED
    return {name: says for name, says in {**EXPECTED, **HOST, **SANITIZED[variant]}.items() if says}


def main():
    run, bugs, variant = (sys.argv[1:] + [None])[:3]
    os.environ.update(ASAN_OPTIONS='exitcode=66:detect_leaks=0', TSAN_OPTIONS='exitcode=66:halt_on_error=1')
    source = open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'bugs.cu'), encoding='utf-8').read()
    in_source = set(re.findall(r'(?:ROW|HOST) \((\w+)[,)]', source)) - {'name'} | set(re.findall(r'\{ "(\w+)", good', source))
    failed = 0
    cases = expected(variant)
    for n, (name, (status, says)) in enumerate(cases.items(), 1):
        r = subprocess.run([run, bugs, name], env={**os.environ, **ENVIRONMENT.get(name, {})}, capture_output=True, text=True,
                           timeout=60, check=False)
        said = r.stdout + r.stderr
        at_line = status != FAULT or '\n  at ' not in said or re.search(r'  at (\S*/)?bugs\.cu:[1-9]', said)
        good = r.returncode == status and re.search(says, said) and at_line
        failed += not good
        print(f'{"ok" if good else "not ok"} {n} - {name}: status {r.returncode}, {" ".join(said.split())[:160]}')
    missing = in_source ^ set(EXPECTED)
    print(f'{"not ok" if missing else "ok"} {len(cases) + 1} - the bugs of bugs.cu are those of this table {missing or ""}')
    print(f'1..{len(cases) + 1}')
    sys.exit(1 if failed or missing else 0)


if __name__ == '__main__':
    main()
