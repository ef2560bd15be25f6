"""Turn text into WordPiece ids: the very ids `tokenizers` gives, at about 20 times its speed.

Text repeats its words: each distinct word is cut into pieces once and remembered under a number.
All of it is numpy: where words begin and end, their numbers, their pieces. Of the library is asked
what it does to each character, and what to do with long words and the few that this doesn't tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .characters import Characters
from .matching import PieceMatcher, are_plain
from .numbering import CAPACITY, Numbers, WordNumbers, keys_of_lines
from .pieces import Counts, Ids, PieceCutter
from .vocabulary import Normalization, Vocabulary
from .words import BATCH_WORDS, BLOCK_BYTES, Segmenter, Words, split_blocks

Positions = npt.NDArray[np.int64]

_STRETCH_WORDS = 1 << 21
"""Words between two calls of the library: its calls cost, and so does memory."""

# All that is asked of a word is one number, to be fetched at once: in the lowest 32 bits the id of
# its only piece, or else where its pieces begin among those remembered; whether the library cut it;
# and above that how many pieces it has.
_LOWEST = (1 << 32) - 1
_LIBRARY_SHIFT = 32
_COUNT_SHIFT = 33


class WordPieceEncoder:
    """Encodes text; a string like `[MASK]` in it is ordinary text, and no special id is added."""

    def __init__(self, vocabulary: Vocabulary, normalization: Normalization) -> None:
        self.vocabulary = vocabulary
        self.normalization = normalization
        self._characters = Characters(normalization)
        self._segmenter = Segmenter(normalization, self._characters)
        self._matcher = PieceMatcher(vocabulary)
        self._cutter = PieceCutter(vocabulary, normalization)
        self.num_words = 0
        """Words so far, each time they stood somewhere."""
        self.num_library_words = 0
        """Those among them that the library cut: long ones, and few others."""
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
        waiting: list[_Numbered] = []
        num_waiting = 0
        for block in split_blocks(text, BLOCK_BYTES):
            words = self._segmenter.words(block)
            newlines = np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n"))
            # How many words of the block stand before each line's end.
            words_before = np.searchsorted(words.starts, newlines)
            for batch in words.batches(BATCH_WORDS):
                is_full = not self._numbers.has_room_for(len(batch.starts))
                if is_full or num_waiting >= _STRETCH_WORDS:
                    self._look_up(waiting, encoded)
                    waiting, num_waiting = [], 0
                if is_full:
                    self._forget()
                own = np.searchsorted(words_before, len(batch.starts), "right")
                waiting.append(_Numbered(self._number(batch), words_before[:own]))
                words_before = words_before[own:] - len(batch.starts)
                num_waiting += len(batch.starts)
        self._look_up(waiting, encoded)
        if text and not text.endswith(b"\n"):
            encoded.end_line()
        return encoded.joined()

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
        others = np.flatnonzero(~are_plain(self._numbers.keys_from(first)))
        self._others.append(others + first)
        self._other_words += words.select(new[others]).to_list()
        return numbers

    def _look_up(self, waiting: Sequence[_Numbered], encoded: _Encoded) -> None:
        """Add the pieces of all these words."""
        self._cut()
        for each in waiting:
            ids, bounds = self._pieces_of(each.numbers.astype(np.intp))
            encoded.add(ids, bounds.take(each.words_before))

    def _pieces_of(self, numbers: Positions) -> tuple[Ids, Positions]:
        """Return the pieces of these words in a row (T,), and where each word's begin.

        The latter are (W + 1,), so that each word's end where the next one's begin.
        """
        outlines = self._outline.take(numbers)
        only_ids = outlines.astype(self.vocabulary.id_dtype)  # the lowest bits
        outlines >>= _LIBRARY_SHIFT
        library_words_and_twice_all_pieces = int(outlines.sum())
        counts = np.right_shift(outlines, 1, out=outlines)
        bounds = np.zeros(len(numbers) + 1, np.int64)
        np.cumsum(counts, out=bounds[1:])
        num_pieces = int(bounds[-1])
        self.num_words += len(numbers)
        self.num_library_words += library_words_and_twice_all_pieces - 2 * num_pieces
        # What a word of no piece puts here the next one replaces, or nobody asks for.
        ids = np.empty(num_pieces + 1, self.vocabulary.id_dtype)
        ids[bounds[:-1]] = only_ids
        several = np.flatnonzero(counts > 1)
        counts = counts.take(several)
        # Piece i of a word stands at i from where the word's pieces begin, on both sides.
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        first_pieces = self._outline.take(numbers.take(several)) & _LOWEST
        pieces = self._pieces.take(np.repeat(first_pieces, counts) + within)
        ids[np.repeat(bounds.take(several), counts) + within] = pieces
        return ids[:-1], bounds

    def _cut(self) -> None:
        """Cut the words that have been numbered since the last time."""
        keys = self._numbers.keys_from(self._first_uncut).copy()
        others = np.concatenate(self._others) - self._first_uncut
        keys[others], fits = keys_of_lines(self._characters.normalized(self._other_words))
        hard = np.flatnonzero(~fits)
        is_ours = np.ones(len(keys), bool)
        is_ours[others[hard]] = False
        self._remember(np.flatnonzero(is_ours), *self._matcher.cut(keys[is_ours]))
        hard_words = [self._other_words[each] for each in hard.tolist()]
        self._remember(others[hard], *self._cutter.cut(hard_words))
        self._outline[others[hard] + self._first_uncut] |= 1 << _LIBRARY_SHIFT
        self._wait_for_words()

    def _remember(self, uncut: Positions, ids: Ids, counts: Counts) -> None:
        """Remember the pieces of these words, counted from the first uncut one."""
        first = np.cumsum(counts) - counts
        lowest = first + len(self._pieces)
        only = counts == 1
        lowest[only] = ids[first[only]]
        self._outline[uncut + self._first_uncut] = counts << _COUNT_SHIFT | lowest
        self._pieces = np.concatenate((self._pieces, ids))

    def _wait_for_words(self) -> None:
        """Begin to collect words that have a number and no pieces yet."""
        self._first_uncut = self._numbers.num_words + 1
        # Those that aren't plain: their numbers, and what they are.
        self._others: list[Positions] = [np.empty(0, np.int64)]
        self._other_words: list[bytes] = []

    def _forget(self) -> None:
        self._numbers = WordNumbers(CAPACITY)
        self._wait_for_words()
        # Indexed by a word's number. Common words are met early and have small ones, so that what
        # is looked up most stands close together, and what is never written takes no memory.
        self._outline = np.empty(CAPACITY + 1, np.int64)
        self._pieces = np.empty(0, self.vocabulary.id_dtype)


class _Numbered(NamedTuple):
    """Some words, and the lines that end among them."""

    numbers: Numbers
    """(W,)"""
    words_before: Positions
    """(L,) how many of these words stand before the end of each line"""


class _Encoded:
    """Ids of ever more words, and where each line's end."""

    def __init__(self, id_dtype: np.dtype[np.unsignedinteger]) -> None:
        self._ids: list[Ids] = [np.empty(0, id_dtype)]
        self._line_ends: list[Positions] = [np.empty(0, np.int64)]
        self._num_ids = 0

    def add(self, ids: Ids, line_ends: Positions) -> None:
        """Add ids (T,), and where among them lines end (L,)."""
        self._ids.append(ids)
        self._line_ends.append(line_ends + self._num_ids)
        self._num_ids += len(ids)

    def end_line(self) -> None:
        """End a line after all that was added."""
        self._line_ends.append(np.array([self._num_ids]))

    def joined(self) -> tuple[Ids, Positions]:
        """Return all ids (T,), and their number up to the end of each line (L,)."""
        return np.concatenate(self._ids), np.concatenate(self._line_ends)
