"""One seed's run: from the starting point, or its last checkpoint, to its best epoch."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...model.optimiser import adamw
from ...model.weights import initialise
from ..stage.engine import Site
from ..stage.files import fingerprint_of
from ..stage.report import Progress
from ..stage.units import WORK, Unit, UnitBuilder
from ..training.checkpoint import (
    checkpoint_after,
    fault_after,
    latest_checkpoint,
    remove_old_checkpoints,
    write_checkpoint,
)
from ..training.log import MetricsLog
from ..training.loop import Hooks, TrainingState, train
from ..training.machine import Machine
from ..training.model_files import ModelFiles, load_weights, write_model
from ..training.model_layout import MODEL
from ..training.starting_point import StartingPoint
from ..training.writing import naming
from .course import FinetuningCourse, predict
from .encode import Sequences
from .request import FinetuneRequest
from .results import SCORED, best_place
from .task import Outputs, Targets, Task

_POOLER = "bert.pooler."


@dataclass(frozen=True)
class Split:
    """One file's rows as the model sees them."""

    sequences: Sequences
    targets: Targets


@dataclass(frozen=True)
class Plan:
    """All that the runs of different seeds share."""

    request: FinetuneRequest
    machine: Machine
    task: Task
    start: StartingPoint
    weights: ModelFiles | None
    """None for random weights."""
    splits: Mapping[str, Split]
    tokenizer: Path
    """A directory with the tokenizer's files."""

    def course(self, seed: int) -> FinetuningCourse:
        """Return the steps of one seed."""
        settings, train_split = self.request.settings, self.splits["train"]
        return FinetuningCourse(
            task=self.task,
            sequences=train_split.sequences,
            targets=train_split.targets,
            settings=settings,
            seed=seed,
            micro_batch_size=self.machine.micro_batch_size,
            device=self.machine.device,
        )

    def predict(self, state: TrainingState, name: str, progress: Progress | None = None) -> Outputs:
        """Return what the model says of a split's rows."""
        return predict(
            state.model,
            self.splits[name].sequences,
            micro_batch_size=self.machine.micro_batch_size,
            device=self.machine.device,
            progress=progress,
        )


def run_seed(site: Site, plan: Plan, seed: int, *, phase: str) -> Unit:
    """Train with one seed unless that is done; its figures and outputs are the unit's.

    Its checkpoints stay where they are until `keep_only`.

    Raises:
        Stopped: someone asked for it; the last step is kept.
    """
    key = fingerprint_of([site.recipe.fingerprint(""), seed])
    make = partial(_make, site=site, plan=plan, seed=seed, phase=phase)
    return site.units.build(_name(seed), key, make)


def outputs_of(site: Site, seed: int, name: str) -> Outputs:
    """Read what the best epoch of a finished seed says of a split's rows."""
    return np.load(site.directory / _outputs_path(seed, name), allow_pickle=False)


def best_model(site: Site, plan: Plan, seed: int, best_epoch: int) -> Path:
    """Return where the best epoch's model stands, checked."""
    step = best_epoch * plan.course(seed).steps_per_epoch
    return checkpoint_after(_directory(site, seed), step).directory / MODEL


def fault_of_model(site: Site, plan: Plan, seed: int, best_epoch: int) -> str | None:
    """Say what is wrong with the best epoch's model, as it stands now; None if nothing is."""
    step = best_epoch * plan.course(seed).steps_per_epoch
    return fault_after(_directory(site, seed), step)


def forget_seed(site: Site, seed: int) -> None:
    """Let a finished seed be trained again, from what is whole of its checkpoints."""
    site.units.forget(_name(seed))


def keep_only(site: Site, plan: Plan, runs: Mapping[int, int], best_seed: int) -> None:
    """Remove what is no longer needed of finished seeds; `runs` maps them to their best epochs.

    Of the best seed its best epoch's checkpoint is left, of the others nothing.
    """
    for seed, epoch in runs.items():
        if seed == best_seed:
            step = epoch * plan.course(seed).steps_per_epoch
            remove_old_checkpoints(_directory(site, seed), keep=0, spare=(step,))
        else:
            shutil.rmtree(_directory(site, seed), ignore_errors=True)


def _make(
    builder: UnitBuilder, *, site: Site, plan: Plan, seed: int, phase: str
) -> Mapping[str, Any]:
    course = plan.course(seed)
    state = _begin(site, plan, seed)
    if state.step:
        site.reporter.notice(
            f"Seed {seed} goes on after step {state.step:,} of {course.total_steps:,}."
        )
    hooks = _hooks(site, plan, course, done=state.step)
    with site.reporter.phase(
        phase, total=course.total_steps, unit="steps", done=state.step
    ) as progress:
        train(
            state,
            course,
            hooks,
            clip_grad_norm=plan.request.settings.clip_grad_norm,
            progress=progress,
        )
    epochs = state.progress["epochs"]
    best = best_place([each["validation"] for each in epochs], plan.task.best_by) + 1
    checkpoint_after(_directory(site, seed), best * course.steps_per_epoch).restore_weights(
        state.model
    )
    figures: dict[str, Any] = {}
    for name in SCORED:
        if name not in plan.splits:
            figures[name] = None
            continue
        num_rows = len(plan.splits[name].sequences)
        with site.reporter.phase(f"predict {name}", total=num_rows, unit="rows") as progress:
            outputs = plan.predict(state, name, progress)
        figures[name] = plan.task.measure(outputs, plan.splits[name].targets)
        _write_outputs(builder.path(_outputs_path(seed, name)), outputs)
    return {"seed": seed, "best_epoch": best, **figures, "epochs": epochs}


def _write_outputs(path: Path, outputs: Outputs) -> None:
    # numpy itself doesn't say what the system said of a disk that is full.
    buffer = io.BytesIO()
    np.save(buffer, outputs)
    with naming(path):
        path.write_bytes(buffer.getbuffer())


def _begin(site: Site, plan: Plan, seed: int) -> TrainingState:
    settings, config = plan.request.settings, plan.start.config
    model = plan.task.build(config, plan.machine.precision)
    checkpoint = latest_checkpoint(_directory(site, seed), site.reporter)
    if checkpoint is None:
        initialise(model, config, seed=seed)
        if plan.weights is not None:
            load_weights(model, plan.weights, may_be_missing=(plan.task.head, _POOLER))
    model.to(plan.machine.device)
    optimizer = adamw(
        model, learning_rate=settings.learning_rate, weight_decay=settings.weight_decay
    )
    state = TrainingState(model, optimizer, progress={"epochs": [], "loss_sum": 0.0})
    if checkpoint is not None:
        checkpoint.restore(model, optimizer)
        state.step, state.progress = checkpoint.step, dict(checkpoint.progress)
        if changes := plan.machine.changes_since(state.progress["machine"]):
            site.reporter.notice(changes)
    state.progress["machine"] = plan.machine.as_json()
    return state


def _hooks(site: Site, plan: Plan, course: FinetuningCourse, *, done: int) -> Hooks:
    how, per_epoch = plan.request.how, course.steps_per_epoch
    save_every = per_epoch if how.checkpoint_every == "epoch" else how.checkpoint_every
    log = MetricsLog(site.directory / "log" / f"seed-{course.seed}.jsonl")
    log.forget_after(done)

    def after_step(state: TrainingState, figures: dict[str, float]) -> None:
        state.progress["loss_sum"] += figures["loss"] * figures["rows"]
        if state.step == 1 or state.step % how.log_every == 0:
            speed = figures["rows"] / figures["seconds"]
            log.write({"step": state.step, **figures, "rows_per_second": speed})

    def end_epoch(state: TrainingState) -> None:
        validation = None
        if "validation" in plan.splits:
            outputs = plan.predict(state, "validation")
            validation = plan.task.measure(outputs, plan.splits["validation"].targets)
        epoch = {
            "epoch": state.step // per_epoch,
            "train_loss": state.progress["loss_sum"] / len(course.sequences),
            "validation": validation,
        }
        state.progress["epochs"] = [*state.progress["epochs"], epoch]
        state.progress["loss_sum"] = 0.0
        log.write({"step": state.step, **epoch})
        # The weights after an epoch may turn out to be the best, whenever else there are savings.
        if state.step % save_every:
            save(state)

    def save(state: TrainingState) -> None:
        _save(site, plan, course, state)

    return Hooks(
        after_step=after_step,
        evaluate=end_epoch,
        save=save,
        should_stop=plan.request.should_stop,
        evaluate_every=per_epoch,
        save_every=save_every,
    )


def _save(site: Site, plan: Plan, course: FinetuningCourse, state: TrainingState) -> None:
    run = _directory(site, course.seed)
    write_checkpoint(
        run,
        state.step,
        model_writer(plan, state),
        state.model,
        state.optimizer,
        aside=site.units.work / "aside" / "checkpoint",
        progress=state.progress,
    )
    epochs = [each["validation"] for each in state.progress["epochs"]]
    best = (best_place(epochs, plan.task.best_by) + 1) * course.steps_per_epoch if epochs else 0
    remove_old_checkpoints(run, keep=1, spare=(best,))


def model_writer(plan: Plan, state: TrainingState) -> Callable[[Path], None]:
    """Return what writes the model as it is now into a directory."""
    return lambda directory: write_model(
        directory,
        state.model,
        plan.start.config,
        plan.tokenizer,
        architecture=plan.task.architecture,
        extra=plan.task.config,
    )


def _name(seed: int) -> str:
    return f"seed-{seed}"


def _directory(site: Site, seed: int) -> Path:
    return site.units.work / _name(seed)


def _outputs_path(seed: int, name: str) -> str:
    return f"{WORK}/outputs/seed-{seed}-{name}.npy"
