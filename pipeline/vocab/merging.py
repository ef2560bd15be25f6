"""Counted words turned into a WordPiece vocabulary, the same one every time.

What the field trains under the name of WordPiece are byte-pair merges (Sennrich et al. 2016) over
characters, written as WordPiece: a piece that continues a word begins with `##`. The pair that
comes most often is merged; of several, the first in the order of the pieces' text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from heapq import heapify, heappop, heappush
from itertools import pairwise
from typing import Literal

import numpy as np

from ..errors import BadInput
from ..wordpiece.vocabulary import CONTINUATION, SPECIAL_TOKENS, check_special_tokens
from .counting import WordCounts

ALPHABET_COVERAGE = 0.9995
"""Of all characters of the text: Chinese keeps its thousands, and no emoji crowds out a word."""
Pair = tuple[str, str]


def train_wordpiece(
    counted: WordCounts,
    *,
    vocab_size: int,
    min_frequency: int,
    limit_alphabet: int | Literal["auto"],
    special_tokens: Sequence[str] = (),
    unused_tokens: int = 0,
) -> list[str]:
    """Return the tokens in the order of their ids; fewer than asked where the text gives no more.

    The order: BERT's special tokens with `[PAD]` first, the user's own, `[unused0]` …, the
    alphabet, the alphabet continuing a word, the merges from the first to the last. A word with a
    character outside the alphabet is [UNK] anyway, so nothing is learnt from it.

    Raises:
        BadInput: the special tokens and the alphabet alone are more than `vocab_size`.
    """
    check_special_tokens(special_tokens)
    words: list[str] = counted.words.to_pylist()
    counts: list[int] = counted.counts.to_pylist()
    alphabet = choose_alphabet(words, counts, limit_alphabet)
    known = [
        (word, count)
        for word, count in zip(words, counts, strict=True)
        if alphabet.issuperset(word)
    ]
    initial = {word[0] for word, _ in known}
    continuing = {CONTINUATION + character for word, _ in known for character in word[1:]}
    unused = [f"[unused{number}]" for number in range(unused_tokens)]
    tokens = [
        *SPECIAL_TOKENS,
        *special_tokens,
        *unused,
        *sorted(initial),
        *sorted(continuing),
    ]
    if len(tokens) > vocab_size:
        raise BadInput(
            f"--vocab-size {vocab_size:,} is smaller than what has to be in it: "
            f"{len(initial):,} characters, {len(continuing):,} of them again as ## pieces, and "
            f"{len(tokens) - len(initial) - len(continuing):,} special tokens.",
            hint=f"Give --vocab-size {len(tokens):,} or more, or a smaller --limit-alphabet.",
        )
    taken = set(tokens)
    for piece in _merges(known, min_frequency):
        if len(tokens) == vocab_size:
            break
        # Two merges may spell the same piece: ab + c and a + bc.
        if piece not in taken:
            taken.add(piece)
            tokens.append(piece)
    return tokens


def choose_alphabet(
    words: Sequence[str], counts: Sequence[int], limit: int | Literal["auto"]
) -> set[str]:
    """Return the most frequent characters: `limit` of them, or those that cover 99.95 %."""
    often: Counter[str] = Counter()
    for word, count in zip(words, counts, strict=True):
        for character in word:
            often[character] += count
    ranked = sorted(often, key=lambda character: (-often[character], character))
    if limit == "auto":
        covered = np.cumsum([often[character] for character in ranked])
        enough = ALPHABET_COVERAGE * covered[-1] if len(covered) else 0
        limit = int(np.searchsorted(covered, enough)) + 1
    return set(ranked[:limit])


def score(count: int) -> int:
    """Return what a pair is ranked by; the greatest is merged next."""
    return count


class _Pairs:
    """Neighbouring pieces, how often they stand together, and in which words."""

    def __init__(self, words: Sequence[tuple[str, int]]) -> None:
        self.counts: Counter[Pair] = Counter()
        self.words: dict[Pair, set[int]] = {}
        self.pieces = [
            [word[0], *(CONTINUATION + character for character in word[1:])] for word, _ in words
        ]
        self.often = [count for _, count in words]
        for number, pieces in enumerate(self.pieces):
            for pair in pairwise(pieces):
                self.counts[pair] += self.often[number]
                self.words.setdefault(pair, set()).add(number)

    def merge(self, pair: Pair, merged: str) -> set[Pair]:
        """Write `merged` for `pair` wherever it stands; return the pairs that grew by it."""
        grown: set[Pair] = set()
        for number in self.words.pop(pair):
            pieces, often = self.pieces[number], self.often[number]
            new = _replaced(pieces, pair, merged)
            for old in pairwise(pieces):
                self.counts[old] -= often
            for fresh in pairwise(new):
                self.counts[fresh] += often
                if merged in fresh:
                    self.words.setdefault(fresh, set()).add(number)
                    grown.add(fresh)
            self.pieces[number] = new
        del self.counts[pair]
        return grown


def _merges(words: Sequence[tuple[str, int]], min_frequency: int) -> Iterator[str]:
    """Yield new pieces, the best pair's first, as long as a pair comes often enough."""
    pairs = _Pairs(words)
    # Scores only ever fall between two looks at a pair, except those of pairs just made: so the
    # heap's top is right once it is confirmed, and otherwise goes back with what it is now.
    heap = [(-score(count), pair) for pair, count in pairs.counts.items()]
    heapify(heap)
    while heap:
        claimed, pair = heappop(heap)
        count = pairs.counts.get(pair, 0)
        if count < min_frequency:
            continue
        if -claimed != score(count):
            heappush(heap, (-score(count), pair))
            continue
        merged = pair[0] + pair[1].removeprefix(CONTINUATION)
        for grown in pairs.merge(pair, merged):
            heappush(heap, (-score(pairs.counts[grown]), grown))
        yield merged


def _replaced(pieces: list[str], pair: Pair, merged: str) -> list[str]:
    first, second = pair
    new: list[str] = []
    at, last = 0, len(pieces) - 1
    while at <= last:
        if at < last and pieces[at] == first and pieces[at + 1] == second:
            new.append(merged)
            at += 2
        else:
            new.append(pieces[at])
            at += 1
    return new
