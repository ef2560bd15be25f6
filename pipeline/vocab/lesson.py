"""Counted words, however many, turned into what a vocabulary is learnt from: bounded, in numpy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ..randomness import mixed
from ..wordpiece.vocabulary import MAX_WORD_CHARACTERS
from .tables import WordCounts

ALPHABET_COVERAGE = 0.9995
"""Of all characters of the text: Chinese keeps its thousands, and no emoji crowds out a word."""

MOST_CHARACTERS = 1 << 21
"""Characters of distinct words that are held in memory. 100 MB of English Wikipedia has as many."""

_CODE_POINTS = 0x110000

CodePoints = npt.NDArray[np.uint32]
Counts = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class Spelled(NamedTuple):
    """Words as code points (N,), one word after the other; lengths and counts (W,) int64."""

    code_points: CodePoints
    lengths: Counts
    counts: Counts

    @property
    def starts(self) -> Counts:
        """(W,) int64: where each word begins."""
        return np.cumsum(self.lengths) - self.lengths

    def select(self, which: Flags) -> Spelled:
        """Keep some of the words."""
        kept = np.repeat(which, self.lengths)
        return Spelled(self.code_points[kept], self.lengths[which], self.counts[which])


@dataclass(frozen=True)
class Lesson:
    """What a vocabulary is learnt from.

    `alphabet` and `continuing`, those of it that are ever part of a longer word, ascend; they are
    of the whole text. `is_whole`: whether every word that can be learnt from is among the `words`.
    """

    alphabet: CodePoints
    continuing: CodePoints
    words: Spelled
    is_whole: bool


def spell(counted: WordCounts) -> Spelled:
    """Write counted words as code points."""
    words = counted.words
    offsets = np.frombuffer(words.buffers()[1], np.int32)[words.offset :][: len(words) + 1]
    utf8 = words.buffers()[2]
    text = utf8[offsets[0] : offsets[-1]].to_pybytes() if len(words) and utf8 else b""
    # A character begins at any byte but those that continue one.
    begins = np.zeros(len(text) + 1, np.int64)
    np.cumsum((np.frombuffer(text, np.uint8) & 0xC0) != 0x80, out=begins[1:])
    return Spelled(
        np.frombuffer(text.decode().encode("utf-32-le"), np.uint32),
        np.diff(begins[offsets - offsets[0]]),
        counted.counts.to_numpy(),
    )


def choose_words(counted: Iterable[WordCounts], limit_alphabet: int | Literal["auto"]) -> Lesson:
    """Choose what to learn from; `counted` is gone over three times, a batch in memory.

    A word with a character outside the alphabet, or longer than WordPiece cuts, would be [UNK]:
    nothing is learnt from it. Of more words than `MOST_CHARACTERS` hold, the most frequent are
    taken, and of the words of the first count that doesn't fit, an even sample. It is drawn by
    place in the order of all words, so the same corpus gives the same.
    """
    alphabet = choose_alphabet(map(spell, counted), limit_alphabet)
    known = _Known(counted, alphabet)
    continuing = np.zeros(_CODE_POINTS, bool)
    lengths: dict[int, int] = {}
    for words in known:
        continuing[words.code_points[np.repeat(words.lengths > 1, words.lengths)]] = True
        counts, which = np.unique(words.counts, return_inverse=True)
        characters = np.bincount(which, words.lengths)
        for count, more in zip(counts.tolist(), characters.tolist(), strict=True):
            lengths[count] = lengths.get(count, 0) + int(more)
    least, sampled, share = _fitting(lengths)
    return Lesson(
        alphabet,
        np.flatnonzero(continuing).astype(np.uint32),
        _joined(_chosen(known, least, sampled, share)),
        is_whole=not sampled,
    )


def choose_alphabet(words: Iterable[Spelled], limit: int | Literal["auto"]) -> CodePoints:
    """Return the most frequent characters, `limit` or enough for 99.95 % of the text, sorted."""
    often = np.zeros(_CODE_POINTS, np.int64)
    for some in words:
        characters, which = np.unique(some.code_points, return_inverse=True)
        sums = np.bincount(which, np.repeat(some.counts, some.lengths))
        often[characters] += sums.astype(np.int64)
    present = np.flatnonzero(often)
    ranked = present[np.argsort(-often[present], kind="stable")]
    if limit == "auto":
        covered = np.cumsum(often[ranked])
        enough = ALPHABET_COVERAGE * covered[-1] if len(covered) else 0
        limit = int(np.searchsorted(covered, enough)) + 1
    return np.sort(ranked[:limit]).astype(np.uint32)


class _Known:
    """The words that WordPiece can cut: all of the alphabet, and not too long."""

    def __init__(self, counted: Iterable[WordCounts], alphabet: CodePoints) -> None:
        self._counted = counted
        self._is_known = np.zeros(_CODE_POINTS, bool)
        self._is_known[alphabet] = True

    def __iter__(self) -> Iterator[Spelled]:
        for words in map(spell, self._counted):
            if len(words.lengths):
                is_known = np.logical_and.reduceat(self._is_known[words.code_points], words.starts)
                yield words.select(is_known & (words.lengths <= MAX_WORD_CHARACTERS))


def _fitting(characters: dict[int, int]) -> tuple[int, int, float]:
    """Return the least count of which all words fit, the next one, and the share of it that fits.

    `characters` maps a count to how many there are in all words that come so often.
    """
    room = MOST_CHARACTERS
    least = max(characters, default=0) + 1
    for count in sorted(characters, reverse=True):
        if characters[count] > room:
            return least, count, room / characters[count]
        room -= characters[count]
        least = count
    return least, 0, 0.0


def _chosen(known: _Known, least: int, sampled: int, share: float) -> Iterator[Spelled]:
    num_seen = 0
    for words in known:
        places = np.arange(num_seen, num_seen + len(words.counts), dtype=np.uint64)
        num_seen += len(words.counts)
        drawn = mixed(places, 0, "learn from") < np.uint64(share * 2**64)
        yield words.select((words.counts >= least) | (words.counts == sampled) & drawn)


def _joined(parts: Iterable[Spelled]) -> Spelled:
    none = np.empty(0, np.int64)
    columns = zip(Spelled(none.astype(np.uint32), none, none), *parts, strict=True)
    return Spelled(*map(np.concatenate, columns))
