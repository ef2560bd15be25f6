"""Several runs turned into one result: means, deviations, intervals, and who is best."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..randomness import KeyedRandom
from ..training.writing import naming
from .examples.examples import Examples
from .tasks.task import Figures, Items, Judgement, Task

SCORED = ("validation", "test")
LEVEL = 0.95
_SAMPLES = 1000
_LENGTHS = (16, 32, 64, 128, 256, 512)
"""Upper ends of the table by length, in tokens"""
_NUM_ERRORS = 20
_EXCERPT = 200
"""Characters of a text that are shown beside a wrong answer"""

Run = Mapping[str, Any]
"""What one run came to: its `seed`, `best_epoch`, `epochs`, and figures by the names in SCORED."""


def best_place(figures: Sequence[Figures | None], by: str) -> int:
    """Return where the greatest figure stands, the first of equals; the last if none has any."""
    known = [place for place, each in enumerate(figures) if each is not None]
    if not known:
        return len(figures) - 1
    return max(known, key=lambda place: (figures[place] or {})[by])


def best_run(runs: Sequence[Run], by: str) -> int:
    """Return the place of the run that is best by validation; the first where there is none."""
    validation = [run["validation"] for run in runs]
    return best_place(validation, by) if any(validation) else 0


def mean_of(runs: Sequence[Run], name: str) -> dict[str, float] | None:
    """Return the mean of each figure over runs; None where they have none."""
    scored: list[Figures] = [run[name] for run in runs if run[name] is not None]
    if not scored:
        return None
    return {each: statistics.fmean(s[each] for s in scored) for each in scored[0]}


def deviation_of(runs: Sequence[Run], name: str) -> dict[str, float] | None:
    """Return the sample standard deviation of each figure over runs; None for fewer than two."""
    scored: list[Figures] = [run[name] for run in runs if run[name] is not None]
    if len(scored) < 2:
        return None
    return {each: statistics.stdev(s[each] for s in scored) for each in scored[0]}


def summary(runs: Mapping[str, Sequence[Run]]) -> dict[str, Any]:
    """Return mean and deviation by part; `runs` has those that each part was scored in."""
    return {
        "mean": {name: mean_of(each, name) for name, each in runs.items()},
        "sd": {name: deviation_of(each, name) for name, each in runs.items()}
        if max(map(len, runs.values())) > 1
        else None,
    }


def baseline(task: Task, examples: Mapping[str, Examples[Any]]) -> dict[str, Any]:
    """Return what saying always the same would come to: figures by part, words as they are."""
    told: dict[str, Any] = {}
    for name in (name for name in SCORED if name in examples):
        for figure, value in (task.baseline(examples["train"], examples[name]) or {}).items():
            if isinstance(value, float):
                told.setdefault(figure, {})[name] = value
            else:
                told[figure] = value
    return told


def intervals(judged: Judgement, *, seed: int, name: str) -> dict[str, list[float]] | None:
    """Return between what each figure would lie for other rows of the same kind (bootstrap).

    The middle LEVEL of the figures of 1,000 draws with replacement, as many rows each (Efron 1979);
    what is drawn is keyed by `seed` and the part's name.
    """
    count = len(judged.scored)
    if not count:
        return None
    random = KeyedRandom(seed, "bootstrap", name)
    bounds = np.full(count, count)
    drawn = [judged.figures(judged.statistics[random.below(bounds)]) for _ in range(_SAMPLES)]
    tail = (1 - LEVEL) / 2
    return {
        figure: np.quantile([each[figure] for each in drawn], (tail, 1 - tail)).tolist()
        for figure in drawn[0]
    }


def by_length(judged: Judgement, items: Items) -> dict[str, dict[str, float]]:
    """Return the figures of rows of about one length, in tokens."""
    lengths = items.row_lengths[judged.scored]
    place = np.searchsorted(_LENGTHS, lengths)
    told: dict[str, dict[str, float]] = {}
    for number in np.unique(place).tolist():
        low = _LENGTHS[number - 1] + 1 if number else 1
        high = f"{_LENGTHS[number]}" if number < len(_LENGTHS) else "more"
        chosen = place == number
        told[f"{low}-{high}"] = {
            "rows": int(chosen.sum()),
            **judged.figures(judged.statistics[chosen]),
        }
    return told


def worst_errors(judged: Judgement, examples: Examples[Any]) -> list[dict[str, Any]]:
    """Return the wrong answers that the model is surest of, the surest first, with their texts."""
    wrong = np.flatnonzero(judged.wrong)
    order = wrong[np.argsort(-judged.confidence[wrong], kind="stable")[:_NUM_ERRORS]]
    return [
        {
            "row": row + 1,
            "confidence": float(judged.confidence[place]),
            **_excerpt(examples.rows[row]),
            **{
                name: value
                for name, value in judged.tell(row).items()
                if name not in ("probabilities", "n_best")
            },
        }
        for place, row in zip(order.tolist(), judged.scored[order].tolist(), strict=True)
    ]


def _excerpt(row: Any) -> dict[str, Any]:
    """Return the beginning of what was read, where predictions don't tell it."""
    read = {name: getattr(row, name, None) for name in ("text", "text_pair")}
    told: dict[str, Any] = {
        name: f"{text:.{_EXCERPT}}" for name, text in read.items() if text is not None
    }
    if choices := getattr(row, "choices", None):
        told["choices"] = [f"{choice:.{_EXCERPT}}" for choice in choices]
    return told


def details(judged: Judgement, items: Items, examples: Examples[Any]) -> dict[str, Any] | None:
    """Return what is more than a figure; None where nothing is scored."""
    if not len(judged.scored):
        return None
    return {
        **judged.tables,
        "per_length": by_length(judged, items),
        "most_confident_errors": worst_errors(judged, examples),
    }


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object a line, each with its row's number, from 1."""
    with naming(path), path.open("w", encoding="utf-8", newline="\n") as file:
        for number, row in enumerate(rows, start=1):
            file.write(json.dumps({"row": number, **row}, ensure_ascii=False) + "\n")
