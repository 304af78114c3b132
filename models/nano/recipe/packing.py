"""Training batches of the language model: six questions packed behind each picture.

SPDX-License-Identifier: LGPL-2.1-or-later
"""
from typing import NamedTuple

import numpy as np
import torch

from . import questions, tiles
from . import pool as drawn
from .model import SIDE

BOILERPLATE = .15    # loss weight of tokens that follow from what was said before
IGNORE = -100
N_BEFORE = 4         # tokens of questions.PREFIX
TOKEN = 32           # pixels of a tile that an image token stands for
WINDOW = 10          # batches that are drawn and sorted together
SECOND_TURNS = .3    # of pictures, one of the six questions is a second one


class Batch(NamedTuple):
    pictures: np.ndarray      # [B, views, TILE, TILE, 3] uint8, of one shape
    scenes: list
    grid: tuple               # of all of them
    ids: torch.Tensor         # [B, T], the questions and answers without their last token
    labels: torch.Tensor      # [B, T], the token that follows, or IGNORE
    bins: torch.Tensor        # [B, T], the following token's index among the coordinates, or -1
    weights: torch.Tensor     # [B, T]
    segments: list            # lengths of the six, Σ = T
    looks: torch.Tensor       # [4, n]: row, position, and two prefix positions that it should look at
    look_weights: torch.Tensor


class _Answered(NamedTuple):
    question: list    # token ids
    answer: list
    looks: list       # for each token of the answer
    decides: list


class Packer:
    def __init__(self, tokenizer):
        self.tokenizer = tokenizer
        self.prefix = tokenizer.encode(questions.PREFIX)
        self.bin = {token: i for i, token in enumerate(tokenizer.coordinates)}
        self.separators = set(tokenizer.encode('8, 8')) - set(tokenizer.coordinates)
        self.det, self.end_det = tokenizer.ids['<|det|>'], tokenizer.ids['<|/det|>']

    def _ask(self, rng, scene, task, second):
        first = questions.first_turn(rng, scene) if second else ''
        question, pieces = questions.ask(rng, scene, task)
        answer, looks, decides = [], [], []
        for piece in pieces:
            ids = self.tokenizer.encode(piece.text)
            answer += ids
            looks += [piece.look] * len(ids)
            decides += [piece.decides] * len(ids)
        return _Answered(self.tokenizer.encode(questions.turn(first + question)), answer + [self.tokenizer.eos],
                         looks + [None], decides + [False])

    def _ask_six(self, rng, scene):
        """Longest first, so that the rows of a batch waste little."""
        u = rng.random(3)
        tasks = ('phrase', 'find', 'count', 'ground' if u[0] < .45 else 'untaught' if u[0] < .8 else 'phrase',
                 'absent' if u[1] < .4 else 'untaught' if u[1] < .8 else 'is there',
                 'describe' if u[2] < .7 else 'is there')
        second = int(rng.integers(len(tasks))) if rng.random() < SECOND_TURNS else None
        asked = [self._ask(rng, scene, task, i == second) for i, task in enumerate(tasks)]
        return sorted(asked, key=lambda a: -len(a.question) - len(a.answer))

    def window(self, rng, order, pool, n):
        """WINDOW batches of n pictures, those of one shape and with about the same lengths together. `order`
        shuffles the batches: where it is the same in several processes their batches are about as long."""
        batches = []
        for shape, share in drawn.share(WINDOW).items():
            pictures, scenes = pool.batch(rng, n * share, shape)
            asked = [self._ask_six(rng, scene) for scene in scenes]
            by_length = np.argsort([sum(len(a.question) + len(a.answer) for a in six) for six in asked])
            for rows in by_length.reshape(share, n):
                batches.append((pictures[rows], [scenes[i] for i in rows], [asked[i] for i in rows]))
        for k in order.permutation(WINDOW):
            yield self._collate(*batches[k])

    def _label(self, a):
        """For each token of an answer: its coordinate's index, its weight."""
        bins, weights, inside = [], [], False
        for token, decides in zip(a.answer, a.decides):
            inside = token == self.det or inside and token != self.end_det
            bins.append(self.bin.get(token, -1) if inside else -1)
            boilerplate = not decides or inside and token in self.separators
            weights.append(BOILERPLATE if boilerplate else 1.)
        return bins, weights

    def _collate(self, pictures, scenes, asked):
        segments = [max(len(six[k].question) + len(six[k].answer) for six in asked) - 1 for k in range(6)]
        shape = len(asked), sum(segments)
        ids, labels = np.full(shape, self.tokenizer.pad), np.full(shape, IGNORE)
        bins, weights = np.full(shape, -1), np.zeros(shape, np.float32)
        looks = []
        for row, (scene, six) in enumerate(zip(scenes, asked)):
            start = 0
            for a, length in zip(six, segments):
                tokens = a.question + a.answer
                end, first = start + len(tokens) - 1, start + len(a.question) - 1
                ids[row, start:end] = tokens[:-1]
                labels[row, first:end] = a.answer
                bins[row, first:end], weights[row, first:end] = self._label(a)
                looks += [(row, first + j, *at) for j, look in enumerate(a.looks)
                          for at in _places(look, scene)]
                start += length
        looks = np.array(looks or [(0, 0, 0, 1, 0.)]).T
        return Batch(pictures, scenes, tiles.grid_of(scenes[0].size), *map(torch.from_numpy, (ids, labels, bins, weights)), segments,
                     torch.from_numpy(looks[:4].astype(np.int64)),
                     torch.from_numpy(looks[4].astype(np.float32)))


def _image_token(view, centre, columns, rows):
    """Index of the token of a view that has the point, newlines counted."""
    x, y, width, height = view
    column = int(np.clip((centre[0] * width + x) // TOKEN, 0, columns - 1))
    row = int(np.clip((centre[1] * height + y) // TOKEN, 0, rows - 1))
    return row * (columns + 1) + column


def _places(look, scene):
    """Where a token should look: the local and the global image token at each object's centre, with its
    share; the first two tokens where there is nothing to see."""
    if look is None:
        return []
    if look == questions.NOTHING:
        return [(0, 1, 1.)]
    (whole, local), (across, down) = tiles.views(scene.size), tiles.grid_of(scene.size)
    local_start = N_BEFORE + SIDE * (SIDE + 1) + 1
    places = []
    for o in look:
        centre = (o.x0 + o.x1) / 2, (o.y0 + o.y1) / 2
        places.append((local_start + _image_token(local, centre, SIDE * across, SIDE * down),
                       N_BEFORE + _image_token(whole, centre, SIDE, SIDE), 1 / len(look)))
    return places
