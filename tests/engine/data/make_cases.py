#!/usr/bin/env python3
"""What test_tokenizer compares with, made once with Hugging Face's `tokenizers` (pip).

SPDX-License-Identifier: LGPL-2.1-or-later

make_cases.py prune FOLDER OUT    FOLDER/{tokenizer,cases}.json with what the cases need of the vocabulary,
                                  ids as they were: a merge that is never applied changes nothing by going
make_cases.py random FOLDER N SEED OUT.json
                                  N random texts and their ids
make_cases.py pieces OUT.json     pre-tokenizers of every kind, random texts and the pieces they give
"""
import json
import os
import random
import sys

from tokenizers import Tokenizer, pre_tokenizers

# those that a file lacks are added in this order, as the official processor does
SPECIALS = ["<｜▁pad▁｜>", "<image>", "<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>", "<|grounding|>", "<|User|>", "<|Assistant|>"]

ALPHABETS = [
    "abc XYZ", "0123456789 .,", " \t\n\r", "ab \n", "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ a1",
    "éàüßñøÅ ñ", "中文字符 漢。、ひらカタ a1", "한국어 조선", "привет мир", "עברית العربية ٣٤",
    "e\u0301a\u0300\u0323 x", "👍🏽👨‍👩‍👧🇩🇪 ok", "\u00a0\u2003\u3000\u200b\u2028\u0085\u180e a", "Ⅷ½²①٣ 1a", "\x00\x01\x7f a\u0080",
    "'s't're've'm'll'd I we", "_-—–…“”‘’ a", "𝒜𝓑𝟙𠀀 a", "|<>/refdtimag ",
]
WORDS = """the cars a bus Describe this image. Where is 12345 3.14 don't I'll we've HTTP/1.1 foo_bar int main(void) { return 0; }
[[120, 344, 456, 672]] https://x.org/?q=1&r=2 über naïve 北京 東京タワー Москва <|ref|> <|/ref|> <|det|> <|/det|> <image>
<|grounding|> <|User|> <|Assistant|> <｜begin▁of▁sentence｜> <｜end▁of▁sentence｜> <｜▁pad▁｜> <｜tool▁sep｜> <｜place▁holder▁no▁7｜>
<｜place▁holder▁no▁77｜> <｜place▁holder▁no▁ <|ref <|ref| <｜ ｜>""".split()


def text(r):
    """One random text: words, characters of some alphabets, or anything."""
    out = []
    for _ in range(r.choice([1, 2, 4, 8, 16])):
        kind = r.random()
        if kind < 0.4:
            out.append(r.choice(WORDS))
            out.append(r.choice(["", " ", " ", "  ", "\n", "\n\n", " \n"]))
        elif kind < 0.9:
            alphabet = r.choice(ALPHABETS)
            out.append("".join(r.choice(alphabet) for _ in range(r.choice([1, 2, 3, 5, 9, 20]))))
        else:
            top = r.choice([0x80, 0x250, 0x3000, 0xD800, 0x1F700])
            out.append("".join(chr(r.randrange(top)) for _ in range(r.choice([1, 3, 9]))))
    return "".join(c for c in "".join(out) if not 0xD800 <= ord(c) < 0xE000)


def encode(tokenizer, t):
    return tokenizer.encode(t, add_special_tokens=False).ids


def write(path, value, **how):
    with open(path, "w", encoding="utf-8") as f:
        json.dump(value, f, ensure_ascii=False, separators=(",", ":"), **how)
        f.write("\n")


def merges_of(word, ranks, used):
    """Applies byte-pair encoding to a word's symbols, notes the merges."""
    while len(word) > 1:
        pair = min(zip(word, word[1:]), key=lambda p: ranks.get(p, 1 << 30))
        if pair not in ranks:
            return
        used.add(pair)
        i = list(zip(word, word[1:])).index(pair)
        word[i:i + 2] = ["".join(pair)]


def prune(folder, out):
    path = os.path.join(folder, "tokenizer.json")
    tokenizer = Tokenizer.from_file(path)
    data = json.load(open(path, encoding="utf-8"))
    cases = json.load(open(os.path.join(folder, "cases.json"), encoding="utf-8"))
    vocab, merges = data["model"]["vocab"], data["model"]["merges"]
    pairs = [tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in merges]
    ranks = {p: i for i, p in enumerate(pairs)}
    used, ids = set(), set()
    assert all(encode(tokenizer, c["text"]) == c["ids"] for c in cases)
    tokenizer.add_special_tokens(SPECIALS)
    for case in cases:
        case["ids"] = encode(tokenizer, case["text"])
        ids.update(case["ids"])
        for piece, _ in tokenizer.pre_tokenizer.pre_tokenize_str(case["text"]):
            merges_of(list(piece), ranks, used)
    data["model"]["merges"] = [list(p) for p in sorted(used, key=ranks.get)]
    keep = {s for p in used for s in (*p, "".join(p))}
    data["model"]["vocab"] = {s: i for s, i in vocab.items() if s in keep or i in ids or len(s) == 1}
    data["added_tokens"] = [t for i, t in enumerate(data["added_tokens"]) if t["id"] in ids or i % 40 < 3 or t["id"] > 128790]
    os.makedirs(out, exist_ok=True)
    write(os.path.join(out, "tokenizer.json"), data)
    write(os.path.join(out, "cases.json"), cases)
    print(len(cases), "cases,", len(data["model"]["vocab"]), "tokens,", len(used), "merges")


def random_cases(folder, n, seed, out):
    tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    tokenizer.add_special_tokens(SPECIALS)
    r = random.Random(seed)
    texts = [text(r) for _ in range(n)]
    write(out, [{"text": t, "ids": e.ids}
                for t, e in zip(texts, tokenizer.encode_batch(texts, add_special_tokens=False))])


def split(pattern, behavior="Isolated", invert=False, kind="Regex"):
    return {"type": "Split", "pattern": {kind: pattern}, "behavior": behavior, "invert": invert}


def byte_level(prefix=False, regex=False):
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": regex}


def sequence(*steps):
    return {"type": "Sequence", "pretokenizers": list(steps)}


def kinds():
    """Pre-tokenizers: each behaviour, each construct of patterns, and sequences of them."""
    behaviors = ["Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"]
    for b in behaviors:
        for invert in (False, True):
            yield sequence(split(r"[a\s]", b, invert), byte_level())
            yield sequence(split(" ", b, invert, "String"), byte_level())
            yield sequence(split(r"\p{N}{1,3}", b, invert), split(r"\s+", b, invert), byte_level())
        yield sequence(split(r"x*", b), byte_level())
        yield sequence(split("a.", b, False, "String"), byte_level())
    for p in [r"\s+$", r"^\s+", r"\s+(?!\S)|\s+", r"\S+", r"[^\S\r\n]+", r"\w+", r"\W+", r"[\w']+", r"\d", r"\D+", r"\h+", r".",
              r"[\u00b5-\u024f]+", r"\x{4e00}+|[\x{3040}-\x{30ff}]+", r"(?<=a) ", r"(?<! ) ", r"(?i:'S|'T)", r"\p{^L}+", r"\P{L}+",
              r"\p{Lu}\p{Ll}*", r"[!-/:-~]+", r"[\r\n]", r"\A.|.\z", r" ?\p{L}++", r"(a|b){2,}", r"\v", r"\n$", r"$", r"\p{Zs}+"]:
        yield sequence(split(p), byte_level())
    for individual in (False, True):
        yield sequence({"type": "Digits", "individual_digits": individual}, byte_level())
    for prefix in (False, True):
        for regex in (False, True):
            yield byte_level(prefix, regex)
            yield sequence(split(r"[\r\n]"), sequence(split(",", "Removed", False, "String")), byte_level(prefix, regex))
    yield sequence(split(r"[\r\n]"), split(r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-Ϋά-ώϐ-ҁҊ-ԯ]+"), split(r"\s?[!-/:-~！-／：-～‘-‟　-。]+"),
                   split(r"\s+$"), split("[一-龥ࠀ-一가-퟿]+"), {"type": "Digits", "individual_digits": True}, byte_level())


def bytes_of():
    """The byte-level alphabet, characters to bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in plain]
    return {chr(b): b for b in plain} | {chr(256 + i): b for i, b in enumerate(rest)}


def pieces(out):
    r = random.Random(7)
    base = {"version": "1.0", "added_tokens": [], "model": {"type": "BPE", "vocab": {}, "merges": []}}
    table, cases = bytes_of(), []
    # characters of newer Unicode than the C library's belong to no class there
    texts = [t for t in (text(r) for _ in range(400)) if all(0 < ord(c) < 0x2E00 or ord(c) >= 0x3000 for c in t)]
    for kind in kinds():
        pre = Tokenizer.from_str(json.dumps(base | {"pre_tokenizer": kind})).pre_tokenizer
        some = r.sample(texts, 8) + ["", "a \nb  \r\nc  ", " a.b, a1 22 333x", "aXxBx  's 'T"]
        cases.append({"pre_tokenizer": kind, "texts": [
            [t, [bytes(table[c] for c in p).decode() for p, _ in pre.pre_tokenize_str(t)]] for t in some]})
    write(out, cases)
    print(len(cases), "pre-tokenizers,", sum(len(c["texts"]) for c in cases), "texts")


if __name__ == "__main__":
    command, *args = sys.argv[1:]
    if command == "prune":
        prune(*args)
    elif command == "random":
        random_cases(args[0], int(args[1]), int(args[2]), args[3])
    else:
        pieces(*args)
