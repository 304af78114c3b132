"""How good a model is: on scenes that were never trained on, or on clips.

usage: python3 -m recipe.evaluate MODEL [--scenes N [--sprites FAMILY] [--shapes SHAPE ...] | --clips FILE ...]
                                  [--write FOLDER]

MODEL is a folder in the hub's layout or a stage's .pt file. --write leaves the frames, their truth and all
questions with their answers in a folder, for tests/bench/nano_eval to be compared with: it asks all but the
grounded captions and the second turns. Of several shapes each has its own figures, and N scenes.

SPDX-License-Identifier: LGPL-2.1-or-later
"""
import argparse
import collections
import itertools
import json
import os
import re

import numpy as np
import torch

from . import answer, checkpoint, frames, nouns, questions, scenes, sprites, tiles
from .kinds import KINDS, N_KINDS
from .tokenizer import Tokenizer

# How it is asked to find a kind; frames and kinds take turns.
FIND = ('find {p}', 'find all the {p}', 'Where are the {p}?', '<|ref|>the {p}<|/ref|>.')
COUNT = 'How many {p} are there?'
IS_THERE = 'Is there a {s}?'
DESCRIBE = 'Describe this image.'
GROUND = '<|grounding|>Describe the image.'
MATCH = .5     # IoU from which a box is right
WHOLE = .6     # objects that show less of themselves are neither asked for nor held against the model
PARTIAL = .3   # IoU with such a one that excuses a box


def boxes_of(text):
    """Boxes in thousandths of the frame; 999 in an answer is its right or bottom edge."""
    boxes = re.findall(r'\[(\d+), *(\d+), *(\d+), *(\d+)\]', text)
    return [[int(v) / 999 * 1000 for v in box] for box in boxes]


def iou(a, b):
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(0, width) * max(0, height)
    total = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return shared / (total - shared) if total > shared else 0.


def match(said, true):
    """(IoU, index in said, index in true) of the boxes that are right; each said box, in turn, takes the
    best that is left."""
    left, matched = set(range(len(true))), []
    for i, box in enumerate(said):
        best = max(((iou(box, true[j]), j) for j in left), default=(0, -1))
        if best[0] >= MATCH:
            left.remove(best[1])
            matched.append((best[0], i, best[1]))
    return matched


class Question:
    def __init__(self, frame, task, kind, template):
        self.frame, self.task, self.kind = frame, task, kind
        named = {} if kind is None else {'s': KINDS[kind].name, 'p': KINDS[kind].plural}
        self.text = template.format(**named)

    def after(self, question, text):
        """The same, asked after another one that got the answer `text`."""
        self.text, self.task = questions.earlier(question.text, text) + self.text, 'second ' + self.task
        return self


def _second_turns(i, frame):
    """A kind that is there and one that is not, asked for after a right answer to another question."""
    there = [kind for kind in range(N_KINDS) if frame.boxes(kind)]
    whole = [kind for kind in there if len(frame.boxes(kind, WHOLE)) == len(frame.boxes(kind))]
    for kind in range(N_KINDS):
        if kind in there and kind not in whole:
            continue
        other = next((k for k in whole if k != kind), None)
        if other is not None and (i + kind) % 2:
            first = Question(i, 'count', other, COUNT)
            text = questions.text_of(questions.count(other, frame.boxes(other)))
        else:
            first, text = Question(i, 'describe', None, DESCRIBE), frame.truth['caption']
        task = 'find' if kind in there else 'absent'
        if task == 'find' or (i + kind) % 4 == 0:
            yield Question(i, task, kind, FIND[(i + kind) % len(FIND)]).after(first, text)


def plan(shown, before):
    """All questions about the frames; so many were shown before them."""
    for i, frame in enumerate(shown):
        turn = before + i
        for kind in range(N_KINDS):
            there = len(frame.boxes(kind, WHOLE))
            if there < len(frame.boxes(kind)):    # one is half out of the frame: neither there nor not
                if there:
                    yield Question(i, 'find', kind, FIND[(turn + kind) % len(FIND)])
                continue
            yield Question(i, 'find' if there else 'absent', kind, FIND[(turn + kind) % len(FIND)])
            yield Question(i, 'is there', kind, IS_THERE)
            if there:
                yield Question(i, 'count', kind, COUNT)
        yield Question(i, 'untaught', None, 'find ' + nouns.HELD_OUT[turn % len(nouns.HELD_OUT)])
        if 'caption' in frame.truth:
            yield Question(i, 'describe', None, DESCRIBE)
            yield Question(i, 'ground', None, GROUND)
            yield from _second_turns(i, frame)


class Score:
    def __init__(self):
        self.rates = collections.defaultdict(list)                          # name: right or not
        self.boxes = collections.defaultdict(lambda: np.zeros(3, int))      # name: matched, said, true
        self.ious = []

    def _second_find(self, frame, kind, text):
        true, said = frame.boxes(kind), boxes_of(text)
        self.boxes['second turn: find'] += np.array([len(match(said, true)), len(said), len(true)])

    def _find(self, frame, kind, text):
        true, partial = frame.boxes(kind, WHOLE), frame.boxes(kind)
        said = boxes_of(text)
        matched = match(said, true)
        right = {i for _, i, _ in matched}
        wrong = [box for i, box in enumerate(said) if i not in right
                 and not (len(partial) > len(true) and any(iou(box, p) >= PARTIAL for p in partial))]
        counts = np.array([len(matched), len(matched) + len(wrong), len(true)])
        for name in ('find', f'find {KINDS[kind].name}', f'find {min(5, len(true))} of a kind'):
            self.boxes[name] += counts
        self.ious += [value for value, _, _ in matched]
        self.rates['find: number of boxes'].append(counts[1] == counts[2])
        found = {j for _, _, j in matched}
        for j, box in enumerate(true):
            tenth = min(4, int((box[3] - box[1]) // 100))
            self.rates[f'recall of {tenth}0 % of the height'].append(j in found)

    def _ground(self, frame, text):
        for phrase, boxes in re.findall(r'<\|ref\|>(.*?)<\|/ref\|><\|det\|>(.*?)<\|/det\|>', text):
            kind = next(iter(_kinds_of(phrase)), None)
            said = boxes_of(boxes)
            right = match(said, frame.boxes(kind)) if kind is not None else []
            self.boxes['ground'] += np.array([len(right), len(said), 0])
        self.boxes['ground'] += np.array([0, 0, len(frame.truth['objects'])])
        self.rates['ground: kinds'].append(_kinds_of(text) == _kinds_of(frame.truth['caption']))

    def add(self, frame, question, text):
        kind, task = question.kind, question.task
        if task == 'find':
            self._find(frame, kind, text)
        elif task == 'second find':
            self._second_find(frame, kind, text)
        elif task in ('absent', 'second absent'):
            name = 'absent: said so' if task == 'absent' else 'second turn: absent, said so'
            self.rates[name].append(text == questions.text_of(questions.absent(kind)))
        elif task == 'untaught':
            self.rates['untaught: said there is none'].append(text.startswith(' There is no '))
        elif task == 'is there':
            word = 'Yes' if frame.boxes(kind) else 'No'
            self.rates[f'is there: {word}'].append(text == f' {word}.')
        elif task == 'count':
            true = frame.boxes(kind)
            right = text == questions.text_of(questions.count(kind, true))
            self.rates['count'].append(right)
            self.rates[f'count {min(5, len(true))}'].append(right)
        elif task == 'describe':
            caption = frame.truth['caption']
            self.rates['describe: all'].append(text == caption)
            self.rates['describe: kinds'].append(_kinds_of(text) == _kinds_of(caption))
        else:
            self._ground(frame, text)

    def lines(self):
        for name, (matched, said, true) in sorted(self.boxes.items()):
            yield (f'{name:28} recall {matched / max(1, true):.3f} precision {matched / max(1, said):.3f} '
                   f'({true} objects)')
        yield f'{"find: mean IoU":28} {sum(self.ious) / max(1, len(self.ious)):.3f}'
        for name, right in sorted(self.rates.items()):
            yield f'{name:28} {np.mean(right):.3f} ({len(right)})'


def _kinds_of(text):
    return {i for i, kind in enumerate(KINDS) if re.search(rf'\b({kind.name}|{kind.plural})\b', text)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('model')
    parser.add_argument('--scenes', type=int, default=200)
    parser.add_argument('--sprites', choices=(sprites.NOTO, sprites.EMOJIONE), default=sprites.NOTO)
    parser.add_argument('--shapes', nargs='+', choices=tuple(scenes.FRAMES), default=[scenes.WIDE])
    parser.add_argument('--clips', nargs='+')
    parser.add_argument('--write')
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model, tokenizer = checkpoint.load(arguments.model), Tokenizer()
    candidates = checkpoint.candidates(arguments.model)
    sets = ({'of clips': list(itertools.chain(*map(frames.of_clip, arguments.clips)))} if arguments.clips
            else {shape: list(frames.held_out(arguments.scenes, arguments.sprites, shape))
                  for shape in arguments.shapes})
    every, lines = [], []
    for shape, shown in sets.items():
        asked = list(plan(shown, len(every)))
        pictures = [tiles.cut(frame.image, candidates) for frame in shown]
        answers = answer.answer(model, tokenizer, pictures, [(q.frame, q.text) for q in asked])
        score = Score()
        for question, text in zip(asked, answers):
            score.add(shown[question.frame], question, text)
            lines.append({'frame': len(every) + question.frame, 'task': question.task,
                          'question': question.text, 'answer': text})
        print(f'{arguments.model}: {len(shown)} frames {shape}, {len(asked)} questions')
        print('\n'.join(score.lines()), flush=True)
        every += shown
    if arguments.write:
        frames.write(arguments.write, every)
        with open(os.path.join(arguments.write, 'answers.jsonl'), 'w', encoding='utf-8') as file:
            file.writelines(json.dumps(line, ensure_ascii=False) + '\n' for line in lines)


if __name__ == '__main__':
    main()
