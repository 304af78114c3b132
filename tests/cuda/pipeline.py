#!/usr/bin/env python3
"""dsvl2: gst-launch-1.0 … dsvl2infer device=cuda … as a user types it, on the CUDA stand-in, beside device=cpu
SPDX-License-Identifier: LGPL-2.1-or-later

usage: pipeline.py RUN MODEL CLIP…     TAP on stdout; RUN sets up the stand-in and runs a command

The plugin, the module and nvcc's kernels are the ones that are installed; nothing in them knows of the stand-in. On a
machine with a GPU RUN may be `env`.
"""
import json
import os
import subprocess
import sys
import tempfile

CONFIDENCE = 0.005   # summation order differs, so probabilities do in their last digits
PROMPTS = [('find cars', 48), ('Describe this image.', 16)]


def answers(folder, run, device, clip, prompt, tokens):
    """The lines of JSON that one pipeline writes: the first frame's and one two seconds later."""
    out = os.path.join(folder, device + '.jsonl')
    subprocess.run(
        [*run, 'gst-launch-1.0', '-q', 'filesrc', f'location={clip}', '!', 'decodebin', '!', 'dsvl2infer', f'device={device}',
         f'prompt={prompt}', 'cropping=off', f'max-new-tokens={tokens}', 'interval=2000000000', '!', 'dsvl2json', '!',
         'filesink', f'location={out}'], check=True, timeout=600)
    with open(out, encoding='utf-8') as f:
        return [json.loads(line) for line in f if line.strip()]


def confidences(answer):
    return [o['detection'].pop('confidence') for o in answer['objects']]


def is_same(a, b):
    """Everything but the probabilities, which may differ a little."""
    p, q = confidences(a), confidences(b)
    return a == b and all(abs(x - y) <= CONFIDENCE for x, y in zip(p, q))


def launches(counters):
    """How many the stand-in counted; a GPU counts none."""
    if 'STANDIN_KERNELS' not in os.environ and not os.path.exists(counters):
        return 'uncounted'
    with open(counters, encoding='utf-8') as f:
        return sum(k['launches'] for k in json.load(f)['kernels'])


def main():
    run, model, *clips = sys.argv[1:]
    os.environ['DSVL2_MODEL'] = model
    cases = [(clip, *prompt) for clip in clips for prompt in PROMPTS]
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        os.environ['STANDIN_COUNTERS'] = counters = os.path.join(folder, 'counters.json')
        for n, (clip, prompt, tokens) in enumerate(cases, 1):
            want = answers(folder, [], 'cpu', clip, prompt, tokens)
            got = answers(folder, [run], 'cuda', clip, prompt, tokens)
            boxes = sum(len(a['objects']) for a in want)
            texts = [a['text'] for a in got]
            same = len(want) == len(got) > 0 and all(is_same(a, b) for a, b in zip(want, got))
            ran = launches(counters)
            same = same and ran != 0
            failed += not same
            print(f'{"ok" if same else "not ok"} {n} - {os.path.basename(clip)}, "{prompt}": {len(got)} answers, {boxes} boxes, '
                  f'{ran} launches, {"as" if same else "not as"} device=cpu: {texts}', flush=True)
            if not same:
                print(f'# device=cpu: {want}\n# device=cuda: {got}')
    print(f'1..{len(cases)}')
    return failed > 0


sys.exit(main())
