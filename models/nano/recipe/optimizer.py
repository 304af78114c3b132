"""What moves the weights: Muon for the matrices of the blocks, AdamW for all else.

SPDX-License-Identifier: LGPL-2.1-or-later

Muon (Jordan and others, 2024) makes the momentum of a matrix orthogonal before it is taken as a step. Here it
needs little more than half of AdamW's steps for the same loss.
"""
import functools
import re

import torch
from torch import optim

NEWTON_SCHULZ = 3.4445, -4.7750, 2.0315    # the authors' quintic: it drives singular values towards 1
ITERATIONS = 5
MUON_RATE = 10                             # times the schedule's rate, which is AdamW's
NOT_HIDDEN = r'embed|lm_head|gate\.weight|^lin\.'    # what touches pixels, words, experts or boxes


def groups(modules, scale=1.):
    """Parameter groups of the modules, each with `scale`, its part of the schedule's rate; for Muon those that
    also have `stacked`, the number of matrices that lie in one."""
    named = [(name, p) for module in modules for name, p in module.named_parameters()]
    kinds = {'qkv': [], 'hidden': [], 'matrix': [], 'vector': []}
    for name, p in named:
        vector = p.dim() < 2 or 'pos_embed' in name
        hidden = not vector and not re.search(NOT_HIDDEN, name)
        kinds['vector' if vector else 'qkv' if 'qkv' in name else 'hidden' if hidden else 'matrix'].append(p)
    muon, adam = {'weight_decay': .02, 'scale': MUON_RATE * scale}, {'scale': scale}
    return [{'params': kinds['qkv'], 'stacked': 3, **muon}, {'params': kinds['hidden'], 'stacked': 1, **muon},
            {'params': kinds['matrix'], 'weight_decay': .05, **adam},
            {'params': kinds['vector'], 'weight_decay': 0., **adam}]


def _orthogonal(x):
    """A matrix [m, n] with x's singular vectors and singular values of about 1."""
    a, b, c = NEWTON_SCHULZ
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (x.norm() + 1e-7)
    for _ in range(ITERATIONS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if tall else x


def _update(direction, stacked):
    parts = direction.chunk(stacked)
    size = max(1., parts[0].shape[0] / parts[0].shape[1]) ** .5
    return torch.cat([_orthogonal(part) for part in parts]) * size


class _Muon(optim.Optimizer):
    def __init__(self, groups_, rank, momentum=.95):
        super().__init__(groups_, {'lr': 0., 'momentum': momentum})
        self.rank = rank

    def _direction(self, p, momentum):
        """Nesterov's."""
        state = self.state[p]
        if not state:
            state['momentum'] = torch.zeros_like(p)
        return p.grad.lerp(state['momentum'].lerp_(p.grad, 1 - momentum), momentum)

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            moved = [p for p in group['params'] if p.grad is not None]
            directions = [self._direction(p, group['momentum']) for p in moved]
            updates = self.rank.divide(functools.partial(_update, stacked=group['stacked']), directions)
            for p, update in zip(moved, updates):
                p.mul_(1 - group['lr'] * group['weight_decay']).add_(update, alpha=-group['lr'])


class Optimizer:
    """Of a stage's groups."""

    def __init__(self, groups_, rank):
        self.parts = [_Muon([g for g in groups_ if 'stacked' in g], rank),
                      optim.AdamW([g for g in groups_ if 'stacked' not in g], lr=0., betas=(.9, .98))]
        self.parameters = [p for group in groups_ for p in group['params']]

    def step(self, rate):
        """One step at the schedule's rate, unless a gradient is not a number; gradients are spent."""
        if torch.isfinite(torch.nn.utils.clip_grad_norm_(self.parameters, 1.)):
            for part in self.parts:
                for group in part.param_groups:
                    group['lr'] = group['scale'] * rate
                part.step()
        for p in self.parameters:
            p.grad = None

    def state_dict(self):
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, state):
        for part, of_part in zip(self.parts, state):
            part.load_state_dict(of_part)
