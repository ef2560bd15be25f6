"""Pretraining as a course: each step's instances, cut into micro-batches, and their joint loss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...model.dropout import DropoutKey
from ...model.pretraining import BertForPreTraining, PretrainingSums
from ...model.schedule import learning_rate
from ...model.tokens import PretrainingBatch, pack_pretraining_batch
from ..training.loop import MicroBatch
from .order import Order
from .reading import Instances, Integers, ShardSet
from .settings import PretrainSettings


@dataclass(frozen=True)
class Part:
    """A micro-batch, and what the whole step's sums are divided by."""

    batch: PretrainingBatch
    step_masked: int
    step_instances: int


@dataclass(frozen=True)
class PretrainingCourse:
    """Steps over a corpus: step s reads the instances from s · batch_size on."""

    shards: ShardSet
    order: Order
    settings: PretrainSettings
    total_steps: int
    micro_batch_size: int
    device: torch.device

    @property
    def seed(self) -> int:
        """What keys the dropout."""
        return self.settings.seed

    def learning_rate(self, step: int) -> float:
        """Return the rate of step `step`, counted from 0."""
        return learning_rate(
            step,
            total_steps=self.total_steps,
            peak=self.settings.learning_rate,
            warmup_proportion=self.settings.warmup_proportion,
            schedule=self.settings.schedule,
        )

    def batch(self, step: int) -> Sequence[MicroBatch[Part]]:
        """Return the step's micro-batches, longest instances first."""
        size = self.settings.batch_size
        positions = np.arange(step * size, (step + 1) * size)
        instances = self.shards.read(self.order.rows(positions))
        masked = len(instances.masked_lm_ids)
        return [
            MicroBatch(start, Part(batch.to(self.device), masked, size))
            for start, batch in micro_batches(instances, self.micro_batch_size)
        ]

    def loss(
        self, model: torch.nn.Module, micro_batch: MicroBatch[Part], key: DropoutKey
    ) -> tuple[Tensor, dict[str, Tensor | float]]:
        """Return this part of masked-token loss plus next-sentence loss, each over the step."""
        part = micro_batch.inputs
        sums: PretrainingSums = model(part.batch, key)
        mlm_loss = sums.mlm_loss_sum / part.step_masked
        nsp_loss = sums.nsp_loss_sum / part.step_instances
        return mlm_loss + nsp_loss, {
            "mlm_loss": mlm_loss.detach(),
            "nsp_loss": nsp_loss.detach(),
            "mlm_accuracy": sums.mlm_correct / part.step_masked,
            "nsp_accuracy": sums.nsp_correct / part.step_instances,
            "tokens": float(part.batch.tokens.num_tokens),
        }


def micro_batches(instances: Instances, size: int) -> Iterator[tuple[int, PretrainingBatch]]:
    """Cut instances into micro-batches, longest first, with the place each begins at."""
    order = np.argsort(-instances.lengths, kind="stable")
    for start in range(0, len(order), size):
        yield start, _packed(instances.take(order[start : start + size]))


@torch.no_grad()
def evaluate(
    model: BertForPreTraining, instances: Instances, *, micro_batch_size: int, device: torch.device
) -> dict[str, float]:
    """Return held-out losses in nats and accuracies, masked tokens and next sentence apart."""
    model.eval()
    totals = np.zeros(4)
    for _, batch in micro_batches(instances, micro_batch_size):
        sums: PretrainingSums = model(batch.to(device))
        totals += [
            float(sums.mlm_loss_sum),
            float(sums.mlm_correct),
            float(sums.nsp_loss_sum),
            float(sums.nsp_correct),
        ]
    masked = len(instances.masked_lm_ids)
    mlm_loss, mlm_correct, nsp_loss, nsp_correct = totals.tolist()
    return {
        "mlm_loss": mlm_loss / masked,
        "mlm_accuracy": mlm_correct / masked,
        "nsp_loss": nsp_loss / len(instances),
        "nsp_accuracy": nsp_correct / len(instances),
    }


def baselines(instances: Instances) -> dict[str, float]:
    """Return what a model scores that knows word frequencies only, and one that tosses a coin."""
    _, counts = np.unique(instances.masked_lm_ids, return_counts=True)
    shares = counts / counts.sum()
    return {
        "mlm_loss": float(-(shares * np.log(shares)).sum()),
        "mlm_accuracy": float(shares.max()),
        "nsp_loss": float(np.log(2)),
        "nsp_accuracy": 0.5,
    }


def _packed(instances: Instances) -> PretrainingBatch:
    return pack_pretraining_batch(
        _tensor(instances.input_ids),
        _tensor(instances.lengths),
        _tensor(instances.segment_a_lengths),
        masked_lm_positions=_tensor(instances.masked_lm_positions),
        masked_lm_ids=_tensor(instances.masked_lm_ids),
        num_masked=_tensor(instances.num_masked),
        next_sentence_labels=_tensor(instances.next_sentence_labels),
    )


def _tensor(values: Integers) -> Tensor:
    return torch.from_numpy(values.astype(np.int64))
