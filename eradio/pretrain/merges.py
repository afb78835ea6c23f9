"""A small vocabulary by byte-pair encoding (Sennrich et al., 2016, arXiv 1508.07909), in open_clip's file format."""

import gzip
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from eradio.files import write_atomically
from eradio.scenes import KINDS
from eradio.scenes.splits import Relation

_HEADER = "#version: 0.2"
_LETTERS = 256
_ENDS = 256
_SPECIAL = 2

Pair = tuple[str, str]


def caption_words() -> Counter[str]:
    """The words of the embedded world's captions, with how many kinds or relations use them."""
    texts = [kind.caption for kind in KINDS] + [relation.value for relation in Relation] + ["and"]
    return Counter(word for text in texts for word in text.lower().split())


def learn(words: Counter[str]) -> list[Pair]:
    """Merges until every word is one token: the most frequent neighbours first, ties in the order of letters."""
    pieces = {word: (*word[:-1], word[-1] + "</w>") for word in words}
    merges: list[Pair] = []
    while True:
        pairs = Counter[Pair]()
        for word, parts in pieces.items():
            for pair in pairwise(parts):
                pairs[pair] += words[word]
        if not pairs:
            return merges
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        pieces = {word: _merge(parts, best) for word, parts in pieces.items()}


def vocabulary_size(merges: Iterable[Pair]) -> int:
    """Tokens of a vocabulary with these merges: bytes, bytes at a word's end, merges, start and end of text."""
    return _LETTERS + _ENDS + len(list(merges)) + _SPECIAL


def write_merges(path: Path, merges: Iterable[Pair]) -> None:
    """Write the file that open_clip's SimpleTokenizer reads; the same merges give the same bytes."""
    text = "\n".join([_HEADER, *(" ".join(pair) for pair in merges)])
    packed = gzip.compress(text.encode(), mtime=0)
    write_atomically(path, lambda temporary: temporary.write_bytes(packed))


def _merge(parts: tuple[str, ...], pair: Pair) -> tuple[str, ...]:
    merged: list[str] = []
    for part in parts:
        if merged and (merged[-1], part) == pair:
            merged[-1] += part
        else:
            merged.append(part)
    return tuple(merged)
