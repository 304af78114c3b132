#!/usr/bin/env python3
"""dsvl2: gst-launch-1.0 … dsvl2infer device=cuda … as a user types it, on the CUDA stand-in, beside device=cpu
SPDX-License-Identifier: LGPL-2.1-or-later

usage: pipeline.py RUN MODEL [PROPERTY=VALUE…] CLIP…     TAP on stdout; RUN sets up the stand-in and runs a command

The plugin, the module and nvcc's kernels are the ones that are installed; nothing in them knows of the stand-in. On a
machine with a GPU RUN may be `env`. Properties are those of dsvl2infer with device=cuda, of which the CPU gets weights= alone: with
bf16=true the GPU rounds what it multiplies, on tensor cores, and the texts and the boxes in them are the same for all that.
"""
import json
import os
import subprocess
import sys
import tempfile

CONFIDENCE = 0.005        # summation order differs, so probabilities do in their last digits
CONFIDENCE_BF16 = 0.01    # a number rounded to bf16 is off by up to 2⁻⁸
PROMPTS = [('find cars', 48), ('Describe this image.', 16)]


def answers(folder, run, device, properties, clip, prompt, tokens):
    """The lines of JSON that one pipeline writes: the first frame's and one two seconds later."""
    out = os.path.join(folder, device + '.jsonl')
    subprocess.run(
        [*run, 'gst-launch-1.0', '-q', 'filesrc', f'location={clip}', '!', 'decodebin', '!', 'dsvl2infer', f'device={device}',
         *properties, f'prompt={prompt}', 'cropping=off', f'max-new-tokens={tokens}', 'interval=2000000000', '!', 'dsvl2json', '!',
         'filesink', f'location={out}'], check=True, timeout=600)
    with open(out, encoding='utf-8') as f:
        return [json.loads(line) for line in f if line.strip()]


def confidences(answer):
    return [o['detection'].pop('confidence') for o in answer['objects']]


def is_same(a, b, bound):
    """Everything but the probabilities, which may differ a little."""
    p, q = confidences(a), confidences(b)
    return a == b and all(abs(x - y) <= bound for x, y in zip(p, q))


def work(counters):
    """-> launches, operations of tensor cores, libraries' functions, as the stand-in counted them; a GPU counts none: None"""
    if 'STANDIN_KERNELS' not in os.environ and not os.path.exists(counters):
        return None
    with open(counters, encoding='utf-8') as f:
        count = json.load(f)
    return (sum(k['launches'] for k in count['kernels']),
            sum(k['matrix_flops'] for k in count['kernels']) + sum(c['flops'] for c in count['libraries']),
            {c['name'] for c in count['libraries']})


def is_as_asked(ran, properties):
    """Did the GPU compute, and with what the properties say?"""
    if ran is None:
        return True
    other = 'own' if 'cuDNN attention' in ran[2] else 'cudnn'
    return ran[0] > 0 and (ran[1] > 0) == ('bf16=true' in properties) and f'vision-attention={other}' not in properties


def main():
    run, model, *rest = sys.argv[1:]
    properties, clips = [a for a in rest if '=' in a], [a for a in rest if '=' not in a]
    bound = CONFIDENCE_BF16 if 'bf16=true' in properties else CONFIDENCE
    os.environ['DSVL2_MODEL'] = model
    same_weights = [a for a in properties if a.startswith('weights=')]
    cases = [(clip, *prompt) for clip in clips for prompt in PROMPTS]
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        os.environ['STANDIN_COUNTERS'] = counters = os.path.join(folder, 'counters.json')
        for n, (clip, prompt, tokens) in enumerate(cases, 1):
            want = answers(folder, [], 'cpu', same_weights, clip, prompt, tokens)
            got = answers(folder, [run], 'cuda', properties, clip, prompt, tokens)
            boxes = sum(len(a['objects']) for a in want)
            texts = [a['text'] for a in got]
            same = len(want) == len(got) > 0 and all(is_same(a, b, bound) for a, b in zip(want, got))
            ran = work(counters)
            same = same and is_as_asked(ran, properties)
            failed += not same
            counted = 'uncounted' if ran is None else f'{ran[0]} launches, {ran[1]:.2e} operations on tensor cores, {sorted(ran[2])}'
            print(f'{"ok" if same else "not ok"} {n} - {os.path.basename(clip)}, "{prompt}": {len(got)} answers, {boxes} boxes, '
                  f'{counted}, {"as" if same else "not as"} device=cpu: {texts}', flush=True)
            if not same:
                print(f'# device=cpu: {want}\n# device=cuda: {got}')
    print(f'1..{len(cases)}')
    return failed > 0


sys.exit(main())
