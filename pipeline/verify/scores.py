"""Figures of a task, computed again from its predictions.

N rows, C labels.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from . import checks
from .checks import Check
from .claim import Claim

Row = Mapping[str, Any]

_WRITTEN = 1e-6
"""Probabilities are written with six decimal places."""
_ALIKE = 1e-9


def prove_classification(claim: Claim, split: str, rows: Sequence[Row]) -> Iterator[Check]:
    """Yield whether names, probabilities and scores of a classifier's predictions hold together."""
    labels = claim.statistics["labels"]
    usable = [row for row in rows if _is_usable(row, labels)]
    yield checks.equal(f"{split}: rows with a probability for each label", len(usable), len(rows))
    if len(usable) < len(rows):
        return
    room = _WRITTEN * len(labels)
    summed = sum(abs(sum(row["probabilities"].values()) - 1) > room for row in rows)
    yield checks.none(f"{split}: probabilities add up to 1", summed)
    less = sum(
        row["probabilities"][row["prediction"]] < max(row["probabilities"].values()) - _WRITTEN
        for row in rows
    )
    yield checks.none(f"{split}: the likeliest label is predicted", less)
    labelled = [row for row in rows if row["label"] is not None]
    claimed = claim.statistics["labelled_rows"].get(split)
    yield checks.equal(f"{split}: labelled rows", len(labelled), claimed)
    figures = _best_seed(claim)[split] or {}
    for name, value in _scores(labelled, labels).items():
        if name not in figures:
            continue
        ok = math.isclose(value, figures[name], abs_tol=_ALIKE)
        yield Check(f"{split}: {name}", f"{value:.6f}", f"{figures[name]:.6f}", ok)
    if "loss" in figures:
        yield from _loss(split, labelled, figures["loss"])


def _is_usable(row: Row, labels: Sequence[str]) -> bool:
    probabilities = row.get("probabilities")
    return (
        isinstance(probabilities, dict)
        and list(probabilities) == list(labels)
        and all(isinstance(each, int | float) for each in probabilities.values())
        and row.get("prediction") in probabilities
        and (row.get("label", "") is None or row.get("label") in probabilities)
    )


def _best_seed(claim: Claim) -> Mapping[str, Any]:
    """Return the figures of the run whose predictions these are."""
    best = claim.statistics["best_seed"]
    return next(each for each in claim.statistics["seeds"] if each["seed"] == best)


def _scores(rows: Sequence[Row], labels: Sequence[str]) -> dict[str, float]:
    """Return accuracy, and the mean over the labels of their F1, 0 where there is none."""
    if not rows:
        return {}
    right = Counter(row["label"] for row in rows if row["label"] == row["prediction"])
    true = Counter(row["label"] for row in rows)
    predicted = Counter(row["prediction"] for row in rows)
    met = [label for label in labels if true[label] + predicted[label]]
    f1 = [2 * right[label] / (true[label] + predicted[label]) for label in met]
    return {"accuracy": sum(right.values()) / len(rows), "macro_f1": sum(f1) / len(met)}


def _loss(split: str, rows: Sequence[Row], claimed: float) -> Iterator[Check]:
    """Check the mean loss as far as rounded probabilities tell it."""
    probabilities = [row["probabilities"][row["label"]] for row in rows]
    if not probabilities or min(probabilities) <= _WRITTEN:
        return
    found = -sum(map(math.log, probabilities)) / len(probabilities)
    # Each is off by half of the last place at most, and the float32 it was by its own.
    room = sum(_WRITTEN / (each - _WRITTEN / 2) for each in probabilities) / len(probabilities)
    ok = abs(found - claimed) <= room
    yield Check(f"{split}: loss", f"{found:.6f}", f"{claimed:.6f} ± {room:.6f}", ok)
