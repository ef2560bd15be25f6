"""One pretraining run: from a start or a checkpoint to the finished model."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...model.config import BertConfig
from ...model.flops import training_step_flops
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
from ..training.model_layout import MODEL, TOKENIZER_FILES
from .course import PretrainingCourse, baselines, evaluate
from .facts import ShardFacts
from .order import Order
from .reading import Instances, ShardSet
from .request import PretrainRequest

_ARCHITECTURE = "BertForPreTraining"
_HELD_OUT_INSTANCES = 4096
"""The first rows of the validation shards, which were permuted when they were written."""
_LARGE_HIDDEN_SIZE = 768
_FLOPS_OF_A_THREAD = {"float32": 50e9, "bfloat16": 200e9}
"""FLOP/s that one thread of a recent processor makes of a base model, roughly: for a warning."""


@dataclass(frozen=True)
class Corpus:
    """The shards of a finished `bertctl shard`, each checked when it is first opened."""

    stage: EarlierStage
    facts: ShardFacts
    remembered: Path

    def shards(self, split: str) -> ShardSet:
        """Return one split's shards as a table."""
        names = self.facts.names(split)
        sizes = [self.facts.rows[name] for name in names]
        paths = [self.stage.path(name) for name in names]
        return ShardSet(paths, sizes, on_opening=self._verify)

    def held_out(self) -> Instances | None:
        """Return the instances that every evaluation uses; None where none were held out."""
        shards = self.shards("validation")
        if not len(shards):
            return None
        return shards.read(np.arange(min(len(shards), _HELD_OUT_INSTANCES)))

    def verify_tokenizer(self) -> None:
        """Raise `BadInput` if the vocabulary is damaged, which becomes the model's own."""
        names = [name for name in TOKENIZER_FILES if name in self.stage.manifest.files]
        self.stage.verify(names, remembered=self.remembered)

    def _verify(self, path: Path) -> None:
        self.stage.verify([path.name], remembered=self.remembered)


def run(
    site: Site,
    request: PretrainRequest,
    shards: EarlierStage,
    facts: ShardFacts,
    config: BertConfig,
) -> Finished:
    """Train to the end, or to where someone asks to stop, and publish the model."""
    machine = set_up(request.numerics, longest=facts.max_seq_length)
    corpus = Corpus(shards, facts, site.directory / "log" / "checked.json")
    corpus.verify_tokenizer()
    course = _course(request, machine, corpus)
    state = _begin(site, request, machine, config)
    if state.step:
        site.reporter.notice(f"Going on after step {state.step:,} of {course.total_steps:,}.")
    else:
        _tell_if_slow(site, course, machine, config, longest=facts.max_seq_length)
    held_out = corpus.held_out()
    if held_out is None:
        site.reporter.warn(
            f"{request.shards} holds no held-out documents (--validation-fraction 0, or too few to "
            "spare any), so nothing tells whether it learns: no statistics of validation."
        )
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
    copy_sizes = corpus.facts.copy_sizes()
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


def _tell_if_slow(
    site: Site, course: PretrainingCourse, machine: Machine, config: BertConfig, *, longest: int
) -> None:
    """Say before it begins, not after a day, that a large model needs more than a processor."""
    if machine.device.type != "cpu" or config.hidden_size < _LARGE_HIDDEN_SIZE:
        return
    size = course.settings.batch_size
    flops = course.total_steps * training_step_flops(
        config,
        num_tokens=size * longest,
        sum_squared_lengths=size * longest**2,
        num_masked=round(size * longest * 0.15),
        num_sequences=size,
    )
    hours = flops / (machine.threads * _FLOPS_OF_A_THREAD[machine.precision]) / 3600
    if hours < 1:
        return
    site.reporter.notice(
        f"A model of this size ({config.num_hidden_layers} layers of {config.hidden_size}) on a "
        f"processor: {course.total_steps:,} steps may take {hours:,.0f} hours, at a rough guess. "
        "--model tiny, mini or small is faster by far; so is a GPU."
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
        should_stop=request.should_stop,
        evaluate_every=request.how.eval_every,
        save_every=request.how.checkpoint_every,
    )


def _publish(
    site: Site, state: TrainingState, config: BertConfig, tokenizer: Path
) -> dict[str, FileRecord]:
    aside = site.units.work / "aside" / MODEL
    shutil.rmtree(aside, ignore_errors=True)
    write_model(aside, state.model, config, tokenizer, architecture=_ARCHITECTURE)
    return publish_model(aside, site.directory)
