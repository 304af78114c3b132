#!/usr/bin/env python3
"""dsvl2: any call of the CUDA back end may fail: one clear sentence, no crash, no leak
SPDX-License-Identifier: LGPL-2.1-or-later

usage: failures.py RUN FAILING [ATTENTION] [N…]     TAP on stdout; N: only these calls

FAILING opens the back end, places weights, runs a step and closes it. It runs once as it is, with the stand-in's
trace, then once for each call of CUDA's runtime in that trace, with that call failing. With ATTENTION bf16 is allowed; with
`cudnn` or `auto` the calls are cuDNN's; with `cublaslt`, which is `own`, they are cuBLASLt's.
"""
import os
import re
import subprocess
import sys

LEAK = 97
FALLS_BACK = ('cudaStreamBeginCapture', 'cudaStreamEndCapture', 'cudaGraphInstantiate')  # the step is enqueued without a graph
QUIET = ('cudaGetErrorString', 'cudaGetLastError', 'cudaPeekAtLastError')  # they report, and cannot fail
LIBRARIES = {'cudnn': 'cudnn', 'auto': 'cudnn', 'cublaslt': 'cublasLt'}  # whose calls fail, by ATTENTION; others': the runtime's
SENTENCE = re.compile(r'(open|place|step): (CUDA device 0 could not [a-z].*: [a-z ()-]+|cuDNN could not [a-z].*: CUDNN_STATUS_[A-Z_]+.*'
                      r'|cuBLASLt could not [a-z].*: CUBLAS_STATUS_[A-Z_]+'
                      r'|There is no CUDA device \(.*\); use device=cpu)\n|(alloc|place): memory ran out\n')


def run_once(command, **environment):
    return subprocess.run(command, env=dict(os.environ, **environment), capture_output=True, text=True, check=False, timeout=60)


def library_of(name):
    return next((library for library in set(LIBRARIES.values()) if name.startswith(library)), None)


def captured(calls):
    """The numbers of calls that are made while the step is captured, those of its beginning and end among them."""
    begin, end, made = (next((n for n, name in calls if name == of), 0) for of in FALLS_BACK)
    return range(begin, end + 1) if 0 < begin < end < made else ()


def judge(r, name, falls_back, well, may_do):
    """What is wrong with how it ended, '' if nothing; `may_do`: the lines that say that the call was not needed."""
    if falls_back:
        return '' if (r.returncode, r.stdout) == (0, well) else 'not as without a graph'
    gives_back = 'Free' in name or 'Destroy' in name  # what was not given back stays: that is this failure
    if r.returncode not in ((0, LEAK) if gives_back else (0,)):
        return f'exit status {r.returncode}: {r.stderr[-300:]!r}'
    return '' if SENTENCE.fullmatch(r.stdout) or r.stdout in may_do else 'no clear sentence'


def fall_backs(well, own, name, opening, closing):
    """The lines that may say that all went well though the call failed."""
    if own is not None and opening:  # `auto`: another of cuDNN's engines, or our own kernel
        return (well, own)
    if name.startswith('cublasLt'):  # our own kernels, or tiles one by one; the sums are exact in any order
        return (well,) if name != 'cublasLtMatmul' else ()
    # A slab of weights is asked for again, smaller; two tiles without a plan are attended to one by one.
    plans = name.startswith('cudnnBackend') and name != 'cudnnBackendExecute' and not opening
    return (well,) if closing or name == 'cudaMalloc' or plans else ()


def main():
    command, chosen = sys.argv[1:3], [int(n) for n in sys.argv[3:] if n.isdigit()]
    attention = next((a for a in sys.argv[3:] if not a.isdigit()), None)
    own = run_once([*command, 'cuda', 'own']).stdout if attention == 'auto' else None
    library = LIBRARIES.get(attention)
    command += ['cuda', 'own' if attention == 'cublaslt' else attention] if attention else []
    trace = run_once(command, STANDIN_TRACE='1')
    calls = [(int(n), name) for n, name in re.findall(r'^stand-in: (\d+) (cu\w+)$', trace.stderr, re.M)]
    placed = next((n for n, name in calls if name == 'cudaMemcpyAsync'), 0)
    print(f'# {len(calls)} calls, {trace.stdout.strip()}')
    last = max((n for n, name in calls if name == 'cudaMemcpyAsync'), default=0)
    in_capture = captured(calls)
    downloaded = next((n for n, name in calls if n > last and name == 'cudaStreamSynchronize'), last)
    failed = done = 0
    for n, name in calls:
        if name in QUIET or chosen and n not in chosen or library_of(name) != library:
            continue
        r = run_once(command, STANDIN_FAIL=str(n))
        wrong = judge(r, name, n in in_capture or name in FALLS_BACK, trace.stdout,
                      fall_backs(trace.stdout, own, name, n < placed, n > downloaded))
        done += 1
        failed += wrong != ''
        print(f'{"not ok" if wrong else "ok"} {done} - call {n}, {name}: {r.stdout.strip()}{"; " if wrong else ""}{" ".join(wrong.split())}',
              flush=True)
    print(f'1..{done}')
    return failed > 0 or done == 0 or not in_capture or not trace.stdout.startswith('done')


if __name__ == '__main__':
    sys.exit(main())
