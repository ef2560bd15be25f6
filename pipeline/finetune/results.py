"""Several runs turned into one result: means, deviations, and who is best."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..training.writing import naming
from .examples import Examples
from .task import Figures

SCORED = ("validation", "test")

Run = Mapping[str, Any]
"""What one seed came to: its `seed`, `best_epoch`, `epochs`, and figures by the names in SCORED."""


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


def summary(runs: Sequence[Run]) -> dict[str, Any]:
    """Return mean and sample standard deviation of each figure over the runs, None for one run."""
    means: dict[str, Any] = {}
    deviations: dict[str, Any] = {}
    for name in SCORED:
        scored: list[Figures] = [run[name] for run in runs if run[name] is not None]
        if not scored:
            means[name] = deviations[name] = None
            continue
        means[name] = {each: statistics.fmean(s[each] for s in scored) for each in scored[0]}
        if len(runs) > 1:
            deviations[name] = {
                each: statistics.stdev(s[each] for s in scored) for each in scored[0]
            }
    return {"mean": means, "sd": deviations if len(runs) > 1 else None}


def commonest_label_baseline(examples: Mapping[str, Examples]) -> dict[str, Any]:
    """Return the accuracy of always naming the commonest label of the training rows."""
    counts = Counter(label for label in examples["train"].labels if label is not None)
    commonest = min(counts, key=lambda label: (-counts[label], label))
    accuracies = {
        name: examples[name].labels.count(commonest) / examples[name].num_labelled
        for name in SCORED
        if name in examples and examples[name].num_labelled
    }
    return {"label": commonest, "accuracy": accuracies}


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object a line, each with its row's number, from 1."""
    with naming(path), path.open("w", encoding="utf-8", newline="\n") as file:
        for number, row in enumerate(rows, start=1):
            file.write(json.dumps({"row": number, **row}, ensure_ascii=False) + "\n")
