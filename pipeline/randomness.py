"""Keyed randomness: what is drawn depends on the key alone, never on who drew something before."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

_UNIT = 2.0**-53


class KeyedRandom:
    """A counter-based generator (Philox) keyed by a seed, a purpose and a unit of work.

    Only the raw bits come from numpy, whose distributions may change between versions; what is
    made of them is written here, so the same key gives the same bytes for good.
    """

    def __init__(self, seed: int, *key: str | int) -> None:
        digest = hashlib.blake2b(repr((seed, *key)).encode(), digest_size=16).digest()
        self._generator = np.random.Philox(key=int.from_bytes(digest, "little"))

    def bits(self, count: int) -> npt.NDArray[np.uint64]:
        """Return `count` words of 64 independent fair bits."""
        return self._generator.random_raw(count)

    def uniform(self, count: int) -> npt.NDArray[np.float64]:
        """Return `count` numbers in [0, 1), multiples of 2**-53."""
        return np.multiply(self.bits(count) >> np.uint64(11), _UNIT, dtype=np.float64)

    def coins(self, count: int) -> npt.NDArray[np.bool_]:
        """Return `count` tosses of a fair coin."""
        words = self.bits(-(-count // 64)).astype("<u8", copy=False)
        return np.unpackbits(words.view(np.uint8), count=count).view(np.bool_)

    def below(self, bounds: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return a whole number in [0, bound) for each of the bounds, none above 2**32.

        Made of 32 bits: no number's chance is off by as much as 2**-32.
        """
        words = self.bits(-(-len(bounds) // 2)).astype("<u8", copy=False)
        drawn = words.view("<u4")[: len(bounds)]
        return ((drawn * bounds.astype(np.uint64)) >> np.uint64(32)).astype(np.int64)

    def binomial_half(self, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return how many of `count` fair coins came up heads, for each of the counts."""
        words = -(-int(counts.max(initial=0)) // 64)
        coins = self.bits(words * len(counts)).reshape(len(counts), words)
        tossed = np.clip(counts[:, None] - 64 * np.arange(words), 0, 64).astype(np.uint64)
        # Shifting by 64 is undefined: shift twice by what is left of it.
        unused = np.uint64(64) - tossed
        kept = (coins >> (unused >> np.uint64(1))) >> (unused - (unused >> np.uint64(1)))
        return np.bitwise_count(kept).sum(axis=1, dtype=np.int64)

    def permutation(self, count: int) -> npt.NDArray[np.int64]:
        """Return the numbers 0 … count - 1 in a random order."""
        # Each number rides in the low bits of its own key: numbers sort faster than places do.
        riders = np.uint64((1 << count.bit_length()) - 1)
        keys = self.bits(count) & ~riders | np.arange(count, dtype=np.uint64)
        return (np.sort(keys) & riders).astype(np.int64)


def mixed(values: npt.NDArray[np.uint64], seed: int, *key: str | int) -> npt.NDArray[np.uint64]:
    """Return each value's 64-bit keyed hash: a bijection of it (the finaliser of splitmix64)."""
    digest = hashlib.blake2b(repr((seed, *key)).encode(), digest_size=8).digest()
    h = values + np.frombuffer(digest, np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        h = (h ^ (h >> np.uint64(shift))) * np.uint64(factor)
    return h ^ (h >> np.uint64(31))
