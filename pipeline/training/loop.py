"""The training loop: steps, evaluations and checkpoints, the same for every task.

What differs between tasks is data: a `Course` says how many steps there are, what each one's
batch is, and what its loss is. A batch is the sum of its micro-batches however it is cut.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor

from ...model.dropout import DropoutKey
from ...model.optimiser import clip_gradients
from ..errors import Stopped, WorkFailed
from ..stage.report import Progress

Inputs = TypeVar("Inputs")
Figures = Mapping[str, float]


@dataclass(frozen=True)
class MicroBatch(Generic[Inputs]):
    """A part of a step's batch that is computed at once.

    `position` is where it begins in the batch, in instances: with the step it keys its dropout.
    """

    position: int
    inputs: Inputs


class Course(Protocol[Inputs]):
    """What is to be learnt, step by step; a pure function of the step."""

    @property
    def total_steps(self) -> int:
        """How many steps there are."""
        ...

    @property
    def seed(self) -> int:
        """What keys the dropout."""
        ...

    def learning_rate(self, step: int) -> float:
        """Return the rate of step `step`, counted from 0."""
        ...

    def batch(self, step: int) -> Sequence[MicroBatch[Inputs]]:
        """Return the micro-batches that make up step `step`."""
        ...

    def loss(
        self, model: torch.nn.Module, micro_batch: MicroBatch[Inputs], key: DropoutKey
    ) -> tuple[Tensor, dict[str, Tensor | float]]:
        """Return the micro-batch's part of the step's loss, and figures to be added up.

        The loss is already divided by the counts of the whole batch, so parts add up to it.
        """
        ...


@dataclass
class TrainingState:
    """What a checkpoint keeps: everything that changes while a model is trained."""

    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    step: int = 0
    progress: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Hooks:
    """What happens around the steps; each is asked after a step is whole."""

    after_step: Callable[[TrainingState, dict[str, float]], None]
    """Told the step's figures, summed over its micro-batches; keep it quick."""
    evaluate: Callable[[TrainingState], None]
    save: Callable[[TrainingState], None]
    should_stop: Callable[[], bool]
    """Whether someone asked to stop: the state is saved first."""
    evaluate_every: int
    save_every: int


def train(
    state: TrainingState,
    course: Course[Inputs],
    hooks: Hooks,
    *,
    clip_grad_norm: float,
    progress: Progress,
) -> None:
    """Take the steps from `state.step` to the course's end.

    Raises:
        Stopped: someone asked for it; the state is saved.
        WorkFailed: the loss or the gradient is not a number; the weights are as before that step.
    """
    while state.step < course.total_steps:
        figures = take_step(state, course, clip_grad_norm=clip_grad_norm)
        hooks.after_step(state, figures)
        ended = state.step == course.total_steps
        if ended or state.step % hooks.evaluate_every == 0:
            hooks.evaluate(state)
        stop = hooks.should_stop()
        if ended or stop or state.step % hooks.save_every == 0:
            hooks.save(state)
        progress.advance(1, **_shown(figures))
        if stop and not ended:
            raise Stopped(f"Stopped after step {state.step:,} of {course.total_steps:,}.")


def take_step(
    state: TrainingState, course: Course[Inputs], *, clip_grad_norm: float
) -> dict[str, float]:
    """Take one optimizer step over a whole batch and return its figures.

    Raises:
        WorkFailed: the loss or the gradient is not finite; nothing was changed.
    """
    begun = time.perf_counter()
    model, optimizer, step = state.model, state.optimizer, state.step
    rate = course.learning_rate(step)
    for group in optimizer.param_groups:
        group["lr"] = rate
    model.train()
    optimizer.zero_grad(set_to_none=True)
    totals: dict[str, Tensor | float] = {}
    batch = course.batch(step)
    loaded = time.perf_counter()
    for micro_batch in batch:
        key = DropoutKey(course.seed, step, micro_batch.position)
        loss, figures = course.loss(model, micro_batch, key)
        loss.backward()
        for name, value in {"loss": loss.detach(), **figures}.items():
            totals[name] = totals.get(name, 0.0) + value
    norm = float(clip_gradients(model.parameters(), clip_grad_norm))
    summed = {name: float(value) for name, value in totals.items()}
    if not (math.isfinite(norm) and math.isfinite(summed["loss"])):
        raise WorkFailed(
            f"Step {step + 1:,}: the loss is {summed['loss']} and the gradient's norm {norm}; "
            "training can't go on from there. The weights are as they were before the step.",
            hint="Lower --learning-rate, or raise --warmup-proportion; the last checkpoint stands.",
        )
    optimizer.step()
    state.step += 1
    return {
        **summed,
        "learning_rate": rate,
        "gradient_norm": norm,
        "seconds": time.perf_counter() - begun,
        "loading_seconds": loaded - begun,
    }


def _shown(figures: Figures) -> dict[str, float]:
    shown = {"loss": figures["loss"]}
    if "tokens" in figures:
        shown["tokens/s"] = figures["tokens"] / figures["seconds"]
    return shown
