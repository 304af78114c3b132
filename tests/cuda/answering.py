#!/usr/bin/env python3
"""dsvl2: whatever of CUDA fails while a model is opened and asked, the user is told that, in one sentence
SPDX-License-Identifier: LGPL-2.1-or-later

usage: answering.py RUN CHAT MODEL IMAGE     TAP on stdout

dsvl2-chat answers once as it is, with the stand-in's trace; then once for the first, the last and some calls between of each
function in that trace, with that call failing.
"""
import os
import re
import subprocess
import sys

from failures import LEAK, QUIET

OF_EACH = 3
FAILURE = re.compile(r'dsvl2-chat: (CUDA device 0 could not [a-z].*: [a-z ()-]+|There is no CUDA device \(.*\); use device=cpu)')
MEMORY = re.compile(r'dsvl2-chat: .* (do not fit into the memory|are not free|are not there)\b.*')


def ask(command, **environment):
    """-> exit status, answer, what is said beside it"""
    r = subprocess.run(command, env=dict(os.environ, **environment), capture_output=True, text=True, check=False, timeout=120)
    return r.returncode, r.stdout, r.stderr


def some(numbers):
    """The first, the last and evenly between."""
    step = max(1, (len(numbers) - 1) / (OF_EACH - 1))
    return sorted({numbers[min(round(i * step), len(numbers) - 1)] for i in range(OF_EACH)})


def judge(name, ended, well):
    """What is wrong with how it ended, '' if nothing."""
    status, answer, said = ended
    lines = [line for line in said.splitlines() if line and not line.startswith(('stand-in: ', '  at '))]
    gives_back = 'Free' in name or 'Destroy' in name  # what was not given back stays: that is this failure
    if status == 0 or status == LEAK and gives_back:
        return '' if answer == well and not lines else f'another answer: {answer!r} {lines}'
    if status != 1 or len(lines) != 1:
        return f'exit status {status}: {lines}'
    told = FAILURE.fullmatch(lines[0]) or name == 'cudaMalloc' and MEMORY.fullmatch(lines[0])
    return '' if told else f'it is not told what failed: {lines[0]}'


def main():
    run, chat, model, image = sys.argv[1:]
    command = [run, chat, '--model', model, '--device', 'cuda', '--weights', 'as-stored', '--cropping', 'off', '--max-new-tokens', '2',
               '--image', image, '--prompt', 'find cars']
    status, well, trace = ask(command, STANDIN_TRACE='1')
    calls = {}
    for n, name in re.findall(r'^stand-in: (\d+) (cu\w+)$', trace, re.M):
        calls.setdefault(name, []).append(int(n))
    print(f'# {sum(map(len, calls.values()))} calls of {len(calls)} functions, exit status {status}: {well.strip()!r}')
    done = failed = 0
    for name, numbers in calls.items():
        for n in some(numbers) if name not in QUIET else ():
            wrong = judge(name, ask(command, STANDIN_FAIL=str(n)), well)
            done += 1
            failed += wrong != ''
            print(f'{"not ok" if wrong else "ok"} {done} - call {n}, {name}{": " if wrong else ""}{wrong}', flush=True)
    print(f'1..{done}')
    return failed > 0 or done == 0 or status != 0


sys.exit(main())
