"""Cut short plain words into their longest pieces, thousands at a time, in numpy.

What `tokenizers` does to a word (its longest prefix in the vocabulary, then the longest `##` piece
of the rest, and so on) is done here to all words at once. Words are keys: W words, P pieces.
"""

from __future__ import annotations

import string

import numpy as np
import numpy.typing as npt

from .numbering import Keys, WordNumbers, kept_bytes, keys_of, lengths_of
from .vocabulary import CONTINUATION, Vocabulary

Ids = npt.NDArray[np.unsignedinteger]
Counts = npt.NDArray[np.int64]
Positions = npt.NDArray[np.int64]

_LONGEST = 16
"""Bytes of a word that is its own key."""
_IS_PLAIN = np.zeros(256, bool)
_IS_PLAIN[[0, *(string.ascii_letters + string.digits + string.punctuation).encode()]] = True
"""By byte; a zero stands after the end of a key."""


class PieceMatcher:
    """Knows the pieces that plain words of at most 16 bytes can be made of."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._unk_id = vocabulary.unk_id
        self._id_dtype = vocabulary.id_dtype
        first: dict[bytes, int] = {}
        following: dict[bytes, int] = {}
        continues = vocabulary.is_continuation.tolist()
        for id, (token, more) in enumerate(zip(vocabulary.tokens, continues, strict=True)):
            piece = token[len(CONTINUATION) :] if more else token
            if piece.isascii() and len(piece) <= _LONGEST and (piece.isalnum() or len(piece) == 1):
                (following if more else first)[piece.encode()] = id
        self._first, self._next = _Pieces(first), _Pieces(following)

    def cut(self, low: Keys, high: Keys) -> tuple[Ids, Counts]:
        """Return all pieces in a row (P,) and how many each word has (W,): `[UNK]` where none fits.

        `low`, `high`: (W,) the words' keys, of which `are_plain` is true.
        """
        counts = np.zeros(len(low), np.int64)
        rounds: list[tuple[Positions, Positions]] = []
        unknown = np.zeros(len(low), bool)
        words, left, pieces = np.arange(len(low)), lengths_of(low, high), self._first
        while len(words):
            ids, taken = pieces.longest_prefixes(low, high, left)
            fits = taken > 0
            unknown[words[~fits]] = True
            counts[words] += 1
            rounds.append((words, ids))
            goes_on = np.flatnonzero(fits & (taken < left))
            words, left = words[goes_on], (left - taken)[goes_on]
            low, high = _without_first(low[goes_on], high[goes_on], taken[goes_on])
            pieces = self._next
        return self._in_a_row(rounds, counts, unknown)

    def _in_a_row(
        self,
        rounds: list[tuple[Positions, Positions]],
        counts: Counts,
        unknown: npt.NDArray[np.bool_],
    ) -> tuple[Ids, Counts]:
        """Put the pieces of each word side by side; a word with an unknown rest is unknown."""
        counts[unknown] = 1
        starts = np.cumsum(counts) - counts
        row = np.zeros(int(counts.sum()), self._id_dtype)
        for number, (words, ids) in enumerate(rounds):
            known = ~unknown[words]
            row[starts[words[known]] + number] = ids[known]
        row[starts[unknown]] = self._unk_id
        return row, counts


def are_plain(low: Keys, high: Keys) -> npt.NDArray[np.bool_]:
    """Tell for each key whether normalisation leaves its word alone: (W,) bool.

    That is ASCII letters and digits, lower-cased already if they need be, or one ASCII mark: the
    library cuts around each mark, so no raw word holds one beside anything else.
    """
    bytes_of_keys = np.stack((low, high), axis=1).view(np.uint8)
    return np.logical_and.reduce(_IS_PLAIN[bytes_of_keys], axis=1)


class _Pieces:
    """Pieces of plain characters, and the id of each."""

    def __init__(self, ids: dict[bytes, int]) -> None:
        self._longest = max(map(len, ids), default=0)
        self._numbers = WordNumbers(max(2, 1 << (2 * len(ids)).bit_length()))
        low, high = keys_of(list(ids))
        found, _ = self._numbers.number_keys(low, high)
        self._id_of_number = np.zeros(len(ids) + 1, np.int64)
        self._id_of_number[found] = list(ids.values())

    def longest_prefixes(
        self, low: Keys, high: Keys, lengths: Positions
    ) -> tuple[npt.NDArray[np.int64], Positions]:
        """Return the id of each word's longest prefix, and its bytes: 0 where none is a piece."""
        ids, taken = np.zeros(len(low), np.int64), np.zeros(len(low), np.int64)
        pending = np.arange(len(low))
        for length in range(min(self._longest, int(lengths.max(initial=0))), 0, -1):
            long_enough = pending[lengths[pending] >= length]
            if not len(long_enough):
                continue
            prefix = kept_bytes(low[long_enough], high[long_enough], length)
            numbers = self._numbers.find(*prefix)
            found = numbers > 0
            ids[long_enough[found]] = self._id_of_number[numbers[found]]
            taken[long_enough[found]] = length
            pending = pending[taken[pending] == 0]
        return ids, taken


def _without_first(low: Keys, high: Keys, taken: Positions) -> tuple[Keys, Keys]:
    """Remove the first `taken` bytes, 1 to 15, of each key."""
    bits = (8 * taken).astype(np.uint64)
    over = bits >= 64
    low, high = np.where(over, high, low), np.where(over, np.uint64(0), high)
    bits = bits & np.uint64(63)
    # Shifting by 64 is undefined: shift by one less, and by one more.
    low = (low >> bits) | ((high << (np.uint64(63) - bits)) << np.uint64(1))
    return low, high >> bits
