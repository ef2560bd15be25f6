"""One pretraining run: from a start or a checkpoint to the finished model."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...model.config import BertConfig
from ...model.optimiser import adamw
from ...model.pretraining import BertForPreTraining
from ...model.weights import initialise
from ..errors import BadInput
from ..stage.earlier import EarlierStage
from ..stage.engine import Finished, Site
from ..stage.files import FileRecord
from ..training.checkpoint import latest_checkpoint, remove_old_checkpoints, write_checkpoint
from ..training.log import MetricsLog
from ..training.loop import Hooks, TrainingState, train
from ..training.machine import Machine, set_up
from ..training.model_files import publish_model, write_model
from ..training.model_layout import MODEL
from .course import PretrainingCourse, baselines, evaluate
from .order import Order
from .reading import Instances, ShardSet
from .stage import PretrainRequest, seconds_of

_ARCHITECTURE = "BertForPreTraining"
_HELD_OUT_INSTANCES = 4096
"""The first rows of the validation shards, which were permuted when they were written."""


@dataclass(frozen=True)
class Corpus:
    """The shards of a finished `bertctl shard`, each checked when it is first opened."""

    stage: EarlierStage
    remembered: Path

    def shards(self, split: str) -> ShardSet:
        """Return one split's shards as a table."""
        names = self._names(split)
        sizes = [self.stage.manifest.statistics["rows"][name] for name in names]
        paths = [self.stage.path(name) for name in names]
        return ShardSet(paths, sizes, on_opening=self._verify)

    def copy_sizes(self) -> list[int]:
        """Return how many training instances each copy of the corpus has."""
        rows = self.stage.manifest.statistics["rows"]
        counts = [rows[name] for name in self._names("train")]
        copies = self.stage.manifest.recipe.what["dupe_factor"]
        per_copy = len(counts) // copies
        return [sum(counts[copy * per_copy : (copy + 1) * per_copy]) for copy in range(copies)]

    def held_out(self) -> Instances | None:
        """Return the instances that every evaluation uses; None where none were held out."""
        shards = self.shards("validation")
        if not len(shards):
            return None
        return shards.read(np.arange(min(len(shards), _HELD_OUT_INSTANCES)))

    def _names(self, split: str) -> list[str]:
        return sorted(name for name in self.stage.manifest.files if name.startswith(f"{split}-"))

    def _verify(self, path: Path) -> None:
        self.stage.verify([path.name], remembered=self.remembered)


def run(site: Site, request: PretrainRequest, shards: EarlierStage, config: BertConfig) -> Finished:
    """Train to the end, or to where someone asks to stop, and publish the model."""
    longest = shards.manifest.recipe.what["max_seq_length"]
    machine = set_up(request.numerics, longest=longest)
    corpus = Corpus(shards, site.directory / "log" / "checked.json")
    course = _course(request, machine, corpus)
    state = _begin(site, request, machine, config)
    if state.step:
        site.reporter.notice(f"Going on after step {state.step:,} of {course.total_steps:,}.")
    held_out = corpus.held_out()
    if held_out is None:
        site.reporter.warn("No documents were held out, so nothing tells whether it learns.")
    hooks = _hooks(
        site, request, machine, config, course, held_out, shards.directory, done=state.step
    )
    with site.reporter.phase(
        "pretrain", total=course.total_steps, unit="steps", done=state.step
    ) as progress:
        train(
            state,
            course,
            hooks,
            clip_grad_norm=request.training.clip_grad_norm,
            progress=progress,
        )
    evaluations: Sequence[dict[str, Any]] = state.progress.get("evaluations", [])
    return Finished(
        files=_publish(site, state, config, shards.directory),
        statistics={
            "steps": course.total_steps,
            "epochs": course.order.epoch_at(course.total_steps * request.training.batch_size),
            "parameters": sum(each.numel() for each in state.model.parameters()),
            "validation": evaluations[-1] if evaluations else None,
            "baseline": None if held_out is None else baselines(held_out),
            "machine": machine.as_json(),
        },
    )


def _course(request: PretrainRequest, machine: Machine, corpus: Corpus) -> PretrainingCourse:
    settings = request.training
    copy_sizes = corpus.copy_sizes()
    if not sum(copy_sizes):
        raise BadInput(f"{request.shards} holds no training instances.")
    steps = settings.steps
    if steps is None:
        assert settings.epochs is not None
        instances = settings.epochs * sum(copy_sizes) / len(copy_sizes)
        steps = max(1, round(instances / settings.batch_size))
    return PretrainingCourse(
        shards=corpus.shards("train"),
        order=Order(copy_sizes, settings.seed),
        settings=settings,
        total_steps=steps,
        micro_batch_size=machine.micro_batch_size,
        device=machine.device,
    )


def _begin(
    site: Site, request: PretrainRequest, machine: Machine, config: BertConfig
) -> TrainingState:
    model = BertForPreTraining(config, precision=machine.precision)
    initialise(model, config, seed=request.training.seed)
    model.to(machine.device)
    optimizer = adamw(
        model,
        learning_rate=request.training.learning_rate,
        weight_decay=request.training.weight_decay,
    )
    state = TrainingState(model, optimizer)
    if checkpoint := latest_checkpoint(site.directory, site.reporter):
        checkpoint.restore(model, optimizer)
        state.step, state.progress = checkpoint.step, dict(checkpoint.progress)
        if changes := machine.changes_since(state.progress.get("machine", {})):
            site.reporter.notice(changes)
    state.progress["machine"] = machine.as_json()
    return state


def _hooks(
    site: Site,
    request: PretrainRequest,
    machine: Machine,
    config: BertConfig,
    course: PretrainingCourse,
    held_out: Instances | None,
    tokenizer: Path,
    *,
    done: int,
) -> Hooks:
    log = MetricsLog(site.directory / "log" / "metrics.jsonl")
    log.forget_after(done)
    deadline = _deadline(request)

    def after_step(state: TrainingState, figures: dict[str, float]) -> None:
        if state.step == 1 or state.step % request.how.log_every == 0:
            speed = figures["tokens"] / figures["seconds"]
            log.write({"step": state.step, **figures, "tokens_per_second": speed})

    def evaluate_now(state: TrainingState) -> None:
        if held_out is None:
            return
        assert isinstance(state.model, BertForPreTraining)
        measured = evaluate(
            state.model,
            held_out,
            micro_batch_size=course.micro_batch_size,
            device=machine.device,
        )
        entry = {"step": state.step, **measured}
        state.progress["evaluations"] = [*state.progress.get("evaluations", []), entry]
        log.write({"step": state.step, "validation": measured})

    def save(state: TrainingState) -> None:
        write_checkpoint(
            site.directory,
            state.step,
            lambda directory: write_model(
                directory, state.model, config, tokenizer, architecture=_ARCHITECTURE
            ),
            state.model,
            state.optimizer,
            aside=site.units.work / "aside" / "checkpoint",
            progress=state.progress,
        )
        remove_old_checkpoints(site.directory, keep=request.how.keep)

    return Hooks(
        after_step=after_step,
        evaluate=evaluate_now,
        save=save,
        should_stop=lambda: request.should_stop() or time.monotonic() > deadline,
        evaluate_every=request.how.eval_every,
        save_every=request.how.checkpoint_every,
    )


def _deadline(request: PretrainRequest) -> float:
    seconds = seconds_of(request.how.time)
    return float("inf") if seconds is None else time.monotonic() + seconds


def _publish(
    site: Site, state: TrainingState, config: BertConfig, tokenizer: Path
) -> dict[str, FileRecord]:
    aside = site.units.work / "aside" / MODEL
    shutil.rmtree(aside, ignore_errors=True)
    write_model(aside, state.model, config, tokenizer, architecture=_ARCHITECTURE)
    return publish_model(aside, site.directory)
