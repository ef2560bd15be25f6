"""One pretraining run: from a start or a checkpoint to the finished model."""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from ...model.config import ARCHITECTURES
from ...model.flops import training_step_flops
from ..stage.engine import Finished, Site
from ..stage.files import FileRecord
from ..stage.report import Reporter, Silent
from ..training.checkpoint import Snapshot, remove_old_checkpoints, write_checkpoint
from ..training.loop import Hooks, TrainingState, train
from ..training.machine import Machine, set_up
from ..training.model_files import publish_model, write_model
from ..training.model_layout import CHECKPOINT, MODEL, TOKENIZER_FILES
from ..training.peak import measured_peak
from ..training.saving import Saver, saving
from ..training.sharing import share_state
from ..training.team import Meeting, Team
from .beginning import begin, empty_state
from .fitting import fitted
from .growing import departs_after
from .plan import Plan
from .training import Training, lay_out
from .watching import Watch, findings, forget_until

_LARGE_HIDDEN_SIZE = 768
_FLOPS_OF_A_THREAD = {"float32": 50e9, "bfloat16": 200e9}
"""FLOP/s that one thread of a recent processor makes of a base model, roughly: for a warning."""


def run(site: Site, plan: Plan, meeting: Meeting | None) -> Finished:
    """Train to the end, or to where someone asks to stop, and publish the model."""
    machine = _machine(plan)
    checked = site.directory / "log" / "checked.json"
    shards = plan.lessons[0].stage
    names = [name for name in TOKENIZER_FILES if name in shards.manifest.files]
    shards.verify(names, remembered=checked)
    if plan.start is not None:
        plan.start.verify()
    state = begin(site, plan, machine)
    # What could be refused has been: from here on the others take part.
    team = Team(device=machine.device)
    if meeting is not None:
        meeting.call()
        team = meeting.join(machine.device)
    plan = _agreed(plan, team)
    share_state(state, team)
    machine = fitted(machine, plan, state, team)
    if changes := machine.changes_since(state.progress.get("machine", machine.as_json())):
        site.reporter.notice(changes)
    state.progress["machine"] = machine.as_json()
    training = lay_out(plan, machine, team, remembered=checked)
    _tell(site, training, state)
    watch = Watch(
        site.directory,
        done=state.step,
        log_every=plan.request.how.log_every,
        peak=_peak(machine, team),
        has_pairs=training.course.has_pairs,
    )
    with closing(watch), saving(partial(_save, site, plan)) as saver:
        hooks = _hooks(training, watch, saver)
        with site.reporter.phase(
            "pretrain", total=plan.total_steps, unit="steps", done=state.step
        ) as progress:
            train(
                state,
                training.course,
                hooks,
                clip_grad_norm=plan.request.training.clip_grad_norm,
                progress=progress,
                team=team,
            )
    return _finished(site, training, state)


def follow(plan: Plan, meeting: Meeting) -> None:
    """Train along with the process that leads; nothing is written or said."""
    machine = _machine(plan)
    team = meeting.join(machine.device)
    plan = _agreed(plan, team)
    state = empty_state(plan, machine)
    share_state(state, team)
    machine = fitted(machine, plan, state, team)
    training = lay_out(plan, machine, team, remembered=None)
    _peak(machine, team)
    hooks = Hooks(
        after_step=lambda state, figures: None,
        evaluate=training.evaluate,
        save=lambda state: None,
        should_stop=plan.request.should_stop,
        shown=lambda figures: {},
        evaluate_every=plan.request.how.eval_every,
        save_every=plan.request.how.checkpoint_every,
    )
    train(
        state,
        training.course,
        hooks,
        clip_grad_norm=plan.request.training.clip_grad_norm,
        progress=Silent(),
        team=team,
    )


def _machine(plan: Plan) -> Machine:
    request = plan.request
    machine = set_up(request.numerics, longest=plan.longest, place=request.place)
    return replace(machine, compiled=request.processes.compile)


def _agreed(plan: Plan, team: Team) -> Plan:
    """Return the plan with the warm-up of the process that saw the run that is made longer."""
    return replace(plan, warmup_steps=team.tell(plan.warmup_steps))


def _peak(machine: Machine, team: Team) -> float:
    """Return the FLOP/s that all processes reach together, each measured while the others are."""
    return float(team.add_up(torch.tensor(measured_peak(machine.device, machine.precision))))


def _tell(site: Site, training: Training, state: TrainingState) -> None:
    plan, reporter = training.plan, site.reporter
    kinds = {lesson.facts.next_sentence for lesson in plan.lessons}
    if plan.objective == "mlm" and plan.request.training.objective == "auto" and len(kinds) > 1:
        reporter.notice(
            f"The shards were made with --next-sentence {' and '.join(sorted(kinds))}: what all of "
            "them teach is --objective mlm."
        )
    if state.step:
        reporter.notice(f"Going on after step {state.step:,} of {plan.total_steps:,}.")
    else:
        if site.is_begun and not any(site.directory.glob(CHECKPOINT)):
            reporter.notice(f"No checkpoint yet: it begins at step 0 of {plan.total_steps:,}.")
        _tell_if_slow(reporter, training)
    for path, held_out in zip(plan.request.shards, training.held_out, strict=True):
        if held_out is None:
            reporter.warn(
                f"{path} holds no held-out documents (--validation-fraction 0, or too few to spare "
                "any), so nothing tells whether it learns: no statistics of validation."
            )


def _tell_if_slow(reporter: Reporter, training: Training) -> None:
    """Say before it begins, not after a day, that a large model needs more than a processor."""
    plan, machine = training.plan, training.machine
    config = plan.config
    if machine.device.type != "cpu" or config.hidden_size < _LARGE_HIDDEN_SIZE:
        return
    size = plan.request.training.batch_size
    flops = plan.total_steps * training_step_flops(
        config,
        num_tokens=size * plan.longest,
        sum_squared_lengths=size * plan.longest**2,
        num_masked=round(size * plan.longest * 0.15),
        num_sequences=size,
    )
    rate = machine.threads * machine.processes * _FLOPS_OF_A_THREAD[machine.precision]
    hours = flops / rate / 3600
    if hours < 1:
        return
    reporter.notice(
        f"A model of this size ({config.num_hidden_layers} layers of {config.hidden_size}) on a "
        f"processor: {plan.total_steps:,} steps may take {hours:,.0f} hours, at a rough guess. "
        "--model tiny, mini or small is faster by far; so is a GPU."
    )


def _hooks(training: Training, watch: Watch, saver: Saver) -> Hooks:
    how = training.plan.request.how

    def after_step(state: TrainingState, figures: dict[str, float]) -> None:
        state.progress["gradient_norm"] = figures["gradient_norm"]
        watch.after_step(state, figures)
        saver.fail_if_failed()

    def evaluate(state: TrainingState) -> None:
        forget_until(state.progress, training.lesson_begin(state.step))
        measured = training.evaluate(state)
        if measured is not None:
            watch.after_evaluation(state, measured)

    return Hooks(
        after_step=after_step,
        evaluate=evaluate,
        save=saver.save,
        should_stop=training.plan.request.should_stop,
        shown=watch.shown,
        evaluate_every=how.eval_every,
        save_every=how.checkpoint_every,
        also_save=departs_after(training.plan),
    )


def _save(site: Site, plan: Plan, snapshot: Snapshot) -> None:
    write_checkpoint(
        site.directory,
        snapshot,
        partial(
            write_model,
            config=plan.config,
            tokenizer=plan.lessons[0].stage.directory,
            architecture=ARCHITECTURES[plan.objective],
        ),
        aside=site.units.work / "aside" / "checkpoint",
    )
    spare = departs_after(plan)
    remove_old_checkpoints(
        site.directory, keep=plan.request.how.keep, spare=() if spare is None else (spare,)
    )


def _finished(site: Site, training: Training, state: TrainingState) -> Finished:
    plan, last = training.plan, training.held_out_after(training.plan.total_steps)
    progress = state.progress
    settings = plan.request.training
    health = None
    if last is not None:
        health = findings(progress, last, clip_grad_norm=settings.clip_grad_norm)
        for each in health:
            site.reporter.warn(each)
    return Finished(
        files=_publish(site, plan, state),
        statistics={
            "steps": plan.total_steps,
            "epochs": training.course.epoch_at(plan.total_steps),
            "objective": plan.objective,
            "parameters": sum(each.numel() for each in state.model.parameters()),
            "validation": progress.get("last"),
            "baseline": None if last is None else last.baseline(),
            "health": health,
            "machine": training.machine.as_json(),
        },
    )


def _publish(site: Site, plan: Plan, state: TrainingState) -> dict[str, FileRecord]:
    aside: Path = site.units.work / "aside" / MODEL
    shutil.rmtree(aside, ignore_errors=True)
    write_model(
        aside,
        state.model.state_dict(),
        plan.config,
        plan.lessons[0].stage.directory,
        architecture=ARCHITECTURES[plan.objective],
    )
    return publish_model(aside, site.directory)
