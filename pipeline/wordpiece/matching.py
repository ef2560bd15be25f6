"""Cut short normalised words into their longest pieces, thousands at a time, in numpy.

What `tokenizers` does to a word (its longest prefix in the vocabulary, then the longest `##` piece
of the rest, and so on) is done here to all words at once: W words, given as keys, P pieces. Bytes
do for characters, of which none begins as another does.
"""

from __future__ import annotations

import string

import numpy as np
import numpy.typing as npt

from .numbering import Keys, WordNumbers, bytes_of, kept_bytes, keys_of_lines, lengths_of
from .vocabulary import CONTINUATION, Vocabulary

Ids = npt.NDArray[np.unsignedinteger]
Counts = npt.NDArray[np.int64]
Positions = npt.NDArray[np.int64]

_IS_PLAIN = np.zeros(256, bool)
_IS_PLAIN[[0, *(string.ascii_letters + string.digits + string.punctuation).encode()]] = True
"""By byte; a zero stands after the end of a key."""

_BEGINNING_BYTES = 4
_BEGINNING = np.uint64((1 << 8 * _BEGINNING_BYTES) - 1)
_BEGINNING_BITS = 18
_MULTIPLY = np.uint64(0xD1342543DE82EF95)  # odd, and its products spread well, as in `numbering`


class PieceMatcher:
    """Knows the pieces that words of at most 16 bytes can be made of."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._unk_id = vocabulary.unk_id
        self._id_dtype = vocabulary.id_dtype
        continues = vocabulary.is_continuation
        pieces = (
            token[len(CONTINUATION) :] if more else token
            for token, more in zip(vocabulary.tokens, continues.tolist(), strict=True)
        )
        keys, fits = keys_of_lines("".join(f"{piece}\n" for piece in pieces).encode())
        self._first, self._next = (
            _Pieces(keys[which], np.flatnonzero(which))
            for which in (fits & ~continues, fits & continues)
        )

    def cut(self, keys: Keys) -> tuple[Ids, Counts]:
        """Return all pieces in a row (P,) and how many each word has (W,): `[UNK]` where none fits.

        All words are normalised already, and none is empty.
        """
        counts = np.zeros(len(keys), np.int64)
        rounds: list[tuple[Positions, Positions]] = []
        unknown = np.zeros(len(keys), bool)
        words, left, pieces = np.arange(len(keys)), lengths_of(keys), self._first
        while len(words):
            ids, taken = pieces.longest_prefixes(keys, left)
            fits = taken > 0
            unknown[words[~fits]] = True
            counts[words] += 1
            rounds.append((words, ids))
            goes_on = np.flatnonzero(fits & (taken < left))
            words, left = words[goes_on], (left - taken)[goes_on]
            keys = _without_first(keys[goes_on], taken[goes_on])
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


def are_plain(keys: Keys) -> npt.NDArray[np.bool_]:
    """Tell for each key whether normalisation leaves its word alone: (W,) bool.

    That is ASCII letters and digits, lower-cased already if they need be, or one ASCII mark: the
    library cuts around each mark, so no raw word holds one beside anything else.
    """
    return np.logical_and.reduce(_IS_PLAIN[bytes_of(keys)], axis=1)


class _Pieces:
    """Pieces, given as keys, and the id of each."""

    def __init__(self, keys: Keys, ids: Positions) -> None:
        self._numbers = WordNumbers(max(2, 1 << (2 * len(ids)).bit_length()))
        found, _ = self._numbers.number_keys(keys)
        self._id_of_number = np.zeros(len(ids) + 1, np.int64)
        self._id_of_number[found] = ids
        self._longest = np.full(1 << _BEGINNING_BITS, _BEGINNING_BYTES - 1)
        np.maximum.at(self._longest, _beginnings(keys), lengths_of(keys))

    def longest_prefixes(
        self, keys: Keys, lengths: Positions
    ) -> tuple[npt.NDArray[np.int64], Positions]:
        """Return the id of each word's longest prefix, and its bytes: 0 where none is a piece."""
        ids, taken = np.zeros(len(keys), np.int64), np.zeros(len(keys), np.int64)
        # From the length of the longest piece that begins as the word does, down.
        left = np.minimum(lengths, self._longest.take(_beginnings(keys)))
        pending = np.arange(len(keys))
        while len(pending):
            numbers = self._numbers.find(kept_bytes(keys, left))
            found = np.flatnonzero(numbers)
            words = pending.take(found)
            ids[words] = self._id_of_number.take(numbers.take(found))
            taken[words] = left.take(found)
            others = np.flatnonzero((numbers == 0) & (left > 1))
            pending, keys = pending.take(others), keys.take(others, axis=0)
            left = left.take(others) - 1
        return ids, taken


def _beginnings(keys: Keys) -> Positions:
    """Return a number for the first bytes of each key; few others have the same."""
    mixed = (keys[:, 0] & _BEGINNING) * _MULTIPLY
    return (mixed >> np.uint64(64 - _BEGINNING_BITS)).view(np.int64)


def _without_first(keys: Keys, taken: Positions) -> Keys:
    """Remove the first `taken` bytes, 1 to 15, of each key."""
    low, high = keys.T
    bits = (8 * taken).astype(np.uint64)
    over = bits >= 64
    low, high = np.where(over, high, low), np.where(over, np.uint64(0), high)
    bits = bits & np.uint64(63)
    # Shifting by 64 is undefined: shift by one less, and by one more.
    low = (low >> bits) | ((high << (np.uint64(63) - bits)) << np.uint64(1))
    return np.stack((low, high >> bits), axis=1)
