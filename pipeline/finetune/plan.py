"""All that the runs of one fine-tuning share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from ..stage.report import Progress
from ..training.loop import TrainingState
from ..training.machine import Machine
from ..training.model_files import ModelFiles, write_model
from ..training.starting_point import StartingPoint
from ..wordpiece.encode import WordPieceEncoder
from .attempts import Attempt
from .course import FinetuningCourse, predict
from .examples.examples import Examples
from .parts import Part, Parts, parts_of_fold
from .request import FinetuneRequest
from .tasks.task import Outputs, Task


@dataclass(frozen=True)
class Plan:
    """All that the runs share."""

    request: FinetuneRequest
    machine: Machine
    task: Task
    start: StartingPoint
    weights: ModelFiles | None
    """None for random weights."""
    train: Examples[Any]
    """The training file, with the rows that nothing is learnt from"""
    parts: Parts
    encoder: WordPieceEncoder
    tokenizer: Path
    """A directory with the tokenizer's files."""
    _folds: dict[str, Parts] = field(default_factory=dict[str, Parts])

    def parts_of(self, attempt: Attempt) -> Parts:
        """Return what a run learns from and is measured on."""
        if attempt.fold is None:
            return self.parts
        if attempt.name not in self._folds:
            # One at a time: a fold is most of the training file again.
            self._folds.clear()
            self._folds[attempt.name] = parts_of_fold(attempt, self.train, self.task, self.encoder)
        return self._folds[attempt.name]

    def course(self, attempt: Attempt) -> FinetuningCourse:
        """Return the steps of a run."""
        part = self.parts_of(attempt)["train"]
        return FinetuningCourse(
            task=self.task,
            items=part.items,
            numbers=part.examples.numbers,
            settings=attempt.settings,
            seed=attempt.seed,
            micro_batch_size=self.machine.micro_batch_size,
            device=self.machine.device,
        )

    def predict(
        self, state: TrainingState, part: Part, progress: Progress | None = None
    ) -> Outputs:
        """Return what the model says of a part's sites."""
        return predict(
            self.task,
            state.model,
            part.items,
            micro_batch_size=self.machine.micro_batch_size,
            device=self.machine.device,
            progress=progress,
        )

    def model_writer(
        self, tuned: Mapping[str, Any] | None = None
    ) -> Callable[[Path, Mapping[str, Tensor]], None]:
        """Return what writes weights as the task's model into a directory."""
        return partial(
            write_model,
            config=self.start.config,
            tokenizer=self.tokenizer,
            architecture=self.task.architecture,
            extra={**self.task.config, **(tuned or {})},
        )
