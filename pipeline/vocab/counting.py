"""Text in, its words and how often each comes out: what a vocabulary is learnt from.

A word is what BERT's pre-tokeniser makes of normalised text. Raw words are counted by number, in
numpy; only distinct ones meet the library.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tokenizers import pre_tokenizers

from ..wordpiece.library import library_normalizer
from ..wordpiece.numbering import CAPACITY, WordNumbers
from ..wordpiece.vocabulary import Normalization
from ..wordpiece.words import BATCH_WORDS, BLOCK_BYTES, Segmenter, is_plain, split_blocks

Counts = npt.NDArray[np.int64]

_ROWS_AT_ONCE = 1 << 20
"""Rows of several tables added up in one go, in some 50 MB."""
_SCHEMA = pa.schema([("word", pa.string()), ("count", pa.int64())])


@dataclass(frozen=True)
class WordCounts:
    """Distinct words, ordered by their UTF-8 bytes, and how often each comes.

    `words`: (W,) string; `counts`: (W,) int64, at least 1.
    """

    words: pa.Array
    counts: pa.Array

    def __len__(self) -> int:
        return len(self.words)

    @property
    def total(self) -> int:
        """How many words were counted."""
        return int(self.counts.to_numpy().sum())


def count_words(text: bytes, normalization: Normalization) -> WordCounts:
    """Count the words of valid UTF-8 text; memory grows with the distinct ones only."""
    counted = _raw_counts(text, _segmenter(normalization))
    return merge_counts(_normalized(raw, counts, normalization) for raw, counts in counted)


def merge_counts(tables: Iterable[WordCounts]) -> WordCounts:
    """Add up tables, perhaps more than memory holds; their order changes nothing."""
    merged = _sum([])
    waiting: list[WordCounts] = []
    for table in tables:
        waiting.append(table)
        # To wait for as many rows as there are already keeps the work linear in all rows.
        if sum(map(len, waiting)) >= max(_ROWS_AT_ONCE, len(merged)):
            merged, waiting = _sum([merged, *waiting]), []
    return _sum([merged, *waiting])


def write_counts(path: Path, counts: WordCounts) -> None:
    """Write a table to an Arrow file; equal tables give equal bytes."""
    batch = pa.record_batch([counts.words, counts.counts], schema=_SCHEMA)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, _SCHEMA) as writer:
        writer.write_batch(batch)


def read_counts(path: Path) -> WordCounts:
    """Read what `write_counts` wrote, mapped into memory."""
    batch = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
    return WordCounts(batch["word"], batch["count"])


@lru_cache(maxsize=1)
def _segmenter(normalization: Normalization) -> Segmenter:
    """Keep what this process has learnt about characters from one text to the next."""
    return Segmenter(normalization)


def _raw_counts(text: bytes, segmenter: Segmenter) -> Iterator[tuple[list[bytes], Counts]]:
    """Yield distinct raw words and their counts: once, or whenever they get too many to hold."""
    numbers = WordNumbers(CAPACITY)
    raw: list[bytes] = []
    counts = np.zeros(CAPACITY + 1, np.int64)
    for block in split_blocks(text, BLOCK_BYTES):
        for batch in segmenter.words(block).batches(BATCH_WORDS):
            if not numbers.has_room_for(len(batch.starts)):
                yield raw, counts[1 : len(raw) + 1]
                numbers.clear()
                raw, counts = [], np.zeros_like(counts)
            found, new = numbers.number(batch)
            raw += batch.select(new).to_list()
            counts[: len(raw) + 1] += np.bincount(found, minlength=len(raw) + 1)
    yield raw, counts[1 : len(raw) + 1]


def _normalized(raw: list[bytes], counts: Counts, normalization: Normalization) -> WordCounts:
    """Turn raw words into words, some perhaps twice: one may have become none, or several."""
    normalizer = library_normalizer(normalization)
    pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    plain = np.fromiter((is_plain(word) for word in raw), bool, len(raw))
    others: Counter[str] = Counter()
    for index in np.flatnonzero(~plain).tolist():
        normalized = normalizer.normalize_str(raw[index].decode())
        for word, _ in pre_tokenizer.pre_tokenize_str(normalized):
            others[word] += int(counts[index])
    plain_words = pa.array([raw[index] for index in np.flatnonzero(plain).tolist()], pa.binary())
    return WordCounts(
        pa.concat_arrays([plain_words.cast(pa.string()), pa.array(others.keys(), pa.string())]),
        pa.concat_arrays([pa.array(counts[plain]), pa.array(others.values(), pa.int64())]),
    )


def _sum(tables: Sequence[WordCounts]) -> WordCounts:
    """Add up the counts of equal words and put the words in order."""
    joined = pa.table(
        {
            "word": pa.chunked_array([table.words for table in tables], pa.string()),
            "count": pa.chunked_array([table.counts for table in tables], pa.int64()),
        }
    )
    summed = joined.group_by("word").aggregate([("count", "sum")])
    ordered = summed.sort_by("word").combine_chunks()
    return WordCounts(
        ordered["word"].combine_chunks(), ordered["count_sum"].combine_chunks().cast(pa.int64())
    )
