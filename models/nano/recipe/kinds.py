"""The kinds of objects that the model knows, with their words and their emoji.

SPDX-License-Identifier: LGPL-2.1-or-later
"""
from typing import NamedTuple


class Kind(NamedTuple):
    name: str
    plural: str
    synonyms: tuple    # of (singular, plural)
    emoji: tuple
    weight: float      # how often it is drawn, in proportion
    size: float        # in proportion to a vehicle's


def _kind(name, plural, synonyms, emoji, weight, size=1.0):
    return Kind(name, plural, synonyms, tuple(emoji.split()), weight, size)


KINDS = (
    _kind('car', 'cars', (('automobile', 'automobiles'),), '🚗 🚙 🚕 🚘 🚖 🚓', 3),
    _kind('bus', 'buses', (), '🚌 🚍 🚎', 1.1),
    _kind('truck', 'trucks', (('lorry', 'lorries'),), '🚚 🚛', 1.1),
    _kind('bicycle', 'bicycles', (('bike', 'bikes'),), '🚲', 1),
    _kind('person', 'people', (('pedestrian', 'pedestrians'), ('person', 'persons')),
          '🚶 🏃 🧍 🚶🏻 🚶🏽 🚶🏿 🧍🏻 🧍🏾 🏃🏼 🏃🏿 🚶‍♀️ 🧍‍♀️', 1.6, .9),
    _kind('dog', 'dogs', (('puppy', 'puppies'),), '🐕 🐩 🦮', 1.1, .9),
    _kind('cat', 'cats', (('kitten', 'kittens'),), '🐈 🐱', 1.1, .85),
    _kind('traffic light', 'traffic lights', (), '🚦', .9, .85),
)
N_KINDS = len(KINDS)
CAR, BUS, TRUCK, BICYCLE, PERSON, DOG, CAT, TRAFFIC_LIGHT = range(N_KINDS)
DISTRACTOR = N_KINDS                                # drawn now and then, never named
DISTRACTOR_EMOJI = tuple('🍎 🍕 💻 🎸 🪑 🌻 ⚽ ☂ 🎁 🌳 🌲 🌴 🏠 🏡'.split())

# A car comes in its own colours and in these hues (degrees).
REPAINTED = (CAR, BUS, TRUCK)
HUES = (0, 125, 215)
