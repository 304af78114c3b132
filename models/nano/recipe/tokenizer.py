"""A byte-level BPE tokenizer with DeepSeek's pre-tokenizer, except that a run of digits stays one piece.

merges.json has the digit merges first, so that every coordinate the model speaks is one token, then the
merges of the templates' text until each of its words is one. They were made for more kinds than are taught:
unreached.json has the tokens that no training text contains. They keep their numbers, but words that would
become one are spelled with smaller tokens, which training knows.

SPDX-License-Identifier: LGPL-2.1-or-later
"""
import json
import os
import re

SPECIALS = ('<｜begin▁of▁sentence｜>', '<｜end▁of▁sentence｜>', '<｜▁pad▁｜>', '<image>', '<|ref|>',
            '<|/ref|>', '<|det|>', '<|/det|>', '<|grounding|>', '<|User|>', '<|Assistant|>')
COORDINATES = tuple(min(8 * i, 999) for i in range(126))    # the values that the model speaks
SPLITS = (r'[\r\n]', r'\s?[A-Za-z\u00b5-\u024f]+', r'\s?[!-/:-~]+', r'\s+$')
DIGITS = r'[0-9]+'


def _byte_characters():
    """The printable character that stands for each byte in a byte-level vocabulary."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in plain]
    return {**{b: chr(b) for b in plain}, **{b: chr(256 + i) for i, b in enumerate(others)}}


BYTE_CHARACTER = _byte_characters()
CHARACTER_BYTE = {c: b for b, c in BYTE_CHARACTER.items()}


def coordinate(value):
    """A part of the frame, 0 .. 1, as the nearest coordinate that the model speaks."""
    return COORDINATES[min(max(round(value * 1000 / 8), 0), len(COORDINATES) - 1)]


def _isolate(pieces, pattern):
    """Cuts pieces so that each match of the pattern is a piece of its own."""
    return [cut for piece in pieces for cut in re.split(f'({pattern})', piece) if cut]


def _pieces(text):
    pieces = [text]
    for pattern in SPLITS + (DIGITS,):
        pieces = _isolate(pieces, pattern)
    return pieces


def _read(name):
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), name)
    with open(path, encoding='utf-8') as file:
        return json.load(file)


class Tokenizer:
    """`every` keeps the merges to tokens that no training text contains. `applied` has those met so far."""

    def __init__(self, every=False):
        merges, unreached = _read('merges.json'), set(_read('unreached.json'))
        vocabulary = dict.fromkeys(BYTE_CHARACTER[b] for b in range(256))
        vocabulary.update(dict.fromkeys(a + b for a, b in merges))
        self.merges = [(a, b) for a, b in merges if every or a + b not in unreached]
        self.rank = {merge: i for i, merge in reversed(list(enumerate(self.merges)))}
        self.n_plain = len(vocabulary)
        self.tokens = [*vocabulary, *SPECIALS]
        self.ids = {token: i for i, token in enumerate(self.tokens)}
        self.bos, self.eos, self.pad = (self.ids[token] for token in SPECIALS[:3])
        self.coordinates = [self.ids[str(value)] for value in COORDINATES]
        self._special = re.compile('(' + '|'.join(map(re.escape, SPECIALS)) + ')')
        self._cache, self.applied = {}, set()

    def _merge(self, piece):
        """Ids of a piece: the earliest merge that applies, again and again."""
        if piece not in self._cache:
            parts = [BYTE_CHARACTER[b] for b in piece.encode()]
            while len(parts) > 1:
                ranks = [self.rank.get(pair, len(self.rank)) for pair in zip(parts, parts[1:])]
                i = min(range(len(ranks)), key=ranks.__getitem__)
                if ranks[i] == len(self.rank):
                    break
                self.applied.add((parts[i], parts[i + 1]))
                parts[i:i + 2] = [parts[i] + parts[i + 1]]
            self._cache[piece] = [self.ids[part] for part in parts]
        return self._cache[piece]

    def encode(self, text):
        ids = []
        for part in self._special.split(text):
            if part in SPECIALS:
                ids.append(self.ids[part])
            else:
                ids += [token for piece in _pieces(part) for token in self._merge(piece)]
        return ids

    def decode(self, ids):
        """Text of ids; those past the last token, which fill up the matrix, have none."""
        data = b''
        for token in (self.tokens[i] for i in ids if i < len(self.tokens)):
            data += token.encode() if token in SPECIALS else bytes(CHARACTER_BYTE[c] for c in token)
        return data.decode('utf-8', 'replace')

    def to_json(self):
        """tokenizer.json's content."""
        def split(pattern):
            return {'type': 'Split', 'pattern': {'Regex': pattern}, 'behavior': 'Isolated', 'invert': False}
        byte_level = {'type': 'ByteLevel', 'add_prefix_space': True, 'trim_offsets': True, 'use_regex': True}
        return {
            'version': '1.0', 'truncation': None, 'padding': None,
            'added_tokens': [
                {'id': self.ids[token], 'content': token, 'single_word': False, 'lstrip': False,
                 'rstrip': False, 'normalized': False, 'special': True} for token in SPECIALS],
            'normalizer': {'type': 'Sequence', 'normalizers': []},
            'pre_tokenizer': {'type': 'Sequence', 'pretokenizers': [
                *(split(pattern) for pattern in SPLITS),
                {'type': 'Digits', 'individual_digits': False},
                {**byte_level, 'add_prefix_space': False, 'use_regex': False}]},
            'post_processor': {**byte_level, 'trim_offsets': False},
            'decoder': byte_level,
            'model': {
                'type': 'BPE', 'dropout': None, 'unk_token': None, 'continuing_subword_prefix': None,
                'end_of_word_suffix': None, 'fuse_unk': False, 'byte_fallback': False,
                'vocab': {token: i for i, token in enumerate(self.tokens[:self.n_plain])},
                'merges': [f'{a} {b}' for a, b in self.merges]},
        }
