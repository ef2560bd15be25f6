"""A plan made to run: shards opened, steps laid out, the same in every process of a team."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...model.pretraining import BertForPreTraining
from ..training.loop import TrainingState
from ..training.machine import Machine
from ..training.team import Team
from .course import PretrainingCourse, Reading
from .held_out import HeldOut, held_out
from .order import Order
from .plan import Lesson, Plan
from .reading import ShardSet


@dataclass(frozen=True)
class Training:
    """What all processes of a run have alike."""

    plan: Plan
    machine: Machine
    team: Team
    course: PretrainingCourse
    held_out: Sequence[HeldOut | None]
    """Of each of the course's readings; None where nothing was held out."""

    def held_out_after(self, step: int) -> HeldOut | None:
        """Return what is measured on after `step` steps."""
        return self.held_out[self._place(step)]

    def lesson_begin(self, step: int) -> int:
        """Return after which step the lesson began that is measured after `step` steps."""
        return self.course.readings[self._place(step)].begin

    def evaluate(self, state: TrainingState) -> dict[str, float] | None:
        """Measure the model on what was held out, each process on its part."""
        chosen = self.held_out_after(state.step)
        if chosen is None:
            return None
        assert isinstance(state.model, BertForPreTraining)
        size = self.course.readings[self._place(state.step)].micro_batch_size
        return chosen.evaluate(state.model, micro_batch_size=size, team=self.team)

    def _place(self, step: int) -> int:
        return self.course.readings.index(self.course.reading(max(0, step - 1)))


def lay_out(plan: Plan, machine: Machine, team: Team, *, remembered: Path | None) -> Training:
    """Open the shards and lay out the steps.

    `remembered` keeps which shards were found to match their checksums; a process without it
    leaves that to another that reads the same files.
    """
    settings = plan.request.training
    readings = [
        Reading(
            shards=_open(lesson, "train", remembered),
            order=Order(lesson.facts.copy_sizes(), settings.seed),
            begin=lesson.begin,
            end=lesson.end,
            micro_batch_size=machine.instances_at_once(
                lesson.facts.max_seq_length, settings.batch_size
            ),
        )
        for lesson in plan.lessons
    ]
    course = PretrainingCourse(
        readings=readings,
        settings=settings,
        config=plan.config,
        objective=plan.objective,
        total_steps=plan.total_steps,
        warmup_steps=plan.warmup_steps,
        device=machine.device,
        place=team.place,
    )
    measured_on = [
        held_out(
            _open(lesson, "validation", remembered),
            plan.objective,
            masked_lm_prob=lesson.facts.masked_lm_prob,
            whole_words=lesson.facts.whole_word_mask,
        )
        for lesson in plan.lessons
    ]
    return Training(plan, machine, team, course, measured_on)


def _open(lesson: Lesson, split: str, remembered: Path | None) -> ShardSet:
    """Return one split's shards as a table, each checked when it is first opened."""
    stage, facts = lesson.stage, lesson.facts
    names = facts.names(split)

    def verify(path: Path) -> None:
        if remembered is not None:
            stage.verify([path.name], remembered=remembered)

    check: Callable[[Path], None] = verify
    return ShardSet(
        [stage.path(name) for name in names],
        [facts.rows[name] for name in names],
        on_opening=check,
    )
