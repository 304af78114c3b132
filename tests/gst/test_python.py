#!/usr/bin/env python3
# dsvl2: what an application in Python sees: properties, signals, messages, metadata
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Only GObject introspection, nothing of gst-python. DSVL2_TEST_MODEL names the model's folder,
# GST_PLUGIN_PATH that of the plugin.
import os
import re
import sys
import unittest

import gi
gi.require_version('Gst', '1.0')
gi.require_version('GstVideo', '1.0')
from gi.repository import Gst, GstVideo

try:
    gi.require_version('GstAnalytics', '1.0')
    from gi.repository import GstAnalytics
except (ValueError, ImportError):
    GstAnalytics = None

FRAMES = 3
SOURCE = f'videotestsrc num-buffers={FRAMES} pattern=ball ! video/x-raw,format=I420,width=160,height=120'

# The fields of "dsvl2-result" and of "detection", with their types, as gstdsvl2meta.h has them.
FIELDS = {
    'text': str, 'caption': str, 'prompt': str, 'prompt-index': int, 'seen-pts': int, 'stream-time': int,
    'running-time': int, 'width': int, 'height': int, 'region-x': int, 'region-y': int,
    'region-width': int, 'region-height': int, 'frames': int, 'first-pts': int, 'turns': int, 'fresh': bool, 'finish': str, 'tokens': int,
    'prompt-tokens': int, 'cached-tokens': int, 'tiles': int, 'queue-us': int, 'vision-us': int,
    'prefill-us': int, 'decode-us': int, 'n-objects': int,
}
DETECTION = {'x_min': float, 'x_max': float, 'y_min': float, 'y_max': float, 'confidence': float,
             'label_id': int, 'label': str}


def documented_function(name):
    """What docs/elements.md shows of it, as it stands there."""
    with open(os.path.join(os.environ['DSVL2_TEST_ROOT'], 'docs/elements.md'), encoding='utf-8') as f:
        code, = [block for block in re.findall(r'```python\n(.*?)```', f.read(), re.DOTALL)
                 if f'def {name}(' in block]
    scope = {}
    exec(code, scope)
    return scope[name]


def array_of(structure, field):
    there, array = structure.get_array(field)
    assert there, field
    values = [array.get_nth(i) for i in range(array.n_values)]
    return [v.copy() if isinstance(v, Gst.Structure) else v for v in values]   # else they go with the array


class Pipeline:
    """One run of a pipeline to its end, and all that it told."""

    def __init__(self, properties, on_infer=lambda infer: None, source=SOURCE, look=lambda buffer: None):
        self.messages, self.results, self.partials, self.metas, self.told = [], [], [], [], []
        self.warnings, self.looks, self.look = [], [], look
        self.pipeline = Gst.parse_launch(
            f'{source} ! dsvl2infer name=infer max-new-tokens=12 {properties} ! fakesink name=sink')
        self.infer = self.pipeline.get_by_name('infer')
        self.infer.set_property('model', os.environ['DSVL2_TEST_MODEL'])
        on_infer(self.infer)
        self.infer.connect('result', lambda infer, s: self.results.append(s.copy()))
        self.infer.connect('partial', lambda infer, s: self.partials.append(s.copy()))
        sink = self.pipeline.get_by_name('sink').get_static_pad('sink')
        sink.add_probe(Gst.PadProbeType.BUFFER, self.on_buffer)
        self.run()

    def on_buffer(self, pad, info):
        buffer = info.get_buffer()
        meta = buffer.get_custom_meta('dsvl2-result')
        self.told.append([r for r in self.results if r.get_value('seen-pts') == buffer.pts])
        self.looks.append(self.look(buffer))
        self.metas.append((buffer.pts, meta.get_structure().copy() if meta else None))
        return Gst.PadProbeReturn.OK

    def run(self):
        self.pipeline.set_state(Gst.State.PLAYING)
        bus = self.pipeline.get_bus()
        while True:
            message = bus.timed_pop(60 * Gst.SECOND)
            assert message and message.type != Gst.MessageType.ERROR, message and message.parse_error()
            if message.has_name('dsvl2-result'):
                self.messages.append(message.get_structure().copy())
            if message.type == Gst.MessageType.WARNING:
                self.warnings.append(message.parse_warning()[0].message)
            if message.type == Gst.MessageType.EOS:
                break
        self.stats = self.infer.get_property('stats')
        self.last = self.infer.get_property('last-result')
        self.pipeline.set_state(Gst.State.NULL)


class Test(unittest.TestCase):
    def check_result(self, s, prompt, index):
        for name, kind in FIELDS.items():
            self.assertIs(type(s.get_value(name)), kind, name)
        self.assertEqual(s.n_fields(), len(FIELDS) + 1)
        self.assertEqual((s.get_value('prompt'), s.get_value('prompt-index')), (prompt, index))
        self.assertEqual((s.get_value('width'), s.get_value('height')), (160, 120))
        objects = array_of(s, 'objects')
        self.assertEqual(len(objects), s.get_value('n-objects'))
        for o in objects:
            for name, kind in DETECTION.items():
                self.assertIs(type(o.get_value(name)), kind, name)

    def test_one_prompt(self):
        p = Pipeline('prompt="find cars"')
        self.assertEqual([len(x) for x in (p.messages, p.results, p.metas)], [FRAMES] * 3)
        for told, signalled, (pts, meta) in zip(p.messages, p.results, p.metas):
            self.check_result(told, 'find cars', 0)
            self.assertEqual(told.to_string(), signalled.to_string())
            self.assertEqual(told.to_string(), meta.to_string())
            self.assertEqual(told.get_value('seen-pts'), pts)
        self.assertEqual(p.last.to_string(), p.messages[-1].to_string())

    def test_partials(self):
        p = Pipeline('')
        answers = iter(p.results)
        answer = next(answers)
        for i, part in enumerate(p.partials):
            self.assertTrue(part.has_name('dsvl2-partial'))
            if part.get_value('seen-pts') != answer.get_value('seen-pts'):
                self.assertEqual(p.partials[i - 1].get_value('text').strip(), answer.get_value('text').strip())
                answer = next(answers)
            self.assertEqual(part.get_value('prompt'), 'Describe this image.')
            self.assertTrue(answer.get_value('text').startswith(part.get_value('text')))
        self.assertEqual(len(p.partials), sum(r.get_value('tokens') for r in p.results))

    def test_prompts(self):
        p = Pipeline('', lambda infer: infer.set_property('prompts', 'find cars\nWhat is it?'))
        self.assertEqual([m.get_value('prompt-index') for m in p.messages], [0, 1] * FRAMES)
        self.check_result(p.messages[1], 'What is it?', 1)
        self.assertEqual(p.last.get_value('prompt'), 'What is it?')
        self.assertEqual([m.get_value('tiles') for m in p.messages[1::2]], [0] * FRAMES)

    def test_all_results_of_a_frame(self):
        """The signal has told them when the frame comes; get_custom_meta has the first alone."""
        p = Pipeline('prompts="a;b;c"')
        print('#', [[r.get_value('prompt') for r in told] for told in p.told])
        self.assertEqual([[r.get_value('prompt') for r in told] for told in p.told], [['a', 'b', 'c']] * FRAMES)
        self.assertEqual([meta.get_value('prompt') for pts, meta in p.metas], ['a'] * FRAMES)

    def test_history(self):
        p = Pipeline('history=2 prompt="What is it?"')
        self.assertEqual([m.get_value('turns') for m in p.messages], [0, 1, 2])

    def test_history_too_long(self):
        """With the nano model and its context of 1024 tokens: earlier turns may have 512 bytes, then are left out."""
        def nano(infer):
            infer.set_property('model', os.path.join(os.environ['DSVL2_TEST_ROOT'], 'models/nano/hf'))
        for length, turns in ((20, [0, 1, 2]), (300, [0, 1, 1]), (600, [0, 0, 0])):
            p = Pipeline(f'history=2 prompt="{"x " * (length // 2)}"', nano)
            print('#', length, [(m.get_value('turns'), m.get_value('prompt-tokens')) for m in p.messages])
            self.assertEqual([m.get_value('turns') for m in p.messages], turns)
            self.assertEqual((p.stats.get_value('answered'), p.stats.get_value('failed')), (FRAMES, 0))
        p = Pipeline(f'history=2 prompt="{"x " * 2000}"', nano)
        self.assertEqual((p.stats.get_value('answered'), p.stats.get_value('failed')), (0, FRAMES))

    def test_analytics(self):
        """Nano's boxes as GstAnalytics has them, read by the documentation's own function."""
        if GstAnalytics is None:
            self.skipTest('GstAnalytics cannot be reached from Python here; with GStreamer 1.26 it can')
        root = os.environ['DSVL2_TEST_ROOT']
        detections = documented_function('detections')
        p = Pipeline('prompt="find cars" interval=1000000000 hold=0 cropping=off max-new-tokens=64',
                     lambda infer: infer.set_property('model', os.path.join(root, 'models/nano/hf')),
                     f'filesrc location={root}/tests/golden/clips/still.webm ! decodebin ! videoconvert',
                     lambda buffer: list(detections(buffer)))
        n = 0
        for (_, meta), found in zip(p.metas, p.looks):
            objects = array_of(meta, 'objects') if meta else []
            self.assertEqual(len(found), len(objects))
            for o, (label, x, y, w, h, confidence, classes) in zip(objects, found):
                self.assertEqual((label, classes), (o.get_value('label'), [o.get_value('label')]))
                self.assertAlmostEqual(confidence, o.get_value('confidence'), places=5)
                for pixels, share, size in ((x, 'x_min', 'width'), (x + w, 'x_max', 'width'),
                                            (y, 'y_min', 'height'), (y + h, 'y_max', 'height')):
                    self.assertAlmostEqual(pixels, o.get_value(share) * meta.get_value(size), delta=1)
                n += 1
        self.assertGreater(n, 0)

    def test_context_retry(self):
        """With nano: a system prompt leaves no room for earlier turns, or none at all. Their bytes would fit."""
        def nano(infer):
            infer.set_property('model', os.path.join(os.environ['DSVL2_TEST_ROOT'], 'models/nano/hf'))

        def run(length, history):
            p = Pipeline(f'history={history} cropping=off prompt="{"x " * 60}" system-prompt="{"x " * length}"', nano)
            got = [(m.get_value('turns'), m.get_value('prompt-tokens'), m.get_value('text')) for m in p.messages]
            stats = [p.stats.get_value(name) for name in ('frames', 'answered', 'failed')]
            print('#', length, history, [(turns, tokens) for turns, tokens, _ in got], stats, p.warnings[:1])
            self.assertEqual(len(p.metas), FRAMES)
            return p, got, stats

        self.assertEqual([turns for turns, *_ in run(1, 2)[1]], [0, 1, 2])
        _, retried, stats = run(400, 2)
        self.assertEqual(stats, [FRAMES, FRAMES, 0])
        self.assertEqual([turns for turns, *_ in retried], [0, 0, 0])
        self.assertEqual(retried, run(400, 0)[1])
        refused, answers, stats = run(600, 2)
        self.assertEqual((answers, stats), ([], [FRAMES, 0, FRAMES]))
        self.assertEqual([meta for _, meta in refused.metas], [None] * FRAMES)
        self.assertIn('1024', refused.warnings[0])

    def test_frames(self):
        p = Pipeline('frames=2')
        self.assertEqual([m.get_value('frames') for m in p.messages], [2, 1])
        self.assertEqual([meta is not None for pts, meta in p.metas], [False, True, True])

    def test_stats(self):
        p = Pipeline('prompts="a;b"')
        number = {p.stats.nth_field_name(i): p.stats.get_value(p.stats.nth_field_name(i))
                  for i in range(p.stats.n_fields())}
        print('#', number)
        self.assertEqual([number[k] for k in ('frames', 'analysed', 'answered', 'failed', 'dropped', 'skipped')],
                         [FRAMES, FRAMES, 2 * FRAMES, 0, 0, 0])
        for name in ('tokens', 'prompt-tokens', 'cached-tokens'):
            self.assertEqual(number[name], sum(m.get_value(name) for m in p.messages))
        for name in ('queue', 'vision', 'prefill', 'decode'):
            mean = sum(m.get_value(name + '-us') for m in p.messages) / len(p.messages) / 1000
            self.assertAlmostEqual(number[name + '-ms'], mean, places=6)
        self.assertAlmostEqual(number['cache-hits'], number['cached-tokens'] / number['prompt-tokens'])
        self.assertGreater(number['tokens-per-second'], 0)

    def test_properties(self):
        infer = Gst.ElementFactory.make('dsvl2infer')
        for name, value in (('prompt', 'é'), ('prompts', 'a\nb'), ('temperature', 0.5), ('interval', 10 ** 9),
                            ('max-new-tokens', 7)):
            infer.set_property(name, value)
            self.assertEqual(infer.get_property(name), value)

    def test_texts(self):
        """What gst-inspect-1.0 prints of properties: short, and each of them is in the documentation."""
        documented = open(os.path.join(os.environ['DSVL2_TEST_ROOT'], 'docs/elements.md')).read()
        for name in ('dsvl2infer', 'dsvl2overlay', 'dsvl2json'):
            element = Gst.ElementFactory.make(name)
            own = [p for p in element.list_properties() if p.owner_type == element.__gtype__]
            self.assertGreater(len(own), 5)
            for p in own:
                self.assertRegex(p.blurb, r'^[A-Z"].{10,158}[^. ]$', f'{name}: {p.name}')
                self.assertNotIn('  ', p.blurb)
                self.assertIn(f'`{p.name}`', documented, name)
            print(f'# {name}: {len(own)} properties, the longest text has {max(len(p.blurb) for p in own)} letters')


if __name__ == '__main__':
    Gst.init(None)
    unittest.main(verbosity=2)
