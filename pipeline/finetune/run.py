"""A whole fine-tuning: rows encoded, a run for each seed, and the best one published."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..stage.engine import Finished, Site
from ..stage.files import FileRecord, publish, write_json
from ..training.machine import set_up
from ..training.model_files import ModelFiles, copy_files, publish_model, read_model
from ..training.model_layout import MODEL, MODEL_FILES
from ..training.writing import naming
from ..wordpiece.encode import WordPieceEncoder
from ..wordpiece.files import write_tokenizer_files
from .classification import classification
from .encode import Sequences, encode
from .examples import Examples, alike_labels
from .request import FinetuneRequest, Material
from .results import SCORED, best_run, commonest_label_baseline, summary, write_lines
from .seed_run import (
    Plan,
    Split,
    best_model,
    fault_of_model,
    forget_seed,
    keep_only,
    outputs_of,
    run_seed,
)
from .task import Task

_MANY_UNKNOWN = 0.1


def run(site: Site, request: FinetuneRequest, material: Material) -> Finished:
    """Train with each seed and publish the best one's model, with all results."""
    machine = set_up(request.numerics, longest=request.settings.max_seq_length)
    material.start.verify()
    task = classification(material.labels)
    _tell(site, request, material)
    plan = Plan(
        request=request,
        machine=machine,
        task=task,
        start=material.start,
        weights=_weights(site, material, task),
        splits=_splits(site, request, material),
        tokenizer=_write_tokenizer(site, material),
    )
    runs, best = _run_seeds(site, plan)
    if fault := fault_of_model(site, plan, best["seed"], best["best_epoch"]):
        site.reporter.warn(
            f"The best model so far, of seed {best['seed']}, is damaged ({fault}): that seed is "
            "trained again."
        )
        forget_seed(site, best["seed"])
        runs, best = _run_seeds(site, plan)
    metrics = _metrics(site, material, plan, runs, best["seed"])
    return Finished(
        files=_publish(site, plan, best, metrics),
        statistics={
            **{name: each for name, each in metrics.items() if name != "details"},
            "machine": machine.as_json(),
        },
    )


def _run_seeds(site: Site, plan: Plan) -> tuple[list[Mapping[str, Any]], Mapping[str, Any]]:
    """Return the figures of every seed's run, and those of the best."""
    settings = plan.request.settings
    runs: list[Mapping[str, Any]] = []
    for number in range(settings.seeds):
        phase = f"finetune, seed {number + 1} of {settings.seeds}"
        phase = "finetune" if settings.seeds == 1 else phase
        runs.append(run_seed(site, plan, settings.seed + number, phase=phase).result)
        best = runs[best_run(runs, plan.task.best_by)]
        keep_only(site, plan, {each["seed"]: each["best_epoch"] for each in runs}, best["seed"])
    return runs, runs[best_run(runs, plan.task.best_by)]


def _tell(site: Site, request: FinetuneRequest, material: Material) -> None:
    say = site.reporter.notice
    columns, settings = material.columns, request.settings
    train = material.examples["train"]
    if settings.text_column is None or settings.label_column is None:
        unused = [name for name in train.table.columns if name not in columns.used]
        rest = f"; not used: {', '.join(map(repr, unused))}" if unused else ""
        say(f"Columns, guessed from their names: {columns}{rest}.")
    for examples in material.examples.values():
        if missing := len(examples) - examples.num_labelled:
            say(
                f"{examples.table.path}: {missing:,} of {len(examples):,} rows have no label: "
                + ("left out." if examples is train else "predicted, not scored.")
            )
        if examples is not train and (copies := examples.num_also_in(train)):
            site.reporter.warn(
                f"{examples.table.path}: {copies:,} of {len(examples):,} rows are in the training "
                "file too: their scores tell what was remembered."
            )
    for group in alike_labels(material.labels):
        site.reporter.warn(
            f"The labels {', '.join(map(repr, group))} are told apart, each a class. If they mean "
            "the same, write them the same way."
        )
    if "validation" not in material.examples:
        say("No --validation file: the last epoch is taken, and the first seed's model.")
    if material.keeps_head:
        say("The model knows these labels already: its head is trained on.")


def _weights(site: Site, material: Material, task: Task) -> ModelFiles | None:
    """Read the weights to start from, with a head only where it fits the labels."""
    if material.start.directory is None:
        return None
    files = read_model(material.start.directory)
    if not any(name.startswith("bert.pooler.") for name in files.weights):
        site.reporter.notice(f"{files.directory} has no pooler: a new one is trained.")
    if material.keeps_head:
        return files
    encoder = {name: each for name, each in files.weights.items() if not name.startswith(task.head)}
    return replace(files, weights=encoder)


def _splits(site: Site, request: FinetuneRequest, material: Material) -> dict[str, Split]:
    encoder = WordPieceEncoder(material.start.vocabulary, material.start.normalization)
    splits: dict[str, Split] = {}
    for name, examples in material.examples.items():
        targets = np.array(material.label_ids[name], np.int64)
        if name == "train":
            examples, targets = examples.labelled(), targets[targets >= 0]
        sequences = encode(
            encoder,
            examples.texts,
            examples.text_pairs,
            max_seq_length=request.settings.max_seq_length,
        )
        _tell_cuts(site, request, examples, sequences)
        splits[name] = Split(sequences, targets)
    return splits


def _tell_cuts(
    site: Site, request: FinetuneRequest, examples: Examples, sequences: Sequences
) -> None:
    path = examples.table.path
    if sequences.num_cut:
        site.reporter.notice(
            f"{path}: {sequences.num_cut:,} of {len(sequences):,} texts have more than "
            f"{request.settings.max_seq_length} tokens (--max-seq-length): their ends are cut off."
        )
    if sequences.num_empty:
        site.reporter.warn(
            f"{path}: {sequences.num_empty:,} of {len(sequences):,} texts come to no token: "
            "nothing in them but what BERT drops, such as control and zero-width characters."
        )
    if sequences.unknown_share > _MANY_UNKNOWN:
        site.reporter.warn(
            f"{path}: {sequences.unknown_share:.0%} of the tokens are not in the vocabulary. Is it "
            "one for this language?"
        )


def _write_tokenizer(site: Site, material: Material) -> Path:
    directory = site.units.work / "aside" / "tokenizer"
    directory.mkdir(parents=True, exist_ok=True)
    start = material.start
    with naming(directory):
        write_tokenizer_files(
            start.vocabulary,
            start.normalization,
            directory,
            model_max_length=start.config.max_position_embeddings,
        )
    return directory


def _metrics(
    site: Site, material: Material, plan: Plan, runs: list[Mapping[str, Any]], best_seed: int
) -> dict[str, Any]:
    """Return what metrics.json says; the details are the best seed's."""
    examples, splits = material.examples, plan.splits
    scored = [name for name in SCORED if name in splits]
    return {
        "task": plan.request.settings.task,
        "labels": list(material.labels),
        **summary(runs),
        "baseline": commonest_label_baseline(examples),
        "best_seed": best_seed,
        "seeds": runs,
        "rows": {name: len(each) for name, each in examples.items()},
        "labelled_rows": {name: each.num_labelled for name, each in examples.items()},
        "cut_texts": {name: each.sequences.num_cut for name, each in splits.items()},
        "details": {
            name: plan.task.details(outputs_of(site, best_seed, name), splits[name].targets)
            for name in scored
        },
    }


def _publish(
    site: Site, plan: Plan, best: Mapping[str, Any], metrics: Mapping[str, Any]
) -> dict[str, FileRecord]:
    """Put model, results and predictions where they belong; repeatable at any moment."""
    aside = site.units.work / "aside"
    names = ["metrics.json"]
    write_json(site.directory / "metrics.json", metrics, aside=aside / "metrics.json")
    for name in (name for name in SCORED if name in plan.splits):
        outputs = outputs_of(site, best["seed"], name)
        file = f"predictions-{name}.jsonl"
        write_lines(aside / file, plan.task.predictions(outputs, plan.splits[name].targets))
        publish(aside / file, site.directory / file)
        names.append(file)
    source = best_model(site, plan, best["seed"], best["best_epoch"])
    shutil.rmtree(aside / MODEL, ignore_errors=True)
    (aside / MODEL).mkdir(parents=True)
    copy_files(source, aside / MODEL, MODEL_FILES)
    model = publish_model(aside / MODEL, site.directory)
    return {**{name: FileRecord.of(site.directory / name) for name in names}, **model}
