#!/usr/bin/env python3
"""dsvl2: the CUDA stand-in: each planted bug of bugs.cu is caught, for the right reason, at its line
SPDX-License-Identifier: LGPL-2.1-or-later

usage: bugs.py RUN BUGS     TAP on stdout; RUN sets up the stand-in and runs a command
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
}


def main():
    run, bugs = sys.argv[1:3]
    source = open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'bugs.cu'), encoding='utf-8').read()
    in_source = set(re.findall(r'(?:ROW|HOST) \((\w+)[,)]', source)) - {'name', 'ignored_error'} | set(re.findall(r'\{ "(\w+)", good', source))
    failed = 0
    for n, (name, (status, says)) in enumerate(EXPECTED.items(), 1):
        r = subprocess.run([run, bugs, name], capture_output=True, text=True, timeout=60, check=False)
        said = r.stdout + r.stderr
        at_line = status != FAULT or '\n  at ' not in said or re.search(r'  at bugs\.cu:[1-9]', said)
        good = r.returncode == status and re.search(says, said) and at_line
        failed += not good
        print(f'{"ok" if good else "not ok"} {n} - {name}: status {r.returncode}, {" ".join(said.split())[:160]}')
    missing = in_source ^ set(EXPECTED)
    print(f'{"not ok" if missing else "ok"} {len(EXPECTED) + 1} - the bugs of bugs.cu are those of this table {missing or ""}')
    print(f'1..{len(EXPECTED) + 1}')
    sys.exit(1 if failed or missing else 0)


if __name__ == '__main__':
    main()
