"""Fine-tuning as a course: each step's rows, cut into micro-batches, and their loss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ...model.dropout import DropoutKey
from ...model.schedule import learning_rate, warmup_steps
from ...model.tokens import Tokens, pack_tokens
from ..randomness import KeyedRandom
from ..stage.report import Progress
from ..training.loop import MicroBatch
from .encode import Sequences
from .settings import FinetuneSettings
from .task import Outputs, Targets, Task

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """A micro-batch, and what the whole step's loss is divided by."""

    tokens: Tokens
    targets: Tensor
    step_rows: int


@dataclass(frozen=True)
class FinetuningCourse:
    """Epochs over rows that are in memory, each in an order of its own.

    An epoch's last step takes what is left, however few, and its loss is the mean over those.
    """

    task: Task
    sequences: Sequences
    targets: Targets
    settings: FinetuneSettings
    seed: int
    micro_batch_size: int
    device: torch.device

    @property
    def steps_per_epoch(self) -> int:
        """How many steps read every row once."""
        return -(-len(self.sequences) // self.settings.batch_size)

    @property
    def total_steps(self) -> int:
        """How many steps there are."""
        return self.settings.epochs * self.steps_per_epoch

    def learning_rate(self, step: int) -> float:
        """Return the rate of step `step`, counted from 0."""
        return learning_rate(
            step,
            total_steps=self.total_steps,
            peak=self.settings.learning_rate,
            warmup_steps=warmup_steps(self.total_steps, self.settings.warmup_proportion),
            schedule=self.settings.schedule,
        )

    def rows(self, step: int) -> Ints:
        """Return which rows a step reads: a function of seed, epoch and place in it alone."""
        epoch, number = divmod(step, self.steps_per_epoch)
        start = number * self.settings.batch_size
        order = _order(len(self.sequences), self.seed, epoch)
        return order[start : start + self.settings.batch_size]

    def batch(self, step: int) -> Sequence[MicroBatch[Part]]:
        """Return the step's micro-batches, longest sequences first."""
        rows = self.rows(step)
        targets = torch.from_numpy(self.targets)
        return [
            MicroBatch(
                position,
                Part(
                    tokens=_packed(self.sequences, some).to(self.device),
                    targets=targets[some].to(self.device),
                    step_rows=len(rows),
                ),
            )
            for position, some in by_length(self.sequences.lengths, rows, self.micro_batch_size)
        ]

    def loss(
        self, model: torch.nn.Module, micro_batch: MicroBatch[Part], key: DropoutKey
    ) -> tuple[Tensor, dict[str, Tensor | float]]:
        """Return this part of the mean loss over the step's rows."""
        part = micro_batch.inputs
        outputs: Tensor = model(part.tokens, key)
        return self.task.loss_sum(outputs, part.targets) / part.step_rows, {
            "rows": float(len(part.targets)),
            "tokens": float(part.tokens.num_tokens),
        }


@torch.no_grad()
def predict(
    model: torch.nn.Module,
    sequences: Sequences,
    *,
    micro_batch_size: int,
    device: torch.device,
    progress: Progress | None = None,
) -> Outputs:
    """Return what the model says of each sequence, in their order: (N, …) float32."""
    model.eval()
    rows, outputs = [], []
    for _, some in by_length(sequences.lengths, np.arange(len(sequences)), micro_batch_size):
        rows.append(some)
        outputs.append(model(_packed(sequences, some).to(device)).cpu().numpy())
        if progress is not None:
            progress.advance(len(some))
    return np.concatenate(outputs)[np.argsort(np.concatenate(rows))]


def by_length(lengths: Ints, rows: Ints, size: int) -> Iterator[tuple[int, Ints]]:
    """Cut rows into parts of at most `size`, longest first, with the place each begins at."""
    order = rows[np.argsort(-lengths[rows], kind="stable")]
    for start in range(0, len(order), size):
        yield start, order[start : start + size]


@lru_cache(maxsize=2)
def _order(num_rows: int, seed: int, epoch: int) -> Ints:
    return KeyedRandom(seed, "order", epoch).permutation(num_rows)


def _packed(sequences: Sequences, rows: Ints) -> Tokens:
    input_ids, lengths, segment_a_lengths = (torch.from_numpy(e) for e in sequences.rows(rows))
    return pack_tokens(input_ids, lengths, segment_a_lengths)
