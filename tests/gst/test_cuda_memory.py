#!/usr/bin/env python3
# dsvl2: dsvl2infer on frames in CUDA memory, under the CUDA stand-in: answers, copies, contexts, leaks
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# usage: test_cuda_memory.py RUN [NUMBER…]     RUN: tests/cuda/run. Prints TAP; only the cases of those numbers.
#
# A case is a process (cuda_frames.py). Its answers are compared with those of the same frames in host memory; the
# stand-in's counters say what was copied; neither the stand-in nor GStreamer's leak tracer may find anything left.
import functools
import json
import os
import subprocess
import sys
import tempfile
import unittest

FRAMES = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'cuda_frames.py')
N_FRAMES, LEAK, NO_STREAMS = 2, 97, 77

# memory, engine, format, frames
CASES = [
    ('own', 'cuda', 'NV12', 'whole'),
    ('foreign', 'cuda', 'NV12', 'whole'),
    ('own', 'cuda', 'RGBA', 'whole'),
    ('own', 'cuda', 'P010_10LE', 'whole'),
    ('own', 'cpu', 'NV12', 'whole'),
    ('foreign', 'cpu', 'RGBA', 'whole'),
    ('own', 'cuda', 'NV12', 'cropped'),
    ('foreign', 'cuda', 'I420', 'odd'),
    ('foreign', 'cpu', 'RGB', 'cropped'),
    ('application', 'cuda', 'NV12', 'whole'),
    ('application', 'cpu', 'NV12', 'whole'),
    ('bus', 'cuda', 'NV12', 'whole'),
    ('kept', 'cpu', 'NV12', 'whole'),
    ('pending', 'cuda', 'NV12', 'odd'),
    ('uploaded', 'cuda', 'I420', 'odd'),
]


class Outcome:
    """What a process of cuda_frames.py said, and what is known of it."""

    def __init__(self, runner, case):
        with tempfile.NamedTemporaryFile('r') as counters, tempfile.NamedTemporaryFile('r') as log:
            env = dict(os.environ, STANDIN_COUNTERS=counters.name, GST_TRACERS='leaks', GST_DEBUG='GST_TRACER:7',
                       GST_DEBUG_NO_COLOR='1', GST_DEBUG_FILE=log.name)
            process = subprocess.run([runner, sys.executable, '-W', 'ignore', FRAMES, *case], env=env,
                                     stdout=subprocess.PIPE, text=True, check=False)
            self.status = process.returncode
            self.alive = [line for line in log if 'object-alive, ' in line and 'new format' not in line]
            text = counters.read()  # nothing where CUDA was not used at all
        if self.status == NO_STREAMS:
            raise unittest.SkipTest('CUDA memory has streams from GStreamer 1.24 on')
        if self.status not in (0, LEAK):
            raise RuntimeError(f'exit status {self.status}')
        said = json.loads(process.stdout)
        self.answers, self.elements = said['answers'], said['elements']
        self.contexts, self.given, self.downloaded = said['contexts'], said['given'], said['downloaded']
        self.counters = json.loads(text or '{"copies": [], "calls": {}}')

    def copied(self, direction):
        return sum(c['bytes'] for c in self.counters['copies'] if c['name'] == direction)


@functools.cache
def in_host_memory(runner, *case):
    return Outcome(runner, ('host', *case))


def faults(memory, device, got, want):
    """What is wrong with a case, each a few words."""
    peer = got.counters['calls'].get('cuMemcpyPeerAsync', 0)
    askers = 2 if got.given is not None else 1  # elements that answer each frame
    downloads = got.copied('device to host') - got.downloaded - askers * want.copied('device to host')
    foreign = memory in ('foreign', 'application', 'bus', 'uploaded')
    print(f'# {want.answers!r} in host memory, {got.answers!r} here; {downloads:.0f} bytes more to the host, '
          f'{peer} copies between contexts; {got.contexts} contexts of {got.elements} elements; '
          f'{len(got.alive)} objects alive, status {got.status}')
    expected = sorted(want.answers * askers) if memory != 'kept' else want.answers
    yield from ['other answers'] * (sorted(got.answers) != expected or len(want.answers) != N_FRAMES)
    if device == 'cuda':
        yield from ['downloaded'] * (downloads != 0)
        yield from ['copied between contexts, or not'] * ((peer > 0) != foreign)
    elif got.downloaded == 0:  # else the host has what it made
        yield from ['not downloaded'] * (downloads <= 0)
    yield from ['several contexts'] * (got.contexts > 1)
    yield from ["not the application's context"] * (got.given is False)
    leaks = bool(got.alive), got.status == LEAK
    yield from ['leaks'] * (memory != 'kept' and any(leaks))
    yield from ['a leak that nobody sees'] * (memory == 'kept' and not all(leaks))


def main(runner, numbers):
    print(f'1..{len(CASES)}')
    failed = 0
    for n, case in enumerate(CASES, 1):
        if numbers and n not in numbers:
            print(f'ok {n} # SKIP not asked for')
            continue
        memory, device, form, frames = case
        try:
            wrong = list(faults(memory, device, Outcome(runner, case), in_host_memory(runner, device, form, frames)))
        except unittest.SkipTest as why:
            print(f'ok {n} # SKIP {why}')
            continue
        except RuntimeError as error:
            wrong = [str(error)]
        failed += bool(wrong)
        print(f'{"not ok" if wrong else "ok"} {n} - {form} {frames}, in memory of {memory}, engine on {device}'
              f'{": " if wrong else ""}{", ".join(wrong)}', flush=True)
    sys.exit(failed > 0)


if __name__ == '__main__':
    main(sys.argv[1], [int(n) for n in sys.argv[2:]])
