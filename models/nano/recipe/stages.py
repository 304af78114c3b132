"""The three stages: vision with the detector; the language model on its frozen features; both together.

SPDX-License-Identifier: LGPL-2.1-or-later
"""
import math

import torch
from torch import nn

from . import detector, optimizer, packing, pool, training
from .model import LANGUAGE, Vl2
from .tokenizer import COORDINATES, Tokenizer


def _initial(stage):
    """The model and its detector as the seed has them."""
    torch.manual_seed(stage.seed)
    return nn.ModuleDict({'model': Vl2(), 'detector': detector.Detector(LANGUAGE['hidden_size'])})


def _inherit(modules, path, which='last'):
    modules.load_state_dict(torch.load(path)[which])


class Vision(training.Stage):
    name = 'vision'
    schedule = training.Schedule(steps=4000, batch=32, rate=1.2e-3, warm=50, end=.04)

    def __init__(self, work, seed, length, rank):
        super().__init__(work, seed, length, rank)
        self.modules = _initial(self)
        self.pool = pool.Pool(f'{work}/scenes')

    def groups(self):
        model = self.modules['model']
        return optimizer.groups([model.vision, model.projector, self.modules['detector']])

    def loss(self, step):
        rng, views, scenes = self.generator(step, self.rank.index), [], []
        for shape, n in pool.share(self.share).items():
            if n > 0:
                pictures, drawn = self.pool.batch(rng, n, shape)
                views.append(torch.from_numpy(pictures).flatten(0, 1))
                scenes += drawn
        with training.mixed_precision():
            features = self.modules['model'].encode(torch.cat(views)[None])[0]
            y = self.modules['detector'](features)
        return detector.loss(y, scenes)


def _order_coordinates(model, tokenizer):
    """Starts the coordinate tokens with rows that change smoothly with the value. Sine and cosine pairs give
    all rows one norm, so that each value can win."""
    value = torch.linspace(0, 1, len(COORDINATES))[:, None]
    angle = math.pi * torch.tensor([.25, .5, 1, 2, 4, 8]) * value
    basis, width = torch.cat([angle.cos(), angle.sin()], 1), LANGUAGE['hidden_size']
    with torch.no_grad():
        for rows, spread, offset in ((model.embed.weight, .25, .3), (model.language.lm_head.weight, .03, .02)):
            smooth = basis @ torch.randn(basis.shape[1], width) * spread + torch.randn(width) * offset
            rows[tokenizer.coordinates] = smooth


def _soft_labels(sigma):
    """[n, n]: for each coordinate the distribution to learn, a Gaussian around it."""
    i = torch.arange(len(COORDINATES)).float()
    weight = torch.exp(-.5 * ((i[:, None] - i) / sigma) ** 2)
    return weight / weight.sum(1, keepdim=True)


class Language(training.Stage):
    """The language model on the features of the vision stage, which stay as they are."""
    name = 'language'
    schedule = training.Schedule(steps=2000, batch=16, rate=1.2e-3, warm=50, end=.3)
    guide = .3, .15              # weight of the attention guide at the start and at the end
    sigma = 2.5, 1.2             # of the soft labels, in coordinates
    detector_weight = 0.
    inherited = 'vision'

    def __init__(self, work, seed, length, rank):
        super().__init__(work, seed, length, rank)
        self.tokenizer = Tokenizer()
        self.packer = packing.Packer(self.tokenizer)
        self.modules = _initial(self)
        self.model = self.modules['model']
        _inherit(self.modules, f'{work}/{self.inherited}.pt')
        if self.inherited == 'vision':
            _order_coordinates(self.model, self.tokenizer)
        self.pool = pool.Pool(f'{work}/scenes')
        self.window, self.batches = -1, []

    def groups(self):
        return [*optimizer.groups([self.model.language]),
                {'params': [self.model.image_newline, self.model.view_seperator],
                 'weight_decay': 0., 'scale': 1.}]

    def _batch(self, step):
        window, place = divmod(step, packing.WINDOW)
        if window != self.window:
            rng, order = self.generator(window, self.rank.index + 1), self.generator(window, 0)
            self.window = window
            self.batches = list(self.packer.window(rng, order, self.pool, self.share))
        return self.batches[place]

    def _between(self, ends, step):
        return ends[0] + (ends[1] - ends[0]) * step / self.schedule.steps

    def _hidden(self, features, batch):
        """Last hidden states of the questions and answers, [B, T, D]."""
        image = self.model.layout(features.float(), batch.grid)
        before = self.model.embed(torch.tensor(self.packer.prefix)).expand(len(batch.scenes), -1, -1)
        prefix = before.shape[1] + image.shape[1]
        positions = torch.cat([torch.arange(prefix),
                               *(torch.arange(prefix, prefix + n) for n in batch.segments)])
        x = torch.cat([before, image, self.model.embed(batch.ids)], 1)
        return self.model.language(x, positions, prefix, batch.segments)[:, prefix:]

    def _answer_loss(self, hidden, batch, step):
        """Words by their weights, coordinates by their soft labels."""
        asked = batch.labels >= 0
        label, bin_, weight = batch.labels[asked], batch.bins[asked], batch.weights[asked]
        with training.mixed_precision():
            logits = self.model.language.lm_head(hidden[asked])
        scores = logits.float().log_softmax(-1)
        word = bin_ < 0
        words = -scores.gather(1, label[:, None])[:, 0][word]
        word_loss = (words * weight[word]).sum() / weight[word].sum()
        soft = _soft_labels(self._between(self.sigma, step))[bin_[~word]]
        said = scores[~word][:, self.tokenizer.coordinates]
        coordinate_loss = -(said * soft).sum() / max(1, len(said))
        decided = word & (weight == 1)
        off = (said.detach().argmax(1) - bin_[~word]).abs().float()
        return word_loss + .7 * coordinate_loss, {
            'words': word_loss.item(),
            'decided': (scores.detach()[decided].argmax(1) == label[decided]).float().mean().item(),
            'off': 8 * off.mean().item()}    # in thousandths of the frame

    def _guide_loss(self, batch, step):
        """Head 0 of each expert layer should look where the answer speaks of."""
        row, position, one, other = batch.looks
        total, seen = 0., []
        for layer in self.model.language.expert_layers:
            weights = torch.cat(layer.self_attn.watched, 1)[row, position].float()    # [n, prefix]
            mass = (weights.gather(1, one[:, None]) + weights.gather(1, other[:, None]))[:, 0]
            total = total - ((mass + 1e-3).log() * batch.look_weights).sum() / batch.look_weights.sum()
            seen.append((mass.mean() / batch.look_weights.mean()).item())
        return self._between(self.guide, step) * total, {'looks': sum(seen) / len(seen)}

    def loss(self, step):
        batch = self._batch(step)
        for layer in self.model.language.expert_layers:
            layer.self_attn.watched = []
        frozen = self.detector_weight == 0
        with training.mixed_precision():
            with torch.set_grad_enabled(not frozen):
                features = self.model.encode(torch.from_numpy(batch.pictures))
            hidden = self._hidden(features, batch)
            cells = None if frozen else self.modules['detector'](features.flatten(0, 1))
        answer, figures = self._answer_loss(hidden, batch, step)
        guide, more = self._guide_loss(batch, step)
        total = answer + guide + .01 * sum(layer.mlp.balance for layer in self.model.language.expert_layers)
        if not frozen:
            detected, seen = detector.loss(cells, batch.scenes)
            total, more = total + self.detector_weight * detected, {**more, 'iou': seen['iou']}
        return total, {**figures, **more}


class Joint(Language):
    """Everything together; the moving average of its weights is the model."""
    name = 'joint'
    schedule = training.Schedule(steps=2400, batch=20, rate=1e-3, warm=30, end=.02, average=.995)
    guide = .3, .09
    sigma = 1.2, .8
    detector_weight = .5
    inherited = 'language'

    def groups(self):
        vision = [self.model.vision, self.model.projector, self.modules['detector']]
        return [*optimizer.groups(vision, scale=.2), *super().groups()]


STAGES = (Vision, Language, Joint)
