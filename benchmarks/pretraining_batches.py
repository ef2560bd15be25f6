"""What the benchmark of a pretraining step trains on: read as a run reads shards, or drawn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from bertctl.model.config import Objective
from bertctl.model.tokens import PretrainingBatch
from bertctl.pipeline.pretrain.course import deal, pack
from bertctl.pipeline.pretrain.instances import Instances, Ints
from bertctl.pipeline.pretrain.order import Order
from bertctl.pipeline.pretrain.reading import Shard, ShardSet
from bertctl.pipeline.training.place import Place

OBJECTIVE: Objective = "mlm+nsp"


class Source(Protocol):
    """Instances by step; rows are numbers that mean something to their source only."""

    def rows(self, step: int) -> Ints: ...

    def sizes(self, rows: Ints) -> tuple[Ints, Ints]: ...

    def read(self, rows: Ints) -> Instances: ...


class Shards:
    """The training shards of one directory, in the order of a run."""

    def __init__(self, directory: Path, batch_size: int) -> None:
        paths = sorted(directory.glob("train-*.arrow"))
        sizes = [len(Shard(path)) for path in paths]
        shards = ShardSet(paths, sizes)
        self.sizes, self.read = shards.sizes, shards.read
        self._order = Order([sum(sizes)], seed=1)
        self._batch_size = batch_size

    def rows(self, step: int) -> Ints:
        return self._order.rows(np.arange(self._batch_size) + step * self._batch_size)


class Drawn:
    """Lengths as shards of English have them: four fifths full, the rest any shorter."""

    def __init__(self, batch_size: int, *, max_seq_length: int, vocab_size: int) -> None:
        self._batch_size, self._max_seq_length = batch_size, max_seq_length
        self._vocab_size = vocab_size
        self._instances = self._draw(0)

    def rows(self, step: int) -> Ints:
        self._instances = self._draw(step)
        return np.arange(self._batch_size)

    def sizes(self, rows: Ints) -> tuple[Ints, Ints]:
        return self._instances.lengths[rows], self._instances.num_masked[rows]

    def read(self, rows: Ints) -> Instances:
        return self._instances.take(rows)

    def _draw(self, step: int) -> Instances:
        random = np.random.default_rng(step)
        longest = self._max_seq_length
        lengths = np.where(
            random.random(self._batch_size) < 0.2,
            random.integers(8, longest, self._batch_size),
            longest,
        )
        num_masked = np.maximum(1, np.round(lengths * 0.15)).astype(np.int64)
        positions = [
            np.sort(random.permutation(length - 1)[:count]) + 1
            for length, count in zip(lengths.tolist(), num_masked.tolist(), strict=True)
        ]
        return Instances(
            input_ids=random.integers(1000, self._vocab_size, lengths.sum()),
            lengths=lengths,
            segment_a_lengths=lengths // 2,
            masked_lm_positions=np.concatenate(positions),
            masked_lm_ids=random.integers(1000, self._vocab_size, num_masked.sum()),
            num_masked=num_masked,
            next_sentence_labels=random.integers(0, 2, self._batch_size),
        )


def max_seq_length_of(shards: Path) -> int:
    recipe = json.loads((shards / "recipe.json").read_text())
    return recipe["what"]["max_seq_length"]


def packed(source: Source, rows: Ints, size: int) -> list[tuple[int, PretrainingBatch]]:
    """Read micro-batches as `bertctl pretrain` does: where each begins, and its packed rows."""
    lengths, _ = source.sizes(rows)
    parts = deal(lengths, size, Place())
    instances = source.read(rows[np.concatenate([part for _, part in parts])])
    return [
        (position, pack(each, OBJECTIVE))
        for (position, _), each in zip(parts, instances.cut(size), strict=True)
    ]


def padded(source: Source, rows: Ints, size: int, length: int) -> list[dict[str, Tensor]]:
    """Read micro-batches as a data collator makes them: (B, S) each; labels are -100 elsewhere."""
    return [_pad(each, length) for each in source.read(rows).cut(size)]


def _pad(instances: Instances, length: int) -> dict[str, Tensor]:
    positions = np.arange(length)
    real = positions < instances.lengths[:, None]
    input_ids = np.zeros(real.shape, np.int64)
    input_ids[real] = instances.input_ids
    labels = np.full(real.shape, -100)
    sequence = np.arange(len(instances)).repeat(instances.num_masked)
    labels[sequence, instances.masked_lm_positions] = instances.masked_lm_ids
    assert instances.next_sentence_labels is not None
    columns = {
        "input_ids": input_ids,
        "attention_mask": real,
        "token_type_ids": (positions >= instances.segment_a_lengths[:, None]) & real,
        "labels": labels,
        "next_sentence_label": instances.next_sentence_labels,
    }
    return {name: torch.from_numpy(each.astype(np.int64)) for name, each in columns.items()}
