"""A whole fine-tuning: rows encoded, every run taken, and the best one published."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..stage.engine import Finished, Site
from ..stage.files import FileRecord, publish, write_json
from ..training.machine import set_up
from ..training.model_files import publish_model, read_model
from ..training.model_layout import MODEL
from ..training.writing import naming
from ..wordpiece.files import write_tokenizer_files
from .attempts import Attempt
from .beginning import Beginning
from .choosing_runs import Outcome, results_of, take_runs
from .kept import best_model, outputs_of
from .parts import encode_parts
from .plan import Plan
from .request import FinetuneRequest, Material
from .results import LEVEL, SCORED, baseline, details, intervals, summary, write_lines
from .tasks.task import Judgement
from .telling import tell_of_files, tell_of_reading, tell_of_results


def run(site: Site, request: FinetuneRequest, material: Material, beginning: Beginning) -> Finished:
    """Train as often as is asked for and publish the best model, with all results."""
    settings = material.settings
    machine = set_up(request.numerics, longest=settings.max_seq_length)
    tell_of_files(site.reporter, request, material)
    plan = Plan(
        request=replace(request, settings=settings),
        machine=machine,
        task=beginning.task,
        start=material.start,
        weights=beginning.weights,
        train=material.examples["train"],
        parts=encode_parts(beginning.task, beginning.encoder, beginning.examples),
        encoder=beginning.encoder,
        tokenizer=_write_tokenizer(site, material),
    )
    tell_of_reading(site.reporter, settings, plan.parts)
    outcome = take_runs(site, plan)
    judged = _judged(site, plan, outcome)
    metrics = _metrics(material, plan, outcome, judged)
    files = _publish(site, plan, outcome, judged, metrics)
    tell_of_results(site.reporter, metrics)
    return Finished(
        files=files,
        statistics={
            **{name: each for name, each in metrics.items() if name != "details"},
            "machine": machine.as_json(),
        },
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


def _judged(site: Site, plan: Plan, outcome: Outcome) -> dict[str, Judgement]:
    """Return what the best run makes of the files that are scored or predicted."""
    attempt, result = outcome.best
    return {
        name: _judgement(site, plan, attempt, result, name) for name in SCORED if name in plan.parts
    }


def _judgement(
    site: Site, plan: Plan, attempt: Attempt, result: Mapping[str, Any], name: str
) -> Judgement:
    part = plan.parts_of(attempt)[name]
    outputs = outputs_of(site, attempt, name)
    return plan.task.judge(part.items, outputs, part.examples, result["tuned"])


def _metrics(
    material: Material, plan: Plan, outcome: Outcome, judged: Mapping[str, Judgement]
) -> dict[str, Any]:
    """Return what metrics.json says; intervals and details are the best run's."""
    settings, parts = material.settings, plan.parts
    best_seed = outcome.best[0].seed
    scored = {"validation": outcome.validated, "test": outcome.final}
    told: dict[str, Any] = {
        "task": settings.task,
        "labels": list(material.known.labels),
        "best_by": plan.task.best_by,
        **summary({name: results_of(runs) for name, runs in scored.items()}),
        "interval": {
            "level": LEVEL,
            **{
                name: intervals(each, seed=settings.seed, name=name)
                for name, each in judged.items()
            },
        },
        "baseline": baseline(plan.task, material.examples),
        "best_seed": best_seed,
        "seeds": results_of(outcome.final),
        "rows": {name: len(each) for name, each in material.examples.items()},
        "labelled_rows": {name: each.num_labelled for name, each in material.examples.items()},
        "cut_texts": {name: each.items.num_cut for name, each in parts.items()},
        "windowed_texts": {name: each.items.num_windowed for name, each in parts.items()},
    }
    if settings.grid:
        told["grid"] = outcome.table()
    if settings.folds is not None:
        told["folds"] = [
            {"fold": (attempt.fold or 0) + 1, **result} for attempt, result in outcome.validated
        ]
    told["details"] = {
        name: details(each, parts[name].items, parts[name].examples)
        for name, each in judged.items()
    }
    return told


def _publish(
    site: Site,
    plan: Plan,
    outcome: Outcome,
    judged: Mapping[str, Judgement],
    metrics: Mapping[str, Any],
) -> dict[str, FileRecord]:
    """Put model, results and predictions where they belong; repeatable at any moment."""
    aside = site.units.work / "aside"
    names = ["metrics.json"]
    write_json(site.directory / "metrics.json", metrics, aside=aside / "metrics.json")
    predictions: dict[str, Iterable[dict[str, Any]]] = {
        name: map(each.tell, _rows(plan, name)) for name, each in judged.items()
    }
    if plan.request.settings.folds is not None:
        predictions["validation"] = _out_of_fold(site, plan, outcome)
    for name, rows in predictions.items():
        file = f"predictions-{name}.jsonl"
        write_lines(aside / file, rows)
        publish(aside / file, site.directory / file)
        names.append(file)
    attempt, result = outcome.best
    weights = read_model(best_model(site, attempt, result)).weights
    shutil.rmtree(aside / MODEL, ignore_errors=True)
    plan.model_writer(result["tuned"])(aside / MODEL, plan.task.as_kept(dict(weights)))
    model = publish_model(aside / MODEL, site.directory)
    return {**{name: FileRecord.of(site.directory / name) for name in names}, **model}


def _rows(plan: Plan, name: str) -> range:
    return range(len(plan.parts[name].examples))


def _out_of_fold(site: Site, plan: Plan, outcome: Outcome) -> Iterator[dict[str, Any]]:
    """Yield each training row as the run says that didn't learn it, of the first seed."""
    first = [taken for taken in outcome.validated if taken[0].seed == plan.request.settings.seed]
    told: dict[int, dict[str, Any]] = {}
    for attempt, result in first:
        judged = _judgement(site, plan, attempt, result, "validation")
        numbers = plan.parts_of(attempt)["validation"].examples.numbers
        told |= {number: judged.tell(row) for row, number in enumerate(numbers)}
    return (told[number] for number in sorted(told))
