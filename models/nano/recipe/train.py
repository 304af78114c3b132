"""Makes the model from nothing: draws the scenes, trains the three stages, measures, exports.

usage: python3 -m recipe.train WORK [--ranks 2] [--seed 1] [--length 1]

Interrupt it as you like and start it again: it goes on where it was. WORK needs 5 GB. The result is
WORK/hf; --chunks, --until and --steps make less of it, to try things out.

SPDX-License-Identifier: LGPL-2.1-or-later
"""
import argparse
import functools
import multiprocessing
import os
import subprocess
import sys

from . import checkpoint, pool, scenes, training
from .stages import STAGES

GRADIENTS = 4 << 20    # numbers that ranks exchange: more than the model has


def make_model(arguments):
    work = arguments.work
    with multiprocessing.Pool(arguments.ranks) as processes:
        processes.starmap(pool.draw, [(f'{work}/scenes', i) for i in range(arguments.chunks)], 1)
    for stage in STAGES:
        weights = f'{work}/{stage.name}.pt'
        if not os.path.exists(weights):
            make = functools.partial(stage, work, arguments.seed, arguments.length)
            training.run(make, GRADIENTS, arguments.ranks, arguments.steps)
        if not os.path.exists(weights):
            print(f'{stage.name} is not done yet: start the command again to go on')
            return
        if stage.name == arguments.until:
            return
    checkpoint.export(checkpoint.load(f'{work}/joint.pt'), f'{work}/hf')
    subprocess.run([sys.executable, '-m', 'recipe.evaluate', f'{work}/hf', '--shapes', *scenes.FRAMES], check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('work')
    parser.add_argument('--ranks', type=int, default=2, help='processes that train together')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--length', type=float, default=1., help='the schedules are so many times as long')
    parser.add_argument('--chunks', type=int, default=25, help='scenes to draw, in thousands')
    parser.add_argument('--until', choices=[stage.name for stage in STAGES], help='the last stage to train')
    parser.add_argument('--steps', type=int, default=0, help='stop after so many steps of a stage')
    try:
        make_model(parser.parse_args())
    except KeyboardInterrupt:
        raise SystemExit('Interrupted: start the command again to go on') from None


if __name__ == '__main__':
    main()
