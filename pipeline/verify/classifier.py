"""Proof of a fine-tuning: a prediction for every row, and figures that come out of them again."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..stage.report import Reporter
from . import checks
from .checks import Check
from .claim import Claim
from .model import prove_model, read_config
from .scores import prove_classification, prove_numbers, prove_several

_SPLITS = ("validation", "test")
_ALIKE = 1e-9
_NOT_FIGURES = ("details", "machine")

Row = Mapping[str, Any]
Scorer = Callable[[Claim, str, Sequence[Row]], Iterator[Check]]
"""Yields what the predictions for a split's rows say."""

_SCORERS: Mapping[str, Scorer] = {
    "sequence-classification": prove_classification,
    "regression": prove_numbers,
}
"""Task → what its predictions are held against; of others their number is all that is checked."""


def prove(claim: Claim, reporter: Reporter) -> Iterator[Check]:
    """Yield what the model, the predictions and the figures say."""
    yield from prove_model(claim.directory / "model", reporter)
    yield from _labels(claim)
    yield from _metrics(claim)
    scorer = _scorer(claim)
    for split in _SPLITS:
        name = f"predictions-{split}.jsonl"
        if split not in claim.statistics["rows"]:
            continue
        rows = _read_rows(claim.directory / name)
        if rows is None:
            yield Check(name, "not readable", "a JSON object a line", ok=False)
            continue
        yield checks.equal(f"{split}: predictions", len(rows), claim.statistics["rows"][split])
        numbered = sum(row.get("row") == number for number, row in enumerate(rows, start=1))
        yield checks.equal(f"{split}: rows in their order", numbered, len(rows))
        if scorer is not None:
            yield from scorer(claim, split, rows)


def _scorer(claim: Claim) -> Scorer | None:
    """Return what holds the predictions against figures; None where that isn't known."""
    what = claim.what
    # Of windows that vote it isn't the likeliest label that is predicted.
    if what.get("window_pooling") == "vote":
        return None
    several = what.get("problem_type") == "multi_label_classification"
    return prove_several if several else _SCORERS.get(what["task"])


def _read_rows(path: Path) -> list[Row] | None:
    try:
        with path.open(encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
    except (OSError, ValueError):
        return None
    return rows if all(isinstance(row, dict) for row in rows) else None


def _labels(claim: Claim) -> Iterator[Check]:
    """Hold the labels against those that the model's configuration names, in their order."""
    labels = claim.statistics.get("labels")
    named = (read_config(claim.directory / "model") or {}).get("id2label")
    if not labels or not isinstance(named, dict):
        return
    same = sum(named.get(str(number)) == label for number, label in enumerate(labels))
    yield checks.equal("labels in config.json", same, len(labels))


def _metrics(claim: Claim) -> Iterator[Check]:
    """Check that metrics.json says what the manifest does, and means what the seeds came to."""
    try:
        told = json.loads((claim.directory / "metrics.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        told = {}
    names = [name for name in claim.statistics if name not in _NOT_FIGURES]
    same = sum(told.get(name) == claim.statistics[name] for name in names)
    yield checks.equal("figures in metrics.json as in the manifest", same, len(names))
    seeds, means = claim.statistics.get("seeds"), claim.statistics.get("mean")
    if not seeds or not means:
        return
    for split in _SPLITS:
        figures = means.get(split) or {}
        runs, what = seeds, "seeds"
        if split == "validation" and claim.statistics.get("folds"):
            # Training rows validate in turn, and the runs with a model saw all of them.
            runs, what = claim.statistics["folds"], "folds"
        off = [
            name
            for name, mean in figures.items()
            if not math.isclose(
                statistics.fmean(run[split][name] for run in runs), mean, abs_tol=_ALIKE
            )
        ]
        if figures:
            shown = f"not {', '.join(off)}" if off else "all"
            yield Check(f"{split}: means over {len(runs):,} {what}", shown, "all", not off)
