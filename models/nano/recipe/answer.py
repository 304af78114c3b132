"""Greedy answers of a model to questions about pictures, many at once.

SPDX-License-Identifier: LGPL-2.1-or-later
"""
import collections

import numpy as np
import torch

from . import questions

LONGEST = 140
AT_ONCE = 96


def _decode(model, tokenizer, x):
    """Token ids of the answers to rows of embeddings [B, T, D]."""
    caches = [[] for _ in model.language.model.layers]
    positions, answers = torch.arange(x.shape[1]), []
    done = torch.zeros(len(x), dtype=torch.bool)
    while not done.all() and len(answers) < LONGEST:
        hidden = model.language(x, positions, caches=caches)[:, -1]
        token = model.language.lm_head(hidden).float().argmax(-1)
        token[done] = tokenizer.eos
        done |= token == tokenizer.eos
        answers.append(token)
        x, positions = model.embed(token)[:, None], positions[-1:] + 1
    rows = torch.stack(answers, 1).tolist()
    return [row[:row.index(tokenizer.eos)] if tokenizer.eos in row else row for row in rows]


@torch.no_grad()
def answer(model, tokenizer, pictures, asked):
    """Answers to `asked`, pairs of (index of the picture, question). pictures: what tiles.cut () gives of each,
    all in one grid."""
    views, grid = np.stack([views for views, _ in pictures]), pictures[0][1]
    features = torch.cat([model.layout(model.encode(torch.from_numpy(views[i:i + 50])), grid)
                          for i in range(0, len(views), 50)])
    before = model.embed(torch.tensor(tokenizer.encode(questions.PREFIX)))
    tokens = [tokenizer.encode(questions.turn(question)) for _, question in asked]
    answers, alike = [None] * len(asked), collections.defaultdict(list)
    for i, row in enumerate(tokens):    # rows of one length need no padding
        alike[len(row)].append(i)
    for same in alike.values():
        for start in range(0, len(same), AT_ONCE):
            rows = same[start:start + AT_ONCE]
            image = features[[asked[i][0] for i in rows]]
            question = model.embed(torch.tensor([tokens[i] for i in rows]))
            x = torch.cat([before.expand(len(rows), -1, -1), image, question], 1)
            for i, ids in zip(rows, _decode(model, tokenizer, x)):
                answers[i] = tokenizer.decode(ids)
    return answers
