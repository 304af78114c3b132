#!/usr/bin/env python3
# dsvl2: dsvl2infer on frames in CUDA memory, under the CUDA stand-in: answers, and what was copied where
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# usage: test_cuda_memory.py RUN      RUN: tests/cuda/run. Prints TAP.
#        test_cuda_memory.py --child MEMORY DEVICE CAPS     a list of answers as JSON, on the stand-in
#
# MEMORY is host, own (cudaupload works in the engine's context) or foreign (in a context of its own, which it
# got before there was an engine). Each case is a process; the stand-in's counters say what it copied.
import json
import os
import subprocess
import sys
import tempfile

FRAMES = 2


def child(memory, device, caps):
    import gi
    gi.require_version('Gst', '1.0')
    from gi.repository import Gst
    Gst.init(None)
    source = f'videotestsrc num-buffers={FRAMES} pattern=smpte ! {caps}'
    infer = f'dsvl2infer name=infer model={os.environ["DSVL2_TEST_MODEL"]} device={device} max-new-tokens=2 cropping=off'
    upload = '' if memory == 'host' else '! cudaupload ! video/x-raw(memory:CUDAMemory)'
    lines = []

    def on_result(_, result):
        lines.append([result.get_value('seen-pts'), result.get_string('text')])

    def run(launch, prepare=None):
        pipeline = Gst.parse_launch(launch)
        element = pipeline.get_by_name('infer')
        if element:
            element.connect('result', on_result)
        if prepare:
            prepare(pipeline)
        pipeline.set_state(Gst.State.PLAYING)
        message = pipeline.get_bus().timed_pop_filtered(
            Gst.CLOCK_TIME_NONE, Gst.MessageType.EOS | Gst.MessageType.ERROR | Gst.MessageType.WARNING)
        if message.type != Gst.MessageType.EOS:
            print(message.get_structure().to_string(), file=sys.stderr)
            os._exit(1)
        pipeline.set_state(Gst.State.NULL)

    if memory != 'foreign':
        run(f'{source} {upload} ! {infer} ! fakesink')
    else:
        samples = []

        def keep(pipeline):
            def on_buffer(_, buffer, pad):
                samples.append((buffer.copy(), pad.get_current_caps()))
            pipeline.get_by_name('sink').connect('handoff', on_buffer)

        def feed(pipeline):
            source = pipeline.get_by_name('source')
            source.set_property('caps', samples[0][1])
            for buffer, _ in samples:
                source.emit('push-buffer', buffer)
            source.emit('end-of-stream')
        run(f'{source} {upload} ! fakesink name=sink signal-handoffs=true', keep)
        run(f'appsrc name=source format=time ! {infer} ! fakesink', feed)
        samples.clear()
    print(json.dumps(lines))


def copied(counters, direction):
    return sum(c['bytes'] for c in counters['copies'] if c['name'] == direction)


def run(runner, *case):
    with tempfile.NamedTemporaryFile() as file:
        env = dict(os.environ, STANDIN_COUNTERS=file.name, STANDIN_LEAKS='0')
        result = subprocess.run([runner, sys.executable, '-W', 'ignore', __file__, '--child', *case], env=env,
                                stdout=subprocess.PIPE, text=True)
        if result.returncode != 0:
            raise RuntimeError(f'exit status {result.returncode}')
        text = file.read() # nothing where CUDA was not used at all
        return json.loads(result.stdout), json.loads(text or '{"copies": [], "calls": {}}')


# memory, engine, format and size; the same in host memory is what it is compared with
CASES = [
    ('own', 'cuda', 'NV12,width=98,height=54'),
    ('foreign', 'cuda', 'NV12,width=98,height=54'),
    ('own', 'cuda', 'RGBA,width=50,height=30'),
    ('own', 'cuda', 'P010_10LE,width=46,height=34'),
    ('own', 'cpu', 'NV12,width=98,height=54'),
    ('foreign', 'cpu', 'RGBA,width=50,height=30'),
]


def main(runner):
    print(f'1..{len(CASES)}')
    failed = 0
    for n, (memory, device, caps) in enumerate(CASES, 1):
        caps = 'video/x-raw,framerate=25/1,format=' + caps
        label = f'{caps} in {memory} memory, engine on {device}'
        try:
            want, plain = run(runner, 'host', device, caps)
            got, counters = run(runner, memory, device, caps)
        except RuntimeError as error:
            print(f'not ok {n} - {label}: {error}', flush=True)
            failed += 1
            continue
        downloads = copied(counters, 'device to host') - copied(plain, 'device to host')
        peer = counters['calls'].get('cuMemcpyPeerAsync', 0)
        right = got == want and len(want) == FRAMES
        if device == 'cuda':
            right &= downloads == 0 and (peer > 0) == (memory == 'foreign')
        else:
            right &= downloads > 0
        failed += not right
        print(f'# {want!r} in host memory, {got!r} here; {downloads:.0f} bytes more to the host, '
              f'{peer} copies between contexts')
        print(f'{"ok" if right else "not ok"} {n} - {label}', flush=True)
    sys.exit(failed > 0)


if sys.argv[1] == '--child':
    child(*sys.argv[2:])
else:
    main(sys.argv[1])
