"""Number the distinct words of a stream: a hash table in numpy, exact, some 10 ns a word."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .words import Positions, Words

Keys = npt.NDArray[np.uint64]
"""Words as numbers, (W, 2): a word's first 8 bytes, then the next 8, zeros after its last."""
Numbers = npt.NDArray[np.int32]

CAPACITY = 1 << 20
"""Words remembered until all are forgotten. 1 GB of English has about as many, and in scripts
without spaces, where a word rarely comes back, more would help nobody."""

_NONE = 0
_SLOTS_PER_WORD = 2
_MAX_LONG_BYTES = 1 << 25

# A word of up to 16 bytes is its own key, so that equal keys are equal words. A longer one has its
# place in a dictionary and, instead of bytes 9 to 16, what UTF-8 never holds.
KEY_BYTES = 16
_IS_LONG = 0xFFFF_FFFF_FFFF_FFFF
_KEEP_BYTES = np.array(
    [divmod((1 << 8 * length) - 1, 1 << 64)[::-1] for length in range(KEY_BYTES + 1)], np.uint64
)

# Odd multipliers whose products spread well (Steele and Vigna 2021, "Computationally easy,
# spectrally good multipliers"); any such would do.
_MULTIPLY_LOW = np.uint64(0xD1342543DE82EF95)
_MULTIPLY_HIGH = np.uint64(0xAF251AF3B0F025B5)


class WordNumbers:
    """Gives each distinct word a number: 1, 2, 3 … roughly in the order of their first sight.

    Room for `capacity` words is fixed, which bounds the memory (about 24 bytes a word) and keeps
    the tables shared between processes that fork after they are filled.
    """

    def __init__(self, capacity: int) -> None:
        assert capacity & capacity - 1 == 0, "a power of two"
        self.capacity = capacity
        self._shift = np.uint64(64 - (capacity * _SLOTS_PER_WORD).bit_length() + 1)
        self.clear()

    def clear(self) -> None:
        """Forget all words."""
        self.num_words = 0
        self._number_in_slot = np.zeros(self.capacity * _SLOTS_PER_WORD, np.int32)
        # What is never written takes no memory. Number 0 has the key of no word.
        self._key = np.empty((self.capacity + 1, 2), np.uint64)
        self._key[_NONE] = 0
        self._long_words: dict[bytes, int] = {}
        self._long_bytes = 0

    def has_room_for(self, num_words: int) -> bool:
        """Whether that many words more can be numbered, should they all be new."""
        return self.num_words + num_words <= self.capacity and self._long_bytes <= _MAX_LONG_BYTES

    def number(self, words: Words) -> tuple[Numbers, Positions]:
        """Return each word's number, and where a word of each new number stands: (W,), (K,).

        The new numbers are consecutive and follow all earlier ones.
        """
        assert self.has_room_for(len(words.starts))
        return self.number_keys(self._keys(words))

    def number_keys(self, keys: Keys) -> tuple[Numbers, Positions]:
        """Do what `number` does for words given as keys."""
        numbers = self.find(keys)
        missing = np.flatnonzero(numbers == _NONE)
        if not len(missing):
            return numbers, missing
        numbers[missing], new = self._add(keys[missing])
        return numbers, missing[new]

    def _keys(self, words: Words) -> Keys:
        # This is too long by the zeros after a word, which are none of its bytes.
        lengths = words.stops - words.starts
        keys = keys_at(words.text, words.starts, lengths)
        long = np.flatnonzero(lengths > KEY_BYTES)
        long = long[words.text[words.starts[long] + KEY_BYTES] != 0]
        for index, word in zip(long.tolist(), words.select(long).to_list(), strict=True):
            if word not in self._long_words:
                self._long_words[word] = len(self._long_words)
                self._long_bytes += len(word)
            keys[index] = self._long_words[word], _IS_LONG
        return keys

    def _home(self, keys: Keys) -> Positions:
        """Return the slot where the search for a word begins: the best mixed bits, the upper."""
        mixed = keys[:, 0] * _MULTIPLY_LOW
        mixed += keys[:, 1] * _MULTIPLY_HIGH
        mixed >>= self._shift
        return mixed.view(np.int64)

    def _differ(self, numbers: Numbers, keys: Keys) -> npt.NDArray[np.bool_]:
        halves_differ = self._key.take(numbers, axis=0) != keys
        return halves_differ.view(np.uint16).ravel() != 0

    def _next(self, slots: Positions) -> Positions:
        return (slots + 1) & (len(self._number_in_slot) - 1)

    def keys_from(self, number: int) -> Keys:
        """Return the keys of all words from this number on."""
        return self._key[number : self.num_words + 1]

    def find(self, keys: Keys) -> Numbers:
        """Return each word's number, or 0."""
        slots = self._home(keys)
        numbers = self._number_in_slot.take(slots)
        pending = np.flatnonzero(self._differ(numbers, keys))
        slots = slots.take(pending)
        found = numbers.take(pending)
        while True:
            # Another word sits in the slot: ours may be in the next one, up to the first free.
            goes_on = np.flatnonzero(found)
            if not len(goes_on):
                return numbers
            pending, slots = pending.take(goes_on), self._next(slots.take(goes_on))
            numbers[pending] = found = self._number_in_slot.take(slots)
            others = np.flatnonzero(self._differ(found, keys.take(pending, axis=0)))
            pending, slots, found = pending.take(others), slots.take(others), found.take(others)

    def _add(self, keys: Keys) -> tuple[Numbers, Positions]:
        """Number words that are not there, each perhaps repeated; also return the new ones."""
        slots = self._home(keys)
        numbers = np.zeros(len(keys), np.int32)
        pending = np.arange(len(keys))
        firsts: list[Positions] = []
        while len(pending):
            # Each word puts its claim into its slot if that is free; of several the last stays.
            at = slots[pending]
            free = np.flatnonzero(self._number_in_slot[at] == _NONE)
            claims = (-1 - free).astype(np.int32)
            self._number_in_slot[at[free]] = claims
            won = free[self._number_in_slot[at[free]] == claims]
            new = np.arange(1, len(won) + 1, dtype=np.int32) + np.int32(self.num_words)
            self.num_words += len(won)
            self._number_in_slot[at[won]] = new
            self._key[new] = keys[pending[won]]
            firsts.append(pending[won])
            # Winners and their equals are done, the others go on to the next slot.
            found = self._number_in_slot[at]
            other = self._differ(found, keys[pending])
            numbers[pending] = found
            pending = pending[other]
            slots[pending] = self._next(slots[pending])
        return numbers, np.concatenate(firsts)


def keys_at(text: npt.NDArray[np.uint8], starts: Positions, lengths: Positions) -> Keys:
    """Return the first 16 bytes of each word in a text that goes on for 16 bytes more."""
    # A view in which element i is the 16 bytes from i on: of that size numpy has this type.
    windows = np.ndarray(len(text) - KEY_BYTES + 1, np.complex128, text, strides=(1,))
    keys = windows[starts].view("<u8").reshape(-1, 2)
    keys &= _KEEP_BYTES.take(lengths, axis=0, mode="clip")
    return keys


def keys_of_lines(lines: bytes) -> tuple[Keys, npt.NDArray[np.bool_]]:
    """Return the keys of words, each with a line end after it, and which of them a key can hold.

    It can't hold an empty word, nor one of more than 16 bytes or with a zero among them.
    """
    text = np.frombuffer(lines + bytes(KEY_BYTES), np.uint8)
    ends = np.flatnonzero(text == ord("\n"))
    starts = np.append(0, ends + 1)[:-1]
    lengths = ends - starts
    keys = keys_at(text, starts, lengths)
    return keys, (lengths > 0) & (lengths_of(keys) == lengths)


def bytes_of(keys: Keys) -> npt.NDArray[np.uint8]:
    """Return the same keys byte by byte: (W, 16)."""
    return keys.view(np.uint8)


def lengths_of(keys: Keys) -> Positions:
    """Return how many bytes each key has: (W,) int64. No word holds a zero byte."""
    return np.count_nonzero(bytes_of(keys), axis=1)


def kept_bytes(keys: Keys, lengths: Positions) -> Keys:
    """Keep the first so many bytes of each key, 0 to 16."""
    return keys & _KEEP_BYTES.take(lengths, axis=0)
