"""Pretraining as a course: each step's instances, cut into micro-batches, and their joint loss."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ...model.config import BertConfig, Objective
from ...model.dropout import DropoutKey
from ...model.flops import training_step_flops
from ...model.pretraining import PretrainingSums
from ...model.schedule import learning_rate
from ...model.tokens import PretrainingBatch, pack_causal_batch, pack_pretraining_batch
from ..errors import BadInput
from ..training.loop import MicroBatch
from ..training.place import Place
from .instances import Instances, Integers, Ints
from .order import Order
from .reading import ShardSet
from .settings import PretrainSettings

_DOCUMENTS_NAMED = 12


@dataclass(frozen=True)
class Part:
    """A micro-batch, and what the whole step's sums are divided by."""

    batch: PretrainingBatch
    sum_squared_lengths: int
    step_predicted: int
    """Tokens that the whole step predicts."""
    step_instances: int


@dataclass(frozen=True)
class Reading:
    """A stretch of steps over one directory of shards: from `begin` up to before `end`."""

    shards: ShardSet
    order: Order
    begin: int
    end: int
    micro_batch_size: int

    def rows(self, step: int, batch_size: int) -> Ints:
        """Return which rows a step reads, (batch_size,)."""
        first = (step - self.begin) * batch_size
        return self.order.rows(np.arange(first, first + batch_size))


@dataclass(frozen=True)
class PretrainingCourse:
    """Steps over one corpus after another; a step's batch is the same on any number of processes.

    All processes cut it into the same micro-batches, and deal those out among them.
    """

    readings: Sequence[Reading]
    settings: PretrainSettings
    config: BertConfig
    objective: Objective
    total_steps: int
    warmup_steps: int
    device: torch.device
    place: Place = field(default_factory=Place)

    @property
    def seed(self) -> int:
        """What keys the dropout."""
        return self.settings.seed

    @property
    def figures(self) -> Sequence[str]:
        """Names of the figures that `loss` gives."""
        return ("mlm_loss", "mlm_accuracy", "nsp_loss", "nsp_accuracy", "tokens", "flops")

    @property
    def has_pairs(self) -> bool:
        """Whether the second segment's label is learnt too."""
        return has_pairs(self.objective)

    def learning_rate(self, step: int) -> float:
        """Return the rate of step `step`, counted from 0."""
        return learning_rate(
            step,
            total_steps=self.total_steps,
            peak=self.settings.learning_rate,
            warmup_steps=self.warmup_steps,
            schedule=self.settings.schedule,
        )

    def reading(self, step: int) -> Reading:
        """Return what step `step` reads."""
        return next(each for each in self.readings if step < each.end)

    def epoch_at(self, step: int) -> float:
        """Return how many passes over the corpora lie before a step."""
        return sum(
            each.order.epoch_at(max(0, min(step, each.end) - each.begin) * self.settings.batch_size)
            for each in self.readings
        )

    def batch(self, step: int) -> Sequence[MicroBatch[Part]]:
        """Return this process's micro-batches; longest instances first."""
        reading = self.reading(step)
        rows = reading.rows(step, self.settings.batch_size)
        lengths, num_masked = reading.shards.sizes(rows)
        predicted = int(np.sum(lengths - 1) if self.objective == "causal" else num_masked.sum())
        parts = deal(lengths, reading.micro_batch_size, self.place)
        if not parts:
            return []
        instances = reading.shards.read(rows[np.concatenate([part for _, part in parts])])
        self._refuse_unknown_tokens(reading, instances)
        # All parts but the very last of a batch are of one size.
        return [
            MicroBatch(
                position,
                Part(
                    pack(each, self.objective).to(self.device),
                    sum_squared_lengths=int((each.lengths**2).sum()),
                    step_predicted=predicted,
                    step_instances=len(rows),
                ),
            )
            for (position, _), each in zip(
                parts, instances.cut(reading.micro_batch_size), strict=True
            )
        ]

    def _refuse_unknown_tokens(self, reading: Reading, instances: Instances) -> None:
        """Raise `BadInput` for what a GPU would read beyond its table, and train on, silently."""
        highest = max(instances.input_ids.max(), instances.masked_lm_ids.max(initial=0))
        if highest >= self.config.vocab_size:
            raise BadInput(
                f"{reading.shards.directory} holds a token {highest:,}; its vocabulary ends before "
                f"{self.config.vocab_size:,}.",
                hint="Make the shards again: they aren't what their manifest says.",
            )

    def loss(
        self, model: torch.nn.Module, micro_batch: MicroBatch[Part], key: DropoutKey
    ) -> tuple[Tensor, dict[str, Tensor | float]]:
        """Return this part of masked-token loss plus next-sentence loss, each over the step."""
        part = micro_batch.inputs
        tokens = part.batch.tokens
        sums: PretrainingSums = model(part.batch, key)
        mlm_loss = sums.mlm_loss_sum / part.step_predicted
        nsp_loss = sums.nsp_loss_sum / part.step_instances
        return mlm_loss + nsp_loss, {
            "mlm_loss": mlm_loss.detach(),
            "nsp_loss": nsp_loss.detach(),
            "mlm_accuracy": sums.mlm_correct / part.step_predicted,
            "nsp_accuracy": sums.nsp_correct / part.step_instances,
            "tokens": float(tokens.num_tokens),
            "flops": float(
                training_step_flops(
                    self.config,
                    num_tokens=tokens.num_tokens,
                    sum_squared_lengths=part.sum_squared_lengths,
                    num_masked=sums.mlm_count,
                    num_sequences=sums.nsp_count,
                )
            ),
        }

    def describe(self, step: int, positions: Sequence[int]) -> str:
        """Name the documents that micro-batches were made from; all of the step's without any."""
        reading = self.reading(step)
        rows = reading.rows(step, self.settings.batch_size)
        if positions:
            cut = dict(deal(reading.shards.sizes(rows)[0], reading.micro_batch_size, Place()))
            rows = rows[np.concatenate([cut[position] for position in positions])]
        documents = reading.shards.documents(rows)
        named = ", ".join(f"{each:016x}" for each in documents[:_DOCUMENTS_NAMED])
        more = len(documents) - _DOCUMENTS_NAMED
        told = f"Its documents: {named}" + (f" and {more:,} more." if more > 0 else ".")
        place = shlex.quote(str(reading.shards.directory))
        return f"{told} To read one: bertctl inspect {place} --document {documents[0]:016x}"


def deal(lengths: Ints, size: int, place: Place) -> list[tuple[int, Ints]]:
    """Cut a batch into micro-batches, longest instances first, and deal them out in turn.

    Returns the process's own: where each begins in the batch, and which instances it has.
    """
    order = np.argsort(-lengths, kind="stable")
    parts = [(start, order[start : start + size]) for start in range(0, len(order), size)]
    return parts[place.rank :: place.size]


def has_pairs(objective: Objective) -> bool:
    """Tell whether an objective learns from the second segment's label."""
    return objective in ("mlm+nsp", "mlm+sop")


def pack(instances: Instances, objective: Objective) -> PretrainingBatch:
    """Pack a micro-batch into rows, with what is to be predicted of them."""
    if objective == "causal":
        text = instances.unmasked()
        return pack_causal_batch(
            _tensor(text.input_ids), _tensor(text.lengths), _tensor(text.segment_a_lengths)
        )
    labels = instances.next_sentence_labels
    return pack_pretraining_batch(
        _tensor(instances.input_ids),
        _tensor(instances.lengths),
        _tensor(instances.segment_a_lengths),
        masked_lm_positions=_tensor(instances.masked_lm_positions),
        masked_lm_ids=_tensor(instances.masked_lm_ids),
        num_masked=_tensor(instances.num_masked),
        next_sentence_labels=None
        if labels is None or not has_pairs(objective)
        else _tensor(labels),
    )


def _tensor(values: Integers) -> Tensor:
    return torch.from_numpy(values.astype(np.int64))
