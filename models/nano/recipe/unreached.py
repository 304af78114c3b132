"""Which tokens no training text contains: what unreached.json lists, found by asking about drawn scenes.

Misspelt and made-up words do not count: what one of them contains by chance is not learnt by it.

usage: python3 -m recipe.unreached SCENES    SCENES is recipe.train's WORK/scenes; prints the list

SPDX-License-Identifier: LGPL-2.1-or-later
"""
import argparse
import json

import numpy as np

from . import nouns, pool, questions
from .tokenizer import Tokenizer

TASKS = (*('find',) * 6, 'phrase', 'absent', 'count', 'is there', 'describe', 'ground')
CHUNKS = 4


def texts(folder):
    """Questions of every task with their answers about each of the first scenes, and the untaught nouns."""
    rng = np.random.default_rng(0)
    yield questions.PREFIX + questions.SUFFIX + questions.text_of(questions.unknown())
    for noun in nouns.NOUNS:
        noun = noun.replace('-', ' ')
        yield f'{noun} {noun}\n{nouns.plural_of(noun)} {nouns.plural_of(noun)}'
    for number in range(CHUNKS):
        for scene in pool.load(folder, number)[1]:
            for task in TASKS:
                question, answer = questions.ask(rng, scene, task)
                yield questions.turn(question)
                yield questions.text_of(answer)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('scenes')
    tokenizer = Tokenizer(every=True)
    for text in texts(parser.parse_args().scenes):
        tokenizer.encode(text)
    # A number is a coordinate, or on the way to one.
    never = [a + b for a, b in tokenizer.merges if (a, b) not in tokenizer.applied and not (a + b).isdigit()]
    print(json.dumps(never, ensure_ascii=False))


if __name__ == '__main__':
    main()
