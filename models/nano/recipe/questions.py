"""What is asked about a scene, and what is answered.

SPDX-License-Identifier: LGPL-2.1-or-later

An answer is a list of Pieces: its text, and for training where to look while saying it and whether
saying it right decides anything.
"""
import collections
from typing import NamedTuple

from . import backgrounds, nouns
from .kinds import KINDS, N_KINDS
from .tokenizer import coordinate

NUMBERS = 'no one two three four five six seven eight nine ten'.split()

# {s} and {p} stand for the kind in singular and plural.
PHRASES = ['{p}', 'the {p}', 'the {p}', 'the {p}', 'all {p}', 'all the {p}', 'the {s}', '{s}', 'a {s}',
           'every {s}', 'The {p}', 'The {s}']
FIND_ALL = [
    'find {p}', 'find all {p}', 'find the {p}', 'find all the {p}', 'find all of the {p}', 'locate the {p}',
    'locate {p}', 'locate all {p}', 'detect {p}', 'detect all {p}', 'detect the {p}', 'show me the {p}',
    'show {p}', 'where are the {p}?', 'where are all the {p}?', 'mark the {p}', 'point out the {p}',
    'look for {p}', 'search for {p}', 'can you find the {p}?', 'give me the boxes of all {p}',
    'find {p} in the image', 'find all {p} in this picture', 'please find the {p}',
    'please locate all {p} in the image', 'track the {p}', 'ground the {p}', '{p}', 'the {p}', 'all {p}']
FIND_ONE = [
    'find the {s}', 'find a {s}', 'find every {s}', 'where is the {s}?', 'where is a {s}?', 'locate the {s}',
    'detect every {s}', 'detect the {s}', 'show me the {s}', 'find {s}', 'mark every {s}',
    'point to the {s}', 'look for a {s}', 'can you find a {s}?', 'please find the {s}', 'track the {s}',
    '{s}', 'the {s}']
DESCRIBE = [
    'Describe this image.', 'Describe the image.', 'Describe this image', 'describe the picture',
    'What is in this image?', 'What do you see?', 'Caption this image.', 'what is in the image',
    'Describe the scene.', 'What is shown in this picture?', 'describe', 'Please describe the image.']
GROUND = ['<|grounding|>' + text for text in (
    'Describe this image.', 'Describe the image.', 'Can you describe the content of the image?',
    'Describe the scene.', 'What is in this image?', 'Describe the picture')]
COUNT = ['How many {p}?', 'How many {p} are there?', 'how many {p}', 'Count the {p}.',
         'How many {p} are in the image?', 'count the {p}', 'How many {p} do you see?']
IS_THERE = ['Is there a {s}?', 'Is there a {s} in the image?', 'is there a {s}', 'Are there any {p}?',
            'Do you see a {s}?', 'Are there {p} in the image?']

# A turn around its image tokens and its question.
USER = '<|User|>: '
PREFIX = '<｜begin▁of▁sentence｜>' + USER
SUFFIX = '\n\n<|Assistant|>:'
END = '<｜end▁of▁sentence｜>'
NOTHING = ()    # "look" of a piece that says that nothing (more) is there


class Piece(NamedTuple):
    text: str
    look: tuple = None       # the objects that it speaks of; NOTHING; None: nowhere in particular
    decides: bool = False    # it depends on the picture: its loss counts in full


def text_of(pieces):
    return ''.join(piece.text for piece in pieces)


def turn(question):
    """What follows the image tokens, up to the answer. The question may have an earlier() before it."""
    return '\n' + question + SUFFIX


def earlier(question, answer):
    """A turn that was had before a question, as the conversation keeps it."""
    return question + SUFFIX + answer.strip() + END + USER


def with_article(noun):
    return ('an ' if noun[0] in 'aeiou' else 'a ') + noun


def reading_order(objects):
    return sorted(objects, key=lambda o: (o.x0, o.y0))


def groups(scene):
    """{kind: its objects}, in the order of KINDS."""
    found = collections.defaultdict(list)
    for o in sorted(scene.objects, key=lambda o: o.kind):
        found[o.kind].append(o)
    return dict(found)


# --- answers ---------------------------------------------------------------------------------------

def _said(text, look):
    return Piece(text, tuple(look), True)


def _boxes(objects):
    objects = reading_order(objects)
    pieces = [Piece('<|det|>[[')]
    for o, following in zip(objects, [*objects[1:], None]):
        pieces.append(_said(', '.join(str(coordinate(v)) for v in o[1:]), [o]))
        pieces.append(_said('], [', [following]) if following else _said(']]', NOTHING))
    return [*pieces, Piece('<|/det|>')]


def found(phrase, objects):
    return [_said(' ', reading_order(objects)[:1]), Piece(f'<|ref|>{phrase}<|/ref|>'), *_boxes(objects)]


def absent(kind):
    return [_said(' There is no', NOTHING), Piece(f' {KINDS[kind].name} in the image.')]


def unknown():
    """It does not know what it was asked for, and need not spell it."""
    return [_said(' There is no', NOTHING), _said(' such thing in the image.', NOTHING)]


def count(kind, objects):
    if not objects:
        return absent(kind)
    n = len(objects)
    number = ' is one' if n == 1 else ' are ' + NUMBERS[n]
    noun = KINDS[kind].name if n == 1 else KINDS[kind].plural
    return [_said(' There', objects), _said(number, objects), Piece(f' {noun}.')]


def is_there(objects):
    return [_said(' Yes.', objects) if objects else _said(' No.', NOTHING)]


def describe(scene, grounded=False):
    pieces = [Piece(' ' + backgrounds.NAMES[scene.background], None, True)]
    present = groups(scene)
    for i, (kind, objects) in enumerate(present.items()):
        joint = ' with' if i == 0 else ' and' if i == len(present) - 1 else ','
        n = len(objects)
        phrase = with_article(KINDS[kind].name) if n == 1 else f'{NUMBERS[n]} {KINDS[kind].plural}'
        pieces.append(_said(joint, objects))
        if grounded:
            pieces += [Piece(' '), Piece('<|ref|>'), _said(phrase, objects), Piece('<|/ref|>'),
                       *_boxes(objects)]
        else:
            pieces.append(_said(' ' + phrase, objects))
    return [*pieces, _said('.', NOTHING)]


# --- questions -------------------------------------------------------------------------------------

def _pick(rng, choice):
    return choice[int(rng.integers(len(choice)))]


def _typed(rng, text):
    """As people type: with or without a capital and a full stop."""
    if rng.random() < .5:
        text = text[0].upper() + text[1:]
    return text + '.' if text[-1] not in '?.' and rng.random() < .4 else text


# What a kind is called, in singular and plural.
TAUGHT = tuple(dict.fromkeys(
    word for kind in KINDS for names in ((kind.name, kind.plural), *kind.synonyms) for word in names))


def _fill(template, singular, plural):
    if singular[0] in 'aeiou':
        template = template.replace(' a {s}', ' an {s}').replace('a {s}', 'an {s}')
    return template.format(s=singular, p=plural)


def _draw_kind(rng, present, task):
    """A kind to ask for: mostly one that is there, rather the many than the few."""
    missing = {'count': .12, 'is there': .5}.get(task, .08)
    if task == 'absent' or not present or rng.random() < missing:
        return _pick(rng, [kind for kind in range(N_KINDS) if kind not in present])
    weight = [(.5, 1, 1.4, 2, 2.5, 2.5)[len(objects) - 1] for objects in present.values()]
    return list(present)[int(rng.choice(len(present), p=[w / sum(weight) for w in weight]))]


def _ask_for(rng, task, singular, plural):
    """A question for boxes, the phrase in it, and whether it is for several."""
    if task == 'phrase':
        phrase = _fill(_pick(rng, PHRASES), singular, plural)
        return f'<|ref|>{phrase}<|/ref|>' + ('.' if rng.random() < .7 else ''), phrase, None
    several = int(rng.random() < .65)
    return _typed(rng, _fill(_pick(rng, FIND_ALL if several else FIND_ONE), singular, plural)), None, several


def _ask_untaught(rng):
    singular, plural = nouns.draw(rng, TAUGHT)
    u = rng.random()
    if u < .15:
        return _fill(_pick(rng, IS_THERE), singular, plural), is_there(())
    if u < .3:
        return _fill(_pick(rng, COUNT), singular, plural), unknown()
    return _ask_for(rng, 'phrase' if u < .5 else 'find', singular, plural)[0], unknown()


def ask(rng, scene, task):
    """A question of a task, and its answer's pieces. Tasks: phrase, find, absent, untaught, count, is there,
    describe, ground."""
    if task in ('describe', 'ground'):
        question = _pick(rng, GROUND if task == 'ground' else DESCRIBE)
        return question, describe(scene, task == 'ground')
    if task == 'untaught':
        return _ask_untaught(rng)
    present = groups(scene)
    kind = _draw_kind(rng, present, task)
    if task == 'absent':
        task = _pick(rng, ('phrase', 'find'))
    objects = present.get(kind, [])
    own = singular, plural = KINDS[kind].name, KINDS[kind].plural
    if KINDS[kind].synonyms and rng.random() < .15:
        singular, plural = _pick(rng, KINDS[kind].synonyms)
    if task == 'count':
        return _fill(_pick(rng, COUNT), singular, plural), count(kind, objects)
    if task == 'is there':
        return _fill(_pick(rng, IS_THERE), singular, plural), is_there(objects)
    question, phrase, several = _ask_for(rng, task, singular, plural)
    if task == 'find':
        phrase = 'the ' + own[several]
    return question, found(phrase, objects) if objects else absent(kind)


FIRST = ('phrase', 'find', 'count', 'is there', 'describe', 'absent')


def first_turn(rng, scene):
    """What is put before a question to make it a second one: any other, rightly answered."""
    question, answer = ask(rng, scene, _pick(rng, FIRST))
    return earlier(question, text_of(answer))
