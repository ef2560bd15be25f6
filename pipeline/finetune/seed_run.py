"""One run: from the starting point, or its last checkpoint, to its best epoch."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from ...model.optimiser import adamw
from ...model.weights import initialise
from ..stage.engine import Site
from ..stage.files import fingerprint_of
from ..stage.units import Unit, UnitBuilder
from ..training.checkpoint import (
    Snapshot,
    checkpoint_after,
    latest_checkpoint,
    remove_old_checkpoints,
    write_checkpoint,
)
from ..training.log import MetricsLog
from ..training.loop import Figures, Hooks, TrainingState, train
from ..training.model_files import load_weights
from .attempts import Attempt
from .course import FinetuningCourse
from .kept import directory_of, outputs_path, write_outputs
from .layers import freeze, slow_down
from .plan import Plan
from .pooler import POOLER
from .results import SCORED, best_place


class _Ended(Exception):
    """The epochs that are left would not be taken."""


def run_attempt(site: Site, plan: Plan, attempt: Attempt, *, phase: str) -> Unit:
    """Take one run unless that is done; its figures and outputs are the unit's.

    Its checkpoints stay where they are until `keep_only`.

    Raises:
        Stopped: someone asked for it; the last step is kept.
    """
    key = fingerprint_of([site.recipe.fingerprint(""), *attempt.key])
    make = partial(_make, site=site, plan=plan, attempt=attempt, phase=phase)
    return site.units.build(attempt.name, key, make)


def _make(
    builder: UnitBuilder, *, site: Site, plan: Plan, attempt: Attempt, phase: str
) -> Mapping[str, Any]:
    course, parts = plan.course(attempt), plan.parts_of(attempt)
    state = _begin(site, plan, attempt)
    if state.step:
        name = f"Seed {attempt.seed}" if attempt.name == f"seed-{attempt.seed}" else attempt.name
        site.reporter.notice(f"{name} goes on after step {state.step:,} of {course.total_steps:,}.")
    hooks = _hooks(site, plan, attempt, course, done=state.step)
    with site.reporter.phase(
        phase, total=course.total_steps, unit="steps", done=state.step
    ) as progress:
        try:
            if not _is_over(attempt, plan, state):
                train(
                    state,
                    course,
                    hooks,
                    clip_grad_norm=attempt.settings.clip_grad_norm,
                    progress=progress,
                )
        except _Ended:
            pass
    epochs = state.progress["epochs"]
    best = best_epoch(attempt, epochs, plan.task.best_by)
    step = best * course.steps_per_epoch
    checkpoint_after(directory_of(site, attempt), step).restore_weights(state.model)
    figures: dict[str, Any] = dict.fromkeys(SCORED)
    tuned: Mapping[str, Any] = dict(attempt.tuned)
    for name in (name for name in SCORED if name in parts):
        part = parts[name]
        unit = "rows" if len(part.items) == part.items.num_rows else "windows"
        with site.reporter.phase(f"predict {name}", total=len(part.items), unit=unit) as progress:
            outputs = plan.predict(state, part, progress)
        if name == "validation":
            tuned = plan.task.tune(part.items, outputs, part.examples)
        figures[name] = plan.task.judge(part.items, outputs, part.examples, tuned).measure()
        write_outputs(builder.path(outputs_path(attempt, name)), outputs)
    return {
        "seed": attempt.seed,
        "best_epoch": best,
        "best_step": step,
        **figures,
        "tuned": tuned,
        "epochs": epochs,
    }


def best_epoch(attempt: Attempt, epochs: list[Mapping[str, Any]], by: str) -> int:
    """Return which epoch's model is taken, counted from 1; 0 before there is one."""
    if attempt.last_epoch is not None:
        return min(attempt.last_epoch, len(epochs))
    return best_place([each["validation"] for each in epochs], by) + 1 if epochs else 0


def _is_over(attempt: Attempt, plan: Plan, state: TrainingState) -> bool:
    """Tell whether the epochs that are left are of no use."""
    epochs = state.progress["epochs"]
    if attempt.last_epoch is not None:
        return len(epochs) >= attempt.last_epoch
    patience = attempt.settings.early_stopping
    if patience is None or not epochs or epochs[-1]["validation"] is None:
        return False
    return len(epochs) - best_epoch(attempt, epochs, plan.task.best_by) >= patience


def _begin(site: Site, plan: Plan, attempt: Attempt) -> TrainingState:
    settings, config, head = attempt.settings, plan.start.config, plan.task.head
    model = plan.task.build(config, plan.machine.precision)
    checkpoint = latest_checkpoint(directory_of(site, attempt), site.reporter)
    if checkpoint is None:
        initialise(model, config, seed=attempt.seed)
        if plan.weights is not None:
            load_weights(model, plan.weights, may_be_missing=(head, POOLER))
    freeze(model, settings, head=head, num_layers=config.num_hidden_layers)
    model.to(plan.machine.device)
    optimizer = adamw(
        model, learning_rate=settings.learning_rate, weight_decay=settings.weight_decay
    )
    slow_down(optimizer, model, settings, head=head, num_layers=config.num_hidden_layers)
    state = TrainingState(model, optimizer, progress={"epochs": [], "loss_sum": 0.0})
    if checkpoint is not None:
        checkpoint.restore(model, optimizer)
        state.step, state.progress = checkpoint.step, dict(checkpoint.progress)
        if changes := plan.machine.changes_since(state.progress["machine"]):
            site.reporter.notice(changes)
    state.progress["machine"] = plan.machine.as_json()
    return state


def _hooks(
    site: Site, plan: Plan, attempt: Attempt, course: FinetuningCourse, *, done: int
) -> Hooks:
    how, per_epoch = plan.request.how, course.steps_per_epoch
    save_every = per_epoch if how.checkpoint_every == "epoch" else how.checkpoint_every
    log = MetricsLog(site.directory / "log" / f"{attempt.name}.jsonl")
    log.forget_after(done)

    def after_step(state: TrainingState, figures: dict[str, float]) -> None:
        state.progress["loss_sum"] += figures["loss"] * figures["rows"]
        if state.step == 1 or state.step % how.log_every == 0:
            speed = figures["rows"] / figures["seconds"]
            log.write({"step": state.step, **figures, "rows_per_second": speed})

    def end_epoch(state: TrainingState) -> None:
        epoch = {
            "epoch": state.step // per_epoch,
            "train_loss": state.progress["loss_sum"] / len(course.items),
            "validation": _validate(plan, attempt, state),
        }
        state.progress["epochs"] = [*state.progress["epochs"], epoch]
        state.progress["loss_sum"] = 0.0
        log.write({"step": state.step, **epoch})
        is_over = state.step < course.total_steps and _is_over(attempt, plan, state)
        # The weights after an epoch may turn out to be the best, whenever else there are savings.
        if state.step % save_every or is_over:
            save(state)
        if is_over:
            raise _Ended

    def save(state: TrainingState) -> None:
        _save(site, plan, attempt, course, state)

    return Hooks(
        after_step=after_step,
        evaluate=end_epoch,
        save=save,
        should_stop=plan.request.should_stop,
        evaluate_every=per_epoch,
        save_every=save_every,
        shown=_shown,
    )


def _validate(plan: Plan, attempt: Attempt, state: TrainingState) -> Figures | None:
    part = plan.parts_of(attempt).get("validation")
    if part is None or attempt.last_epoch is not None:
        return None
    task, outputs = plan.task, plan.predict(state, part)
    tuned = task.tune(part.items, outputs, part.examples)
    return task.judge(part.items, outputs, part.examples, tuned).measure()


def _shown(figures: Figures) -> dict[str, float | str]:
    return {"loss": figures["loss"], "tokens/s": figures["tokens"] / figures["seconds"]}


def _save(
    site: Site, plan: Plan, attempt: Attempt, course: FinetuningCourse, state: TrainingState
) -> None:
    run = directory_of(site, attempt)
    write_checkpoint(
        run,
        Snapshot.of(state),
        plan.model_writer(),
        aside=site.units.work / "aside" / "checkpoint",
    )
    best = best_epoch(attempt, state.progress["epochs"], plan.task.best_by)
    remove_old_checkpoints(run, keep=1, spare=(best * course.steps_per_epoch,))
