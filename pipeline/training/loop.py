"""The training loop: steps, evaluations and checkpoints, the same for every task.

What differs between tasks is data: a `Course` says how many steps there are, what each one's
batch is, and what its loss is. A batch is the sum of its micro-batches however it is cut.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor

from ...model.dropout import DropoutKey
from ...model.moments import MomentOptimizer
from ...model.optimiser import clip_gradients
from ..errors import Stopped, WorkFailed
from ..stage.report import Progress
from .ahead import Ahead, reading_ahead
from .gradient_sum import GradientSum
from .team import ALONE, Team

Inputs = TypeVar("Inputs")
Figures = Mapping[str, float]
_STOPS = "stops"
"""A figure beside the course's: how many of the team were asked to stop."""


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

    @property
    def figures(self) -> Sequence[str]:
        """Names of the figures that `loss` gives."""
        ...

    def learning_rate(self, step: int) -> float:
        """Return the rate of step `step`, counted from 0."""
        ...

    def batch(self, step: int) -> Sequence[MicroBatch[Inputs]]:
        """Return those of step `step`'s micro-batches that this process computes."""
        ...

    def loss(
        self, model: torch.nn.Module, micro_batch: MicroBatch[Inputs], key: DropoutKey
    ) -> tuple[Tensor, dict[str, Tensor | float]]:
        """Return the micro-batch's part of the step's loss, and figures to be added up.

        The loss is already divided by the counts of the whole batch, so parts add up to it.
        """
        ...

    def describe(self, step: int, positions: Sequence[int]) -> str:
        """Name what the micro-batches of step `step` that begin at `positions` were made from."""
        ...


@dataclass
class TrainingState:
    """What a checkpoint keeps: everything that changes while a model is trained."""

    model: torch.nn.Module
    optimizer: MomentOptimizer
    step: int = 0
    progress: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Hooks:
    """What happens around the steps; each is asked after a step is whole."""

    after_step: Callable[[TrainingState, dict[str, float]], None]
    """Told the step's figures, summed over its micro-batches; keep it quick."""
    evaluate: Callable[[TrainingState], object]
    save: Callable[[TrainingState], None]
    should_stop: Callable[[], bool]
    """Whether someone asked to stop: the state is saved first."""
    evaluate_every: int
    save_every: int
    shown: Callable[[Figures], dict[str, float | str]]
    """What of a step's figures people watch."""
    also_save: int | None = None
    """A step whose state is saved whatever `save_every` says."""


def train(
    state: TrainingState,
    course: Course[Inputs],
    hooks: Hooks,
    *,
    clip_grad_norm: float,
    progress: Progress,
    team: Team = ALONE,
) -> None:
    """Take the steps from `state.step` to the course's end, together with the team.

    Raises:
        Stopped: someone asked for it; the state is saved.
        WorkFailed: the loss or the gradient is not a number, and the weights are as before that
            step; or memory is too small, or somebody of the team is gone.
    """
    gradient_sum = None if team.is_alone else GradientSum(state.model.parameters())
    with reading_ahead(course.batch, end=course.total_steps) as ahead:
        while state.step < course.total_steps:
            with naming_micro_batches():
                figures = _take_step(
                    state,
                    course,
                    ahead,
                    clip_grad_norm=clip_grad_norm,
                    team=team,
                    gradient_sum=gradient_sum,
                    should_stop=hooks.should_stop,
                )
            # Whoever is asked to stop, all stop after the same step.
            stop = figures.pop(_STOPS) > 0
            hooks.after_step(state, figures)
            ended = state.step == course.total_steps
            if ended or state.step % hooks.evaluate_every == 0:
                hooks.evaluate(state)
            if ended or stop or state.step % hooks.save_every == 0 or state.step == hooks.also_save:
                hooks.save(state)
            progress.advance(1, **hooks.shown(figures))
            if stop and not ended:
                raise Stopped(f"Stopped after step {state.step:,} of {course.total_steps:,}.")


def _take_step(
    state: TrainingState,
    course: Course[Inputs],
    ahead: Ahead[Sequence[MicroBatch[Inputs]]],
    *,
    clip_grad_norm: float,
    team: Team,
    gradient_sum: GradientSum | None,
    should_stop: Callable[[], bool],
) -> dict[str, float]:
    """Take one optimizer step over a whole batch and return its figures."""
    begun = time.perf_counter()
    model, optimizer, step = state.model, state.optimizer, state.step
    rate = course.learning_rate(step)
    for group in optimizer.param_groups:
        group["lr"] = rate
    model.train()
    if gradient_sum is None:
        optimizer.zero_grad()
    else:
        gradient_sum.begin()
    batch = ahead.batch(step)
    loaded = time.perf_counter()
    losses: list[Tensor] = []
    parts: list[dict[str, Tensor | float]] = []
    for micro_batch in batch:
        key = DropoutKey(course.seed, step, micro_batch.position)
        loss, figures = course.loss(model, micro_batch, key)
        if gradient_sum is not None and micro_batch is batch[-1]:
            gradient_sum.expect_last()
        loss.backward()
        losses.append(loss.detach())
        parts.append({"loss": losses[-1], _STOPS: 0.0, **figures})
    if gradient_sum is not None:
        gradient_sum.finish()
    norm = float(clip_gradients(model.parameters(), clip_grad_norm))
    parts.append({_STOPS: float(should_stop())})
    summed = _summed(parts, ("loss", _STOPS, *course.figures), team)
    if not (math.isfinite(norm) and math.isfinite(summed["loss"])):
        broken = [
            micro_batch.position
            for micro_batch, loss in zip(batch, losses, strict=True)
            if not math.isfinite(float(loss))
        ]
        everybodys = sorted(position for each in team.gather(broken) for position in each)
        raise WorkFailed(
            f"Step {step + 1:,}: the loss is {summed['loss']} and the gradient's norm {norm}; "
            "training can't go on from there. The weights are as they were before the step. "
            + course.describe(step, everybodys),
            hint="Lower --learning-rate, or raise --warmup-proportion; what was saved stands.",
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


def _summed(
    parts: Sequence[Mapping[str, Tensor | float]], names: Sequence[str], team: Team
) -> dict[str, float]:
    """Add up figures over micro-batches and over the team, with one transfer from the device."""
    wide = torch.float32 if team.device.type == "mps" else torch.float64
    totals = torch.zeros(len(names), dtype=wide, device=team.device)
    for number, name in enumerate(names):
        values = [part[name] for part in parts if name in part]
        measured = [value for value in values if isinstance(value, Tensor)]
        if measured:
            totals[number] = torch.stack(measured).to(wide).sum()
        totals[number] += sum(value for value in values if not isinstance(value, Tensor))
    return dict(zip(names, team.add_up(totals).tolist(), strict=True))


@contextmanager
def naming_micro_batches() -> Generator[None]:
    """Say of memory that is too small which setting needs less."""
    try:
        yield
    except RuntimeError as error:
        # On a processor the allocator's words are all there is to know it by.
        if not isinstance(error, torch.OutOfMemoryError) and "t allocate memory" not in str(error):
            raise
        raise WorkFailed(
            f"There isn't enough memory for a micro-batch ({str(error).partition(chr(10))[0]}).",
            hint="Give --micro-batch-size a smaller number: it changes how a batch is computed, "
            "not what it is.",
        ) from error
