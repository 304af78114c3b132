"""The loop around every stage: seeded, resumable, on one or several processes.

SPDX-License-Identifier: LGPL-2.1-or-later

A step's data, rate and loss follow from the seed, the stage and the step's number alone, so a run that is
interrupted goes on from its last save as if nothing had been. Several processes (ranks) share each batch
and average their gradients; the result depends on how many they are.
"""
import functools
import math
import multiprocessing
import os
import re
import time
from typing import NamedTuple

import numpy as np
import torch

from .optimizer import Optimizer

SAVE_EVERY = 100
REPORT_EVERY = 25


class Schedule(NamedTuple):
    steps: int
    batch: int            # pictures a step, all ranks together
    rate: float
    warm: int             # steps of rising rate; then it falls as a cosine to `end` of the full rate
    end: float
    average: float = .998    # of the exponential moving average of the weights

    def rate_at(self, step):
        fall = .5 * (1 + math.cos(math.pi * step / self.steps))
        return self.rate * min(1, (step + 1) / self.warm) * (self.end + (1 - self.end) * fall)


class Rank(NamedTuple):
    """One of the processes that train together."""
    index: int
    count: int
    gradients: torch.Tensor = None    # [count, n], shared; Muon's steps too
    barrier: object = None

    def average(self, parameters):
        """Sets every rank's gradients to their mean."""
        if self.count == 1:
            return
        own = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters])
        self.gradients[self.index, :len(own)] = own
        self.barrier.wait()
        mean = self.gradients[:, :len(own)].mean(0)
        self.barrier.wait()    # nobody writes before everybody has read
        for p, gradient in zip(parameters, mean.split([p.numel() for p in parameters])):
            p.grad = gradient.view_as(p)

    def divide(self, function, matrices):
        """function (x) of each x, which has its shape; each rank makes some of them."""
        if self.count == 1:
            return [function(x) for x in matrices]
        owner = [i % self.count for i in range(len(matrices))]
        places = [rows.split([x.numel() for x in matrices])
                  for rows in self.gradients[:, :sum(x.numel() for x in matrices)]]
        for i, x in enumerate(matrices):
            if owner[i] == self.index:
                places[self.index][i].copy_(function(x).flatten())
        self.barrier.wait()
        made = [places[owner[i]][i].clone().view_as(x) for i, x in enumerate(matrices)]
        self.barrier.wait()
        return made


class Stage:
    """What a stage brings to the loop. `modules` is a ModuleDict of all that is trained or saved; `length`: the
    schedule's steps are multiplied by it."""
    name = None
    schedule = None

    def __init__(self, work, seed, length, rank):
        self.work, self.seed, self.rank = work, seed, rank
        self.schedule = self.schedule._replace(steps=max(1, round(self.schedule.steps * length)))

    def groups(self):
        """The optimizer's parameter groups."""
        raise NotImplementedError

    def loss(self, step):
        """The loss of this rank's part of the step's batch, and figures to report."""
        raise NotImplementedError

    @property
    def share(self):
        """Pictures of a batch that this rank takes."""
        return self.schedule.batch // self.rank.count

    @property
    def weights_path(self):
        return os.path.join(self.work, self.name + '.pt')

    @property
    def progress_path(self):
        return os.path.join(self.work, self.name + '.progress.pt')

    def generator(self, *numbers):
        """Random numbers of this stage that depend on what is given only."""
        return np.random.default_rng([self.seed, *self.name.encode(), *numbers])


@functools.cache
def _multiplies_bf16():
    """Whether the processor has bf16 products; PyTorch imitates them elsewhere, twenty times slower than f32."""
    with open('/proc/cpuinfo', encoding='utf-8') as file:
        return re.search(r'\b(avx512_bf16|amx_bf16)\b', file.read()) is not None


def mixed_precision():
    """Autocast to bf16 on processors that gain by it."""
    return torch.autocast('cpu', dtype=torch.bfloat16, enabled=_multiplies_bf16())


def save(path, content):
    """A file that is either the old one or the new one, whenever this is interrupted."""
    torch.save(content, path + '.part')
    os.replace(path + '.part', path)


class _Report:
    """Means of the figures since the last line."""

    def __init__(self, stage):
        self.stage, self.sums, self.start = stage, {}, time.monotonic()
        self.busy = time.process_time()

    def add(self, step, figures):
        for name, value in figures.items():
            self.sums[name] = self.sums.get(name, 0) + value
        if step % REPORT_EVERY:
            return
        n = REPORT_EVERY * self.stage.schedule.batch
        rate, pace = n / (time.monotonic() - self.start), n / (time.process_time() - self.busy)
        means = ' '.join(f'{name} {total / REPORT_EVERY:.3f}' for name, total in self.sums.items())
        print(f'{self.stage.name} {step}/{self.stage.schedule.steps} {rate:.1f} pictures/s, '
              f'with a core for each process {pace:.1f}; {means}', flush=True)
        self.sums, self.start, self.busy = {}, time.monotonic(), time.process_time()


def _settle():
    """One thread a process, and no time lost on numbers next to zero."""
    np.finfo(np.float32), np.finfo(np.float64)    # numpy looks at its smallest numbers before they go
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


def _run(make, rank, stop_after):
    _settle()
    stage = make(rank)
    schedule, modules = stage.schedule, stage.modules
    modules.train()
    optimizer = Optimizer(stage.groups(), rank)
    average = {name: value.clone() for name, value in modules.state_dict().items()}
    step = 0
    if os.path.exists(stage.progress_path):
        saved = torch.load(stage.progress_path)
        step, average = saved['step'], saved['average']
        modules.load_state_dict(saved['modules'])
        optimizer.load_state_dict(saved['optimizer'])
    last = min(schedule.steps, step + stop_after) if stop_after else schedule.steps
    report = _Report(stage)
    while step < last:
        loss, figures = stage.loss(step)
        loss.backward()
        rank.average(optimizer.parameters)
        optimizer.step(schedule.rate_at(step))
        step += 1
        keep = min(schedule.average, step / (step + 20))
        for name, value in modules.state_dict().items():
            average[name].lerp_(value, 1 - keep)
        if rank.index == 0:
            report.add(step, {'loss': loss.item(), **figures})
            if step % SAVE_EVERY == 0 or step == last:
                save(stage.progress_path, {'step': step, 'modules': modules.state_dict(),
                                           'average': average, 'optimizer': optimizer.state_dict()})
    if rank.index == 0 and step == schedule.steps:
        save(stage.weights_path, {'last': modules.state_dict(), 'average': average})
        os.remove(stage.progress_path)


def run(make, size, ranks=1, stop_after=0):
    """Trains the stage that make (rank) gives until its end, or for `stop_after` steps more. `size` is at
    least the number of its parameters."""
    if ranks == 1:
        _run(make, Rank(0, 1), stop_after)
        return
    context = multiprocessing.get_context('fork')
    gradients, barrier = torch.zeros(ranks, size).share_memory_(), context.Barrier(ranks)
    processes = [context.Process(target=_run, args=(make, Rank(i, ranks, gradients, barrier), stop_after))
                 for i in range(ranks)]
    for process in processes:
        process.start()
    try:
        while any(process.is_alive() for process in processes):
            time.sleep(1)
            if any(process.exitcode for process in processes):
                raise SystemExit('A training process ended early; start the command again to go on')
    finally:
        for process in processes:
            process.terminate()    # those that would wait for the others for ever
            process.join()
