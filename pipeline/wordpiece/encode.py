"""Turn text into WordPiece ids: the very ids `tokenizers` gives, at about 15 times its speed.

Text repeats its words: each distinct word is cut into pieces once, by the library, and remembered
under a number. The rest is numpy: where words begin and end, their numbers, their pieces.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .matching import PieceMatcher, are_plain
from .numbering import CAPACITY, Numbers, WordNumbers
from .pieces import Counts, Ids, PieceCutter
from .vocabulary import Normalization, Vocabulary
from .words import BATCH_WORDS, BLOCK_BYTES, Segmenter, Words, split_blocks

Positions = npt.NDArray[np.int64]

_STRETCH_WORDS = 1 << 21
"""Words between two calls of the library: its calls cost, and so does memory."""

# All that is asked of every word is one number, to be fetched at once: its first piece's id in the
# lowest 32 bits, whether the library cut it, and above that how many pieces it has.
_BY_LIBRARY = 1 << 32
_COUNT_SHIFT = 33


class WordPieceEncoder:
    """Encodes text; a string like `[MASK]` in it is ordinary text, and no special id is added."""

    def __init__(self, vocabulary: Vocabulary, normalization: Normalization) -> None:
        self.vocabulary = vocabulary
        self.normalization = normalization
        self._segmenter = Segmenter(normalization)
        self._matcher = PieceMatcher(vocabulary)
        self._cutter = PieceCutter(vocabulary, normalization)
        self._numbers = WordNumbers(CAPACITY)
        self.num_words = 0
        """Words so far, each time they stood somewhere."""
        self.num_library_words = 0
        """Those among them that the library cut, since they need normalising or are long."""
        self._forget()

    def __reduce__(self) -> tuple[type[WordPieceEncoder], tuple[Vocabulary, Normalization]]:
        """Go to another process without the words remembered; a forked one shares them."""
        return WordPieceEncoder, (self.vocabulary, self.normalization)

    def encode_lines(self, text: bytes) -> tuple[Ids, Positions]:
        r"""Encode the lines of valid UTF-8 text, separated by b"\n", the last with or without one.

        Returns `ids` (T,) of the vocabulary's `id_dtype`, and `line_ends` (L,) int64: the number of
        ids up to the end of each line.
        """
        encoded = _Encoded(self.vocabulary.id_dtype)
        numbered: list[Numbers] = []
        words_up_to: list[Positions] = [np.empty(0, np.int64)]
        num_words = num_waiting = 0
        for block in split_blocks(text, BLOCK_BYTES):
            words = self._segmenter.words(block)
            newlines = np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n"))
            words_up_to.append(np.searchsorted(words.starts, newlines) + num_words)
            num_words += len(words.starts)
            for batch in words.batches(BATCH_WORDS):
                is_full = not self._numbers.has_room_for(len(batch.starts))
                if is_full or num_waiting >= _STRETCH_WORDS:
                    self._look_up(numbered, encoded)
                    numbered, num_waiting = [], 0
                if is_full:
                    self._forget()
                numbered.append(self._number(batch))
                num_waiting += len(batch.starts)
        self._look_up(numbered, encoded)
        if text and not text.endswith(b"\n"):
            words_up_to.append(np.array([num_words]))
        ids, ends = encoded.joined()
        return ids, ends[np.concatenate(words_up_to)]

    def encode_texts(self, texts: Sequence[str]) -> tuple[Ids, Positions]:
        """Encode many texts: ids (T,), and the number of ids up to the end of each text (N,)."""
        # To BERT a newline is a space.
        lines = "".join(text.replace("\n", " ") + "\n" for text in texts)
        return self.encode_lines(lines.encode())

    def encode_text(self, text: str) -> Ids:
        """Encode one text: ids (T,)."""
        return self.encode_texts([text])[0]

    def _number(self, words: Words) -> Numbers:
        """Return the numbers of at most BATCH_WORDS words; new ones wait to be cut."""
        first = self._numbers.num_words + 1
        numbers, new = self._numbers.number(words)
        others = np.flatnonzero(~are_plain(*self._numbers.keys_from(first)))
        self._others.append(others + first)
        self._other_words += words.select(new[others]).to_list()
        return numbers

    def _look_up(self, numbered: Sequence[Numbers], encoded: _Encoded) -> None:
        """Add the pieces of all these words."""
        self._cut()
        for numbers in numbered:
            encoded.add(*self._pieces_of(numbers.astype(np.intp)))

    def _pieces_of(self, numbers: Positions) -> tuple[Ids, Positions]:
        """Return the pieces of these words in a row (T,), and where each word's end (W,)."""
        outlines = self._outline.take(numbers)
        self.num_words += len(numbers)
        self.num_library_words += int(np.count_nonzero(outlines & _BY_LIBRARY))
        counts = outlines >> _COUNT_SHIFT
        ends = np.cumsum(counts)
        starts = ends - counts
        # Nearly all words are one piece. A word of none leaves its place to the next, or to nobody.
        ids = np.empty(ends[-1] + 1, self.vocabulary.id_dtype)
        ids[starts] = outlines.astype(ids.dtype)  # the lowest bits
        several = np.flatnonzero(counts > 1)
        rest = counts[several] - 1
        # Piece i of a word stands at i from where the word's pieces begin, on both sides.
        within = np.arange(rest.sum()) - np.repeat(np.cumsum(rest) - rest, rest) + 1
        source = np.repeat(self._first_piece.take(numbers[several]), rest) + within
        ids[np.repeat(starts[several], rest) + within] = self._pieces.take(source)
        return ids[:-1], ends

    def _cut(self) -> None:
        """Cut the words that have been numbered since the last time."""
        others = np.concatenate(self._others)
        plain = np.ones(self._numbers.num_words + 1 - self._first_uncut, bool)
        plain[others - self._first_uncut] = False
        low, high = self._numbers.keys_from(self._first_uncut)
        self._remember(
            np.flatnonzero(plain) + self._first_uncut, *self._matcher.cut(low[plain], high[plain])
        )
        self._remember(others, *self._cutter.cut(self._other_words))
        self._outline[others] |= _BY_LIBRARY
        self._wait_for_words()

    def _remember(self, numbers: Positions, ids: Ids, counts: Counts) -> None:
        first = np.cumsum(counts) - counts
        self._first_piece[numbers] = len(self._pieces) + first
        self._outline[numbers] = counts << _COUNT_SHIFT
        real = counts > 0
        self._outline[numbers[real]] |= ids[first[real]].astype(np.int64)
        self._pieces = np.concatenate((self._pieces, ids))

    def _wait_for_words(self) -> None:
        """Begin to collect words that have a number and no pieces yet."""
        self._first_uncut = self._numbers.num_words + 1
        # Those that aren't plain: their numbers, and what they are.
        self._others: list[Positions] = [np.empty(0, np.int64)]
        self._other_words: list[bytes] = []

    def _forget(self) -> None:
        self._numbers.clear()
        self._wait_for_words()
        # Indexed by a word's number. Common words are met early and have small ones, so that what
        # is looked up most stands close together.
        self._outline = np.zeros(CAPACITY + 1, np.int64)
        self._first_piece = np.zeros(CAPACITY + 1, np.int64)
        self._pieces = np.empty(0, self.vocabulary.id_dtype)


class _Encoded:
    """Ids of ever more words, and where each word's end."""

    def __init__(self, id_dtype: np.dtype[np.unsignedinteger]) -> None:
        self._ids: list[Ids] = [np.empty(0, id_dtype)]
        self._ends: list[Positions] = [np.zeros(1, np.int64)]

    def add(self, ids: Ids, ends: Positions) -> None:
        """Add ids (T,), and their number up to the end of each word (W,)."""
        self._ids.append(ids)
        self._ends.append(ends + self._ends[-1][-1])

    def joined(self) -> tuple[Ids, Positions]:
        """Return all ids, and their number up to the end of each word, 0 before the first."""
        return np.concatenate(self._ids), np.concatenate(self._ends)
