"""Text in, its words and how often each comes out: what a vocabulary is learnt from.

A word is what BERT's pre-tokeniser makes of normalised text. Raw words are counted by number, in
numpy; only distinct ones are normalised, and few of them by the library.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..wordpiece.characters import Characters
from ..wordpiece.numbering import CAPACITY, WordNumbers
from ..wordpiece.vocabulary import Normalization
from ..wordpiece.words import BATCH_WORDS, BLOCK_BYTES, Segmenter, is_plain, split_blocks
from .tables import WordCounts, sum_counts

Counts = npt.NDArray[np.int64]


def count_words(texts: Iterable[bytes], normalization: Normalization) -> WordCounts:
    """Count the words of valid UTF-8 texts; memory grows with the distinct ones only."""
    segmenter, characters = _knowledge(normalization)
    counted = _raw_counts(texts, segmenter)
    return sum_counts([_normalized(raw, counts, characters) for raw, counts in counted])


@lru_cache(maxsize=2)
def _knowledge(normalization: Normalization) -> tuple[Segmenter, Characters]:
    """Keep what this process has learnt about characters from one text to the next."""
    characters = Characters(normalization)
    return Segmenter(normalization, characters), characters


def _blocks(texts: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the texts in blocks of about `BLOCK_BYTES`, no word cut and none joined to another."""
    waiting: list[bytes] = []
    num_bytes = 0
    for text in texts:
        waiting.append(text)
        num_bytes += len(text)
        if num_bytes >= BLOCK_BYTES:
            yield from split_blocks(b"\n".join(waiting), BLOCK_BYTES)
            waiting, num_bytes = [], 0
    yield from split_blocks(b"\n".join(waiting), BLOCK_BYTES)


def _raw_counts(
    texts: Iterable[bytes], segmenter: Segmenter
) -> Iterator[tuple[list[bytes], Counts]]:
    """Yield distinct raw words and their counts: once, or whenever they get too many to hold."""
    numbers = WordNumbers(CAPACITY)
    raw: list[bytes] = []
    counts = np.zeros(CAPACITY + 1, np.int64)
    for block in _blocks(texts):
        for batch in segmenter.words(block).batches(BATCH_WORDS):
            if not numbers.has_room_for(len(batch.starts)):
                yield raw, counts[1 : len(raw) + 1]
                numbers.clear()
                raw, counts = [], np.zeros_like(counts)
            found, new = numbers.number(batch)
            raw += batch.select(new).to_list()
            counts[: len(raw) + 1] += np.bincount(found, minlength=len(raw) + 1)
    yield raw, counts[1 : len(raw) + 1]


def _normalized(raw: list[bytes], counts: Counts, characters: Characters) -> WordCounts:
    """Turn raw words into words, some perhaps twice: one may have become none, or several."""
    plain = np.fromiter((is_plain(word) for word in raw), bool, len(raw))
    rest = np.flatnonzero(~plain)
    becoming = characters.words_of([raw[index] for index in rest.tolist()])
    others: Counter[str] = Counter()
    for words, count in zip(becoming, counts[rest].tolist(), strict=True):
        for word in words:
            others[word] += count
    plain_words = pa.array([raw[index] for index in np.flatnonzero(plain).tolist()], pa.binary())
    return WordCounts(
        pa.concat_arrays([plain_words.cast(pa.string()), pa.array(others.keys(), pa.string())]),
        pa.concat_arrays([pa.array(counts[plain]), pa.array(others.values(), pa.int64())]),
    )
