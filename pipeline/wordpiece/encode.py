"""Turn text into WordPiece ids: the very ids `tokenizers` gives, at about 15 times its speed.

Text repeats its words: each distinct word is cut into pieces once, by the library, and remembered
under a number. The rest is numpy: where words begin and end, their numbers, their pieces.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from .numbering import CAPACITY, WordNumbers
from .pieces import Counts, Ids, PieceCutter
from .vocabulary import Normalization, Vocabulary
from .words import BATCH_WORDS, BLOCK_BYTES, Segmenter, Words, is_plain, split_blocks

Positions = npt.NDArray[np.int64]


class WordPieceEncoder:
    """Encodes text; a string like `[MASK]` in it is ordinary text, and no special id is added."""

    def __init__(self, vocabulary: Vocabulary, normalization: Normalization) -> None:
        self.vocabulary = vocabulary
        self.normalization = normalization
        self._segmenter = Segmenter(normalization)
        self._cutter = PieceCutter(vocabulary, normalization)
        self._numbers = WordNumbers(CAPACITY)
        self._num_words = 0
        self._num_fallback_words = 0
        self._forget()

    def __reduce__(self) -> tuple[type[WordPieceEncoder], tuple[Vocabulary, Normalization]]:
        """Go to another process without the words remembered; a forked one shares them."""
        return WordPieceEncoder, (self.vocabulary, self.normalization)

    @property
    def fallback_share(self) -> float:
        """Share of all words so far that were new and needed the library's normaliser."""
        return self._num_fallback_words / max(1, self._num_words)

    def encode_lines(self, text: bytes) -> tuple[Ids, Positions]:
        r"""Encode the lines of valid UTF-8 text, separated by b"\n", the last with or without one.

        Returns `ids` (T,) of the vocabulary's `id_dtype`, and `line_ends` (L,) int64: the number of
        ids up to the end of each line.
        """
        ids: list[Ids] = [np.empty(0, self.vocabulary.id_dtype)]
        line_ends: list[Positions] = [np.empty(0, np.int64)]
        num_ids = 0
        for block in split_blocks(text, BLOCK_BYTES):
            words = self._segmenter.words(block)
            ids_up_to = [np.array([num_ids])]
            for batch in words.batches(BATCH_WORDS):
                batch_ids, counts = self._encode_batch(batch)
                ids.append(batch_ids)
                ids_up_to.append(np.cumsum(counts) + num_ids)
                num_ids += len(batch_ids)
            newlines = np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n"))
            words_up_to = np.searchsorted(words.starts, newlines)
            line_ends.append(np.concatenate(ids_up_to)[words_up_to])
        if text and not text.endswith(b"\n"):
            line_ends.append(np.array([num_ids]))
        return np.concatenate(ids), np.concatenate(line_ends)

    def encode_texts(self, texts: Sequence[str]) -> tuple[Ids, Positions]:
        """Encode many texts: ids (T,), and the number of ids up to the end of each text (N,)."""
        # To BERT a newline is a space.
        lines = "".join(text.replace("\n", " ") + "\n" for text in texts)
        return self.encode_lines(lines.encode())

    def encode_text(self, text: str) -> Ids:
        """Encode one text: ids (T,)."""
        return self.encode_texts([text])[0]

    def seed(self, words: Iterable[str]) -> None:
        """Remember the pieces of these words, so that processes forked from now on know them."""
        self.encode_texts(list(words))

    def _encode_batch(self, words: Words) -> tuple[Ids, Counts]:
        """Return the pieces of at most BATCH_WORDS words."""
        if not self._numbers.has_room_for(len(words.starts)):
            self._forget()
        self._num_words += len(words.starts)
        numbers, new = self._numbers.number(words)
        if len(new):
            self._remember(words.select(new).to_list())
        counts = self._num_pieces.take(numbers)
        ends = np.cumsum(counts)
        # Piece i of a word stands at i from where the word's pieces begin, on both sides.
        source = np.repeat(self._first_piece.take(numbers) - (ends - counts), counts)
        source += np.arange(len(source))
        return self._pieces.take(source), counts

    def _remember(self, words: Sequence[bytes]) -> None:
        """Cut the words that have just been numbered, in the order of their numbers."""
        numbers = np.arange(len(words)) + self._numbers.num_words - len(words) + 1
        plain = np.fromiter((is_plain(word) for word in words), bool, len(words))
        for which, cut in (
            (np.flatnonzero(plain), self._cutter.cut_plain),
            (np.flatnonzero(~plain), self._cutter.cut_any),
        ):
            ids, counts = cut([words[index] for index in which.tolist()])
            self._num_pieces[numbers[which]] = counts
            self._first_piece[numbers[which]] = len(self._pieces) + np.cumsum(counts) - counts
            self._pieces = np.concatenate((self._pieces, ids))
        self._num_fallback_words += int(np.count_nonzero(~plain))

    def _forget(self) -> None:
        self._numbers.clear()
        # Indexed by a word's number.
        self._num_pieces = np.zeros(CAPACITY + 1, np.int64)
        self._first_piece = np.zeros(CAPACITY + 1, np.int64)
        self._pieces = np.empty(0, self.vocabulary.id_dtype)
