"""Fine-tuning as a course: each step's items, cut into micro-batches, and their loss."""

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
from ..training.loop import MicroBatch, naming_micro_batches
from .settings import FinetuneSettings
from .tasks.task import Batch, Items, Outputs, Task

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """A micro-batch, and what the whole step's loss is divided by."""

    shown: Shown
    targets: Tensor
    item_of: Tensor
    num_items: int
    step_mass: float


@dataclass(frozen=True)
class Shown:
    """The sequences of some items, and which of their token rows the head is asked about."""

    tokens: Tokens
    site_rows: Tensor | None
    """(m,) int64; None where it is asked about whole sequences"""

    def to(self, device: torch.device) -> Shown:
        """Return the same on another device."""
        rows = self.site_rows
        return Shown(self.tokens.to(device), None if rows is None else rows.to(device))


@dataclass(frozen=True)
class FinetuningCourse:
    """Epochs over items that are in memory, each in an order of its own.

    An epoch's last step takes what is left, however few, and its loss is the mean over those.
    """

    task: Task
    items: Items
    numbers: Sequence[int]
    """Which row of the file each row of the items is, counted from 0"""
    settings: FinetuneSettings
    seed: int
    micro_batch_size: int
    device: torch.device

    @property
    def steps_per_epoch(self) -> int:
        """How many steps read every item once."""
        return -(-len(self.items) // self.settings.batch_size)

    @property
    def total_steps(self) -> int:
        """How many steps there are."""
        return self.settings.epochs * self.steps_per_epoch

    @property
    def figures(self) -> Sequence[str]:
        """Names of the figures that `loss` gives."""
        return ("rows", "tokens")

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
        """Return which items a step reads: a function of seed, epoch and place in it alone."""
        epoch, number = divmod(step, self.steps_per_epoch)
        start = number * self.settings.batch_size
        order = _order(len(self.items), self.seed, epoch)
        return order[start : start + self.settings.batch_size]

    def batch(self, step: int) -> Sequence[MicroBatch[Part]]:
        """Return the step's micro-batches, longest sequences first."""
        items = self.items
        rows = self.rows(step)
        mass = self.task.mass(items.targets[items.sites_of(items.sequences_of(rows))])
        parts = by_length(items.lengths, items.sizes, rows, self.micro_batch_size)
        return [MicroBatch(position, self._part(some, mass)) for position, some in parts]

    def _part(self, some: Ints, step_mass: float) -> Part:
        items = self.items
        sequences = items.sequences_of(some)
        sites = items.sites_of(sequences)
        site_counts = np.add.reduceat(
            items.num_sites[sequences], np.cumsum(items.sizes[some]) - items.sizes[some]
        )
        return Part(
            shown=_shown(items, sequences).to(self.device),
            targets=torch.from_numpy(items.targets[sites]).to(self.device),
            item_of=torch.arange(len(some))
            .repeat_interleave(torch.from_numpy(site_counts))
            .to(self.device),
            num_items=len(some),
            step_mass=step_mass,
        )

    def loss(
        self, model: torch.nn.Module, micro_batch: MicroBatch[Part], key: DropoutKey
    ) -> tuple[Tensor, dict[str, Tensor | float]]:
        """Return this part of the mean loss over what the step learns."""
        part = micro_batch.inputs
        outputs = _outputs(self.task, model, part.shown, key)
        batch = Batch(outputs, part.targets, part.item_of, part.num_items)
        # A step whose items all weigh nothing teaches nothing, rather than dividing by it.
        return self.task.loss_sum(batch) / (part.step_mass or 1.0), {
            "rows": float(part.num_items),
            "tokens": float(part.shown.tokens.num_tokens),
        }

    def describe(self, step: int, positions: Sequence[int]) -> str:
        """Name the rows that micro-batches were made from; all of the step's without any."""
        items = self.rows(step)
        parts = dict(by_length(self.items.lengths, self.items.sizes, items, self.micro_batch_size))
        some = np.concatenate([parts[each] for each in positions]) if positions else items
        rows = sorted({self.numbers[row] + 1 for row in self.items.rows[some].tolist()})
        return f"Its training rows: {', '.join(map(str, rows))}."


@naming_micro_batches()
@torch.no_grad()
def predict(
    task: Task,
    model: torch.nn.Module,
    items: Items,
    *,
    micro_batch_size: int,
    device: torch.device,
    progress: Progress | None = None,
) -> Outputs:
    """Return what the model says of each site, in their order: (M, …) float32."""
    model.eval()
    sites: list[Ints] = []
    outputs: list[Outputs] = []
    for _, some in by_length(items.lengths, items.sizes, np.arange(len(items)), micro_batch_size):
        sequences = items.sequences_of(some)
        sites.append(items.sites_of(sequences))
        said = _outputs(task, model, _shown(items, sequences).to(device), None)
        outputs.append(said.cpu().numpy())
        if progress is not None:
            progress.advance(len(some))
    return np.concatenate(outputs)[np.argsort(np.concatenate(sites))]


def by_length(lengths: Ints, sizes: Ints, items: Ints, most: int) -> Iterator[tuple[int, Ints]]:
    """Cut items into parts of at most `most` sequences, longest first, with each one's place.

    `lengths`, `sizes`: (I,) tokens of each item's longest sequence, and how many sequences it has.
    An item that has more than `most` is a part by itself.
    """
    order = items[np.argsort(-lengths[items], kind="stable")]
    ends = np.cumsum(sizes[order])
    start = done = 0
    while start < len(order):
        stop = max(start + 1, int(np.searchsorted(ends, done + most, side="right")))
        yield start, order[start:stop]
        start, done = stop, int(ends[stop - 1])


def _outputs(task: Task, model: torch.nn.Module, shown: Shown, key: DropoutKey | None) -> Tensor:
    """Return what the model says of each site (m, …)."""
    scores = task.scores(model, shown.tokens, key)
    return scores if shown.site_rows is None else scores[shown.site_rows]


def _shown(items: Items, sequences: Ints) -> Shown:
    arrays = (torch.from_numpy(each) for each in items.sequences.rows(sequences))
    tokens = pack_tokens(*arrays)
    if not len(items.sites):
        return Shown(tokens, None)
    counts = torch.from_numpy(items.num_sites[sequences])
    places = torch.from_numpy(items.sites[items.sites_of(sequences)])
    return Shown(tokens, tokens.layout.starts.repeat_interleave(counts) + places)


@lru_cache(maxsize=2)
def _order(num_items: int, seed: int, epoch: int) -> Ints:
    return KeyedRandom(seed, "order", epoch).permutation(num_items)
