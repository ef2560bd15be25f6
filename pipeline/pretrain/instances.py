"""Instances in memory: flat numpy columns, taken, cut and unmasked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..randomness import KeyedRandom

Ints = npt.NDArray[np.int64]
Integers = npt.NDArray[np.integer]


@dataclass(frozen=True)
class Instances:
    """I instances, their columns one after another, in the types that shards have.

    `input_ids`: (T,); `segment_a_lengths`: (I,); `masked_lm_positions`, `masked_lm_ids`: (M,);
    `next_sentence_labels`: (I,). `lengths`, `num_masked`: (I,) int64, tokens and masked ones of
    each.
    """

    input_ids: Integers
    lengths: Ints
    segment_a_lengths: Integers
    masked_lm_positions: Integers
    masked_lm_ids: Integers
    num_masked: Ints
    next_sentence_labels: Integers | None
    """None where the shards have no such column."""

    def __len__(self) -> int:
        return len(self.lengths)

    def take(self, order: Ints) -> Instances:
        """Return the instances `order` names, in that order."""
        labels = self.next_sentence_labels
        masked = offsets_of(self.num_masked)
        return Instances(
            input_ids=ragged(self.input_ids, offsets_of(self.lengths), order),
            lengths=self.lengths[order],
            segment_a_lengths=self.segment_a_lengths[order],
            masked_lm_positions=ragged(self.masked_lm_positions, masked, order),
            masked_lm_ids=ragged(self.masked_lm_ids, masked, order),
            num_masked=self.num_masked[order],
            next_sentence_labels=None if labels is None else labels[order],
        )

    def cut(self, size: int) -> Iterator[Instances]:
        """Yield parts of `size` instances, without a copy; the last may have fewer."""
        tokens, masked = offsets_of(self.lengths), offsets_of(self.num_masked)
        labels = self.next_sentence_labels
        for first in range(0, len(self), size):
            last = min(first + size, len(self))
            of_token = slice(tokens[first], tokens[last])
            of_masked = slice(masked[first], masked[last])
            yield Instances(
                input_ids=self.input_ids[of_token],
                lengths=self.lengths[first:last],
                segment_a_lengths=self.segment_a_lengths[first:last],
                masked_lm_positions=self.masked_lm_positions[of_masked],
                masked_lm_ids=self.masked_lm_ids[of_masked],
                num_masked=self.num_masked[first:last],
                next_sentence_labels=None if labels is None else labels[first:last],
            )

    def unmasked(self) -> Instances:
        """Return the same instances as they were before anything was masked."""
        nothing = self.masked_lm_positions[:0]
        return replace(
            self._with_originals(np.ones(len(self.masked_lm_ids), np.bool_)),
            masked_lm_positions=nothing,
            masked_lm_ids=self.masked_lm_ids[:0],
            num_masked=np.zeros_like(self.num_masked),
        )

    def masked_at_most(self, prob: float, *, seed: int) -> Instances:
        """Return the same instances with no more than that share of each one's tokens masked.

        Which masks stay is drawn from the seed; where the others were, the text is put back.
        """
        most = np.maximum(1, np.round(self.lengths * prob)).astype(np.int64)
        starts = offsets_of(self.num_masked)[:-1]
        instance = np.repeat(np.arange(len(self)), self.num_masked)
        draws = KeyedRandom(seed, "fewer masks").bits(len(instance))
        ranked = np.lexsort((draws, instance))
        place = np.empty_like(ranked)
        place[ranked] = np.arange(len(ranked)) - starts[instance]
        stays = place < most[instance]
        return replace(
            self._with_originals(~stays),
            masked_lm_positions=self.masked_lm_positions[stays],
            masked_lm_ids=self.masked_lm_ids[stays],
            num_masked=np.minimum(self.num_masked, most),
        )

    def _with_originals(self, which: npt.NDArray[np.bool_]) -> Instances:
        """Put back what stood at some of the masked positions."""
        starts = np.repeat(offsets_of(self.lengths)[:-1], self.num_masked)
        input_ids = self.input_ids.copy()
        input_ids[(starts + self.masked_lm_positions)[which]] = self.masked_lm_ids[which]
        return replace(self, input_ids=input_ids)

    @classmethod
    def joined(cls, parts: Sequence[Instances]) -> Instances:
        """Join instances one after another."""
        columns: dict[str, list[Any]] = {
            name: [getattr(part, name) for part in parts] for name in cls.__annotations__
        }
        joined: dict[str, Any] = {
            name: None if each[0] is None else np.concatenate(each)
            for name, each in columns.items()
        }
        return cls(**joined)


def offsets_of(lengths: Ints) -> Ints:
    """Return between which places each of such many values stands, one after another."""
    return np.concatenate(([0], np.cumsum(lengths)))


def lengths_of(offsets: Integers, rows: Ints) -> Ints:
    """Return how many values some rows have."""
    return (offsets[rows + 1] - offsets[rows]).astype(np.int64)


def ragged(values: Integers, offsets: Integers, rows: Ints) -> Integers:
    """Gather the values of some rows, one row after another.

    A copy for each row is many times cheaper than an index for each value.
    """
    starts = offsets[rows].astype(np.int64) * values.itemsize
    stops = offsets[rows + 1].astype(np.int64) * values.itemsize
    raw = values.view(np.uint8).data
    runs = zip(starts.tolist(), stops.tolist(), strict=True)
    return np.frombuffer(b"".join([raw[start:stop] for start, stop in runs]), values.dtype)
