"""Clips of the model's world: cars drive, people walk, the camera stands, pans or cuts.

Writes NAME.webm (VP9) and beside it NAME.jsonl, a line a frame with what is in it (frames.py). Everything
follows from the seeds below. Needs GStreamer's command line tools and its good plugins.

usage: python3 -m recipe.clips OUTDIR [NAME ...]

SPDX-License-Identifier: LGPL-2.1-or-later
"""
import argparse
import json
import os
import subprocess
import tempfile
from typing import NamedTuple

import numpy as np
from PIL import Image

from . import backgrounds, sprites
from .frames import describe
from .kinds import BICYCLE, BUS, CAR, CAT, DOG, HUES, PERSON, REPAINTED, TRUCK

WIDTH, HEIGHT = 640, 360
HORIZON = .3

# What is seen from the side, and so can be seen to move; all of these look to the left.
SIDE_VIEWS = {
    CAR: '🚗 🚙 🚕 🚓', BUS: '🚌 🚎', TRUCK: '🚚 🚛', BICYCLE: '🚲',
    PERSON: '🚶 🏃 🚶🏻 🚶🏽 🚶🏿 🏃🏼 🏃🏿 🚶‍♀️', DOG: '🐕 🐩', CAT: '🐈',
}
STEPS = (PERSON, DOG, CAT)    # these bob as they go
PETS = (DOG, CAT)
PET_SIZE = .8                 # beside a person


class Lane(NamedTuple):
    """Objects of one lane share direction and speed, so they never meet."""
    ground: float     # where it is, and how high a thing on it looks: parts of the frame's height
    height: float
    speeds: tuple     # slowest and fastest, in frame widths a second


PAVEMENT = Lane(.47, .28, (.02, .06))
FAR = Lane(.7, .22, (.04, .1))
NEAR = Lane(.96, .24, (.06, .13))


class Shot(NamedTuple):
    seconds: float
    background: int
    lanes: tuple      # of (Lane, kinds on it)
    pan: float = 0    # the camera's own speed, frame widths a second


class Clip(NamedTuple):
    seed: int
    rate: int         # frames a second
    shots: tuple


CLIPS = {
    'still': Clip(1, 10, (
        Shot(2.4, backgrounds.STREET, ((PAVEMENT, (PERSON, PERSON)), (FAR, (CAR,)), (NEAR, (CAR, CAR)))),)),
    'pan': Clip(2, 10, (
        Shot(2.4, backgrounds.STREET, ((PAVEMENT, (PERSON, DOG)), (NEAR, (CAR, BUS, CAR))), pan=.08),)),
    'cut': Clip(3, 10, (
        Shot(1.2, backgrounds.STREET, ((PAVEMENT, (PERSON,)), (NEAR, (CAR, CAR)))),
        Shot(1.2, backgrounds.MEADOW, ((FAR, (DOG, PERSON)), (NEAR, (CAT,)))))),
    'demo': Clip(9, 25, (
        Shot(4., backgrounds.STREET, ((PAVEMENT, (PERSON, PERSON)), (FAR, (CAR,)), (NEAR, (CAR, CAR)))),
        Shot(3., backgrounds.NIGHT, ((PAVEMENT, (PERSON, DOG)), (NEAR, (CAR, BUS, CAR))), pan=.05))),
}


class Actor(NamedTuple):
    kind: int
    sprite: Image.Image
    middle: float    # x of its centre in pixels when the shot is half over, and how far it gets a second
    speed: float
    ground: int      # y of its feet or wheels
    step: int        # pixels that it bobs by


def _shuffled_looks(rng):
    """For each kind its side views in every paint, in a random order: a shot takes them one by one."""
    looks = {}
    for kind, emoji in SIDE_VIEWS.items():
        plain = [sprites.render(e) for e in emoji.split()]
        hues = HUES if kind in REPAINTED else ()
        painted = [sprites.repaint(e, hue) for e in emoji.split() for hue in hues]
        looks[kind] = [(plain + painted)[i] for i in rng.permutation(len(plain + painted))]
    return looks


def _cast_lane(rng, lane, kinds, looks):
    """The actors of a lane, side by side, in turn from left to right."""
    direction = int(rng.choice((-1, 1)))
    speed = direction * rng.uniform(*lane.speeds) * WIDTH
    actors = []
    for i, kind in enumerate(kinds):
        sprite = looks[kind].pop()
        height = lane.height * HEIGHT * rng.uniform(.95, 1.05)
        height = round(height * (PET_SIZE if kind in PETS else 1))
        sprite = sprites.resized(sprite, round(sprite.width * height / sprite.height), height)
        if direction > 0:
            sprite = sprites.mirrored(sprite)
        middle = WIDTH * (i + .5 + rng.uniform(-.08, .08)) / len(kinds)
        step = 2 if kind in STEPS else 0
        actors.append(Actor(kind, sprite, middle, speed, round(lane.ground * HEIGHT), step))
    return actors


def _entry(actor, number, box):
    """What the frame's line says of an actor, or None where it is out of the frame."""
    x0, y0, x1, y1 = box
    seen = max(x0, 0), max(y0, 0), min(x1, WIDTH), min(y1, HEIGHT)
    if seen[0] >= seen[2] or seen[1] >= seen[3]:
        return None
    part = (seen[2] - seen[0]) * (seen[3] - seen[1]) / ((x1 - x0) * (y1 - y0))
    return describe(actor.kind, number, seen, part)


def _film(rng, shot, rate, first_id):
    """Yields a shot's frames: (picture, objects in it). Ids go on from first_id, farthest lane first."""
    travel = round(abs(shot.pan) * shot.seconds * WIDTH)
    # Painted at half the size, as most pictures that the model learnt from.
    world, _ = backgrounds.paint(
        rng, (WIDTH + travel) // 2 + 1, HEIGHT // 2, shot.background, HORIZON)
    world = world.resize((world.width * 2, world.height * 2), Image.BILINEAR)
    looks = _shuffled_looks(rng)
    cast = [actor for lane, kinds in shot.lanes for actor in _cast_lane(rng, lane, kinds, looks)]
    frames = round(shot.seconds * rate)
    for n in range(frames):
        t = n / rate - shot.seconds / 2
        camera = shot.pan * t * WIDTH
        left = round(travel / 2 + camera)
        picture, objects = world.crop((left, 0, left + WIDTH, HEIGHT)), []
        for number, actor in enumerate(cast, first_id):
            sprite = actor.sprite
            x = round(actor.middle + actor.speed * t - camera - sprite.width / 2)
            y = actor.ground - sprite.height - (actor.step if n * 5 // rate % 2 else 0)
            picture.paste(sprite, (x, y), sprite)
            entry = _entry(actor, number, (x, y, x + sprite.width, y + sprite.height))
            objects += [entry] if entry else []
        yield picture, objects


def film(clip):
    """Yields a clip's frames: (picture, objects in it)."""
    rng, first_id = np.random.default_rng(clip.seed), 1
    for shot in clip.shots:
        yield from _film(rng, shot, clip.rate, first_id)
        first_id += sum(len(kinds) for _, kinds in shot.lanes)


def encode(path, raw, rate):
    """Raw RGB frames to VP9 in WebM; one thread, so that the same build gives the same pictures."""
    subprocess.run(
        ['gst-launch-1.0', '-q', 'filesrc', f'location={raw}', '!',
         'rawvideoparse', f'width={WIDTH}', f'height={HEIGHT}', 'format=rgb', f'framerate={rate}/1', '!',
         'videoconvert', '!', 'video/x-raw,format=I420', '!',
         'vp9enc', 'deadline=0', 'cpu-used=0', 'threads=1', 'end-usage=cq', 'cq-level=20',
         'target-bitrate=2000000', 'keyframe-max-dist=100', 'lag-in-frames=16', '!',
         'webmmux', '!', 'filesink', f'location={path}'], check=True)


def write(folder, name):
    clip = CLIPS[name]
    with tempfile.NamedTemporaryFile() as raw, \
            open(os.path.join(folder, name + '.jsonl'), 'w', encoding='utf-8') as truth:
        for n, (picture, objects) in enumerate(film(clip)):
            raw.write(picture.tobytes())
            truth.write(json.dumps({
                'timestamp': n * 10**9 // clip.rate, 'resolution': {'width': WIDTH, 'height': HEIGHT},
                'objects': objects}) + '\n')
        raw.flush()
        encode(os.path.join(folder, name + '.webm'), raw.name, clip.rate)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder')
    parser.add_argument('names', nargs='*', help='of ' + ', '.join(CLIPS))
    arguments = parser.parse_args()
    os.makedirs(arguments.folder, exist_ok=True)
    for name in arguments.names or CLIPS:
        write(arguments.folder, name)


if __name__ == '__main__':
    main()
