#!/usr/bin/env python3
"""dsvl2: steps that come again are replayed as CUDA graphs, beside pictures, and nobody can tell but by the launches
SPDX-License-Identifier: LGPL-2.1-or-later

usage: graphs.py RUN REPLAYS BATCHES MODEL…     TAP on stdout; RUN sets up the stand-in and runs a command

REPLAYS compares steps of its own through Ops.step () and beside it; BATCHES has an engine answer requests that come and
go. The stand-in counts what was launched, and makes calls fail.
"""
import json
import os
import re
import subprocess
import sys
import tempfile

FAULT, LEAK = 98, 97
KERNELS = 9   # of a step of REPLAYS

# Scenario: steps, captures, launches of graphs
SCENARIOS = {
    'one': (4, 1, 3),
    'batches': (13, 4, 9),
    'reaches': (12, 3, 9),
    'free': (6, 2, 4),
    'rude': (4, 1, 0),
    'many': (217, 72, 144),
}

# A call that fails in scenario `one`: what is printed, launches of graphs
SAME, FAILED = 'same: 4 steps', 'failed: CUDA device 0 could not {}: [a-z ]+'
FAILURES = {
    'cudaStreamBeginCapture:1': (SAME, 0),
    'cudaStreamEndCapture:1': (SAME, 0),
    'cudaGraphInstantiate:1': (SAME, 0),
    f'cudaLaunchKernelExC:{3 * KERNELS + 4}': (SAME, 0),   # one of those that are captured
    'cudaGraphLaunch:1': (FAILED.format('run a graph'), 0),
    'cudaGraphLaunch:2': (FAILED.format('run a graph'), 1),
    'cudaGraphDestroy:1': (FAILED.format('free a graph'), 0),
    'cudaGraphExecDestroy:1': (SAME, 3),
}


def run_once(command, **environment):
    """-> status, what it printed, the stand-in's counters"""
    with tempfile.NamedTemporaryFile(suffix='.json') as counters:
        r = subprocess.run(command, env=dict(os.environ, STANDIN_COUNTERS=counters.name, **environment), text=True, check=False,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=900)
        try:
            with open(counters.name, encoding='utf-8') as f:
                return r.returncode, r.stdout + (r.stderr if r.returncode == FAULT else ''), json.load(f)
        except ValueError:
            return r.returncode, r.stdout + r.stderr, None


class Tap:
    def __init__(self):
        self.n = self.failed = 0

    def tell(self, good, what):
        self.n += 1
        self.failed += not good
        print(f'{"ok" if good else "not ok"} {self.n} - {what}', flush=True)


def check_scenario(tap, command, name):
    steps, captures, graphs = SCENARIOS[name]
    status, said, counters = run_once([*command, 'cuda', name])
    calls = counters['calls'] if counters else {}
    got = (calls.get('cudaStreamBeginCapture', 0), calls.get('cudaGraphLaunch', 0), counters['graphs']['kernels'] if counters else 0)
    tap.tell(status == 0 and said.strip() == f'same: {steps} steps' and got == (captures, graphs, graphs * KERNELS),
             f'{name}: {said.strip()}; {got[0]} captures, {got[1]} launches of graphs, {got[2]} kernels in them')


def check_failure(tap, command, call):
    expected, graphs = FAILURES[call]
    status, said, counters = run_once([*command, 'cuda', 'one'], STANDIN_FAIL=call)
    ran = counters['graphs']['launches'] if counters else None
    statuses = (0, LEAK) if 'Destroy' in call else (0,)
    tap.tell(status in statuses and re.fullmatch(expected, said.strip()) and ran == graphs,
             f'{call} fails: {said.strip()}; status {status}, {ran} graphs ran')


def tokens_of(said):
    return re.sub('/[0-9a-f]{8}', '', said)


def check_engine(tap, run, batches, model):
    """The CPU's tokens, and to the bit what comes out where no graph can be captured."""
    name = os.path.basename(model.rstrip('/'))
    status, on_cpu, _ = run_once([batches, 'cpu', model])
    status_cuda, replayed, counters = run_once([run, batches, 'cuda', model])
    status_plain, plain, none = run_once([run, batches, 'cuda', model], STANDIN_FAIL='cudaStreamBeginCapture:*')
    if status or status_cuda or status_plain or not counters or not none:
        tap.tell(False, f'{name}: {on_cpu} {replayed} {plain}')
        return
    graphs = counters['graphs']
    answers = [len(line.split()) - 1 for line in replayed.splitlines()]
    tap.tell(replayed == plain and none['graphs']['launches'] == 0,
             f'{name}: {len(answers)} answers of {answers} tokens, with and without graphs the same bits')
    tap.tell(tokens_of(replayed) == tokens_of(on_cpu), f'{name}: the tokens of device=cpu')
    launched, was = counters['calls']['cudaLaunchKernelExC'], none['calls']['cudaLaunchKernelExC']
    tap.tell(graphs['launches'] > 10 and graphs['kernels'] > 20 * graphs['launches'] and launched < was,
             f'{name}: {graphs["kernels"]} kernels in {graphs["launches"]} launches of graphs, {launched} launches beside them instead of {was}')


def check_lanes(tap, run, replays, batches, model):
    """Pictures are encoded while others decode; what steps and pictures wait for of each other is needed."""
    status, said, counters = run_once([run, batches, 'cuda', model])
    asked = counters['calls'].get('cudaEventQuery', 0) if counters else 0
    tap.tell(status == 0 and asked > 20, f'two pictures: asked {asked} times, a step after each, until both were done')
    status, said, _ = run_once([run, batches, 'cuda', model], STANDIN_DROP_WAIT='cudaEventQuery')
    why = re.search('stand-in: ([^\n]*)', said)
    tap.tell(status == FAULT, f'without cudaEventQuery: {why[1] if why else said.strip()}')
    for wait, expected in (('none', 'same: 4 steps'), ('cudaStreamWaitEvent', 'step 0 differs: .*'), ('cudaEventQuery', 'step 0 differs: .*')):
        status, said, _ = run_once([run, replays, 'cuda', 'pictures'], STANDIN_DROP_WAIT=wait)
        tap.tell(status == 0 and re.fullmatch(expected, said.strip()), f'pictures beside steps, {wait} left out: {said.strip()}')


def main():
    run, replays, batches, *models = sys.argv[1:]
    tap = Tap()
    for name in SCENARIOS:
        check_scenario(tap, [run, replays], name)
    for call in FAILURES:
        check_failure(tap, [run, replays], call)
    for model in models:
        check_engine(tap, run, batches, model)
    check_lanes(tap, run, replays, batches, models[0])
    print(f'1..{tap.n}')
    return tap.failed > 0


sys.exit(main())
