"""Text in, its words and how often each comes out: what a vocabulary is learnt from.

A word is what BERT's pre-tokeniser makes of normalised text. Raw words are counted by number, in
numpy; only distinct ones meet the library.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from tokenizers import pre_tokenizers

from ..wordpiece.library import library_normalizer
from ..wordpiece.numbering import CAPACITY, WordNumbers
from ..wordpiece.vocabulary import Normalization
from ..wordpiece.words import BATCH_WORDS, BLOCK_BYTES, Segmenter, is_plain, split_blocks

_TABLES_AT_ONCE = 16
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
    segmenter = _segmenter(normalization)
    numbers = WordNumbers(CAPACITY)
    counted: Counter[str] = Counter()
    raw: list[bytes] = []
    counts = np.zeros(CAPACITY + 1, np.int64)
    for block in split_blocks(text, BLOCK_BYTES):
        for batch in segmenter.words(block).batches(BATCH_WORDS):
            if not numbers.has_room_for(len(batch.starts)):
                _add_normalised(counted, raw, counts, normalization)
                numbers.clear()
                raw.clear()
                counts[:] = 0
            found, new = numbers.number(batch)
            raw += batch.select(new).to_list()
            counts += np.bincount(found, minlength=len(counts))
    _add_normalised(counted, raw, counts, normalization)
    return _table(counted)


def merge_counts(tables: Iterable[WordCounts]) -> WordCounts:
    """Add up tables of counted words, a few at a time."""
    merged = _table(Counter())
    waiting: list[WordCounts] = []
    for table in tables:
        waiting.append(table)
        if len(waiting) == _TABLES_AT_ONCE:
            merged, waiting = _sum([merged, *waiting]), []
    return _sum([merged, *waiting])


def write_counts(path: Path, counts: WordCounts) -> None:
    """Write a table to an Arrow file."""
    batch = pa.record_batch([counts.words, counts.counts], schema=_SCHEMA)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, _SCHEMA) as writer:
        writer.write_batch(batch)


def read_counts(path: Path) -> WordCounts:
    """Read what `write_counts` wrote, mapped into memory."""
    batch = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
    return WordCounts(batch["word"], batch["count"])


@lru_cache(maxsize=1)
def _segmenter(normalization: Normalization) -> Segmenter:
    return Segmenter(normalization)


def _add_normalised(
    counted: Counter[str],
    raw: list[bytes],
    counts: np.ndarray[tuple[int], np.dtype[np.int64]],
    normalization: Normalization,
) -> None:
    """Count normalised words for raw ones, whose numbers are 1, 2, 3 …"""
    normalizer = library_normalizer(normalization)
    pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    for word, count in zip(raw, counts[1 : len(raw) + 1].tolist(), strict=True):
        if is_plain(word):
            counted[word.decode("ascii")] += count
            continue
        normalised = normalizer.normalize_str(word.decode())
        for part, _ in pre_tokenizer.pre_tokenize_str(normalised):
            counted[part] += count


def _table(counted: Counter[str]) -> WordCounts:
    # Python orders strings by code point, which is the order of their UTF-8 bytes.
    words = sorted(counted)
    counts = [counted[word] for word in words]
    return WordCounts(pa.array(words, pa.string()), pa.array(counts, pa.int64()))


def _sum(tables: list[WordCounts]) -> WordCounts:
    joined = pa.table(
        {
            "word": pa.chunked_array([table.words for table in tables]),
            "count": pa.chunked_array([table.counts for table in tables]),
        }
    )
    summed = joined.group_by("word", use_threads=False).aggregate([("count", "sum")])
    ordered = summed.sort_by("word").combine_chunks()
    return WordCounts(
        ordered["word"].combine_chunks(), ordered["count_sum"].combine_chunks().cast(pa.int64())
    )
