"""Where instances stand in a bucket's tokens, and what every way of placing them there shares."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, repeat

import numpy as np

from ..randomness import KeyedRandom
from .tokens import Flags, Keys, Offsets, TokenisedDocuments

SHORTEST_TARGET = 2
_DRAWN_AT_ONCE = 1 << 16
_LONGEST_WORD = 32
"""Pieces of a word that is kept whole where a sentence has to be cut."""


@dataclass(frozen=True)
class Pairs:
    """I instances: where A and B stand in a bucket's tokens, already cut to length.

    `a_start`, `a_length`, `b_start`, `b_length`: (I,) int64, in tokens; `not_next`: (I,) bool,
    whether B isn't what follows A, or None where there is no B; `document_a`, `document_b`: (I,)
    uint64 identities. `unpaired` counts the pairs that were forced to a random B beyond what the
    coin would have given.
    """

    a_start: Offsets
    a_length: Offsets
    b_start: Offsets
    b_length: Offsets
    not_next: Flags | None
    document_a: Keys
    document_b: Keys
    unpaired: int = 0

    def __len__(self) -> int:
        return len(self.a_start)

    @property
    def num_special_tokens(self) -> int:
        """[CLS], and a [SEP] after each segment."""
        return 2 if self.not_next is None else 3

    @property
    def lengths(self) -> Offsets:
        """(I,) tokens in each instance, special tokens included."""
        return self.a_length + self.b_length + self.num_special_tokens


def uniforms(random: KeyedRandom) -> Iterator[float]:
    """Return numbers in [0, 1) without end, for a walk that takes one at a time."""
    return chain.from_iterable(random.uniform(_DRAWN_AT_ONCE).tolist() for _ in repeat(None))


def draw_target(uniform: Iterator[float], longest: int, short_seq_prob: float) -> int:
    """Return how many tokens an instance aims at: mostly `longest`, now and then any number."""
    if next(uniform) < short_seq_prob:
        return SHORTEST_TARGET + int(next(uniform) * (longest - 1))
    return longest


def with_short_sentences(documents: TokenisedDocuments, longest: int) -> TokenisedDocuments:
    """Cut sentences of more than `longest` tokens, so that no text is lost to truncation whole.

    The pieces are about even, since a crumb would make an instance of a word or two; where words
    are known, the cuts are made between them.
    """
    starts = np.concatenate(([0], documents.sentence_ends[:-1]))
    too_long = np.flatnonzero(documents.sentence_ends - starts > longest)
    if not len(too_long):
        return documents
    start, end = starts[too_long], documents.sentence_ends[too_long]
    cuts: list[Offsets] = []
    while len(start):
        num_pieces = -(-(end - start) // longest)
        start = _word_start_before(documents.continues, start, start + (end - start) // num_pieces)
        cuts.append(start)
        still = end - start > longest
        start, end = start[still], end[still]
    sentence_ends = np.sort(np.concatenate([documents.sentence_ends, *cuts]))
    document_ends = np.searchsorted(sentence_ends, documents.token_ends) + 1
    return replace(documents, sentence_ends=sentence_ends, document_ends=document_ends)


def _word_start_before(continues: Flags | None, start: Offsets, wanted: Offsets) -> Offsets:
    """Return the last place in (start, wanted] where a word begins, or `wanted` if none does."""
    if continues is None:
        return wanted
    places = wanted[:, None] - np.arange(_LONGEST_WORD)
    begins = (places > start[:, None]) & ~continues.take(places, mode="clip")
    return np.where(begins.any(axis=1), wanted - begins.argmax(axis=1), wanted)
