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
    yield _count_labelled(claim, split, labelled)
    yield from _compared(claim, split, _scores(labelled, labels))
    figures = _best_seed(claim)[split] or {}
    if "loss" in figures:
        yield from _loss(split, labelled, figures["loss"])


def prove_several(claim: Claim, split: str, rows: Sequence[Row]) -> Iterator[Check]:
    """Yield the same of rows that have any number of labels."""
    labels = claim.statistics["labels"]
    usable = sum(
        list(row.get("probabilities") or ()) == list(labels)
        and set(row.get("predictions", ("",))) <= set(labels)
        and set(row.get("labels") or ()) <= set(labels)
        for row in rows
    )
    yield checks.equal(f"{split}: rows with a probability for each label", usable, len(rows))
    if usable < len(rows):
        return
    other = sum(
        (probability > 0.5 + _WRITTEN) > (name in row["predictions"])
        or (probability < 0.5 - _WRITTEN) > (name not in row["predictions"])
        for row in rows
        for name, probability in row["probabilities"].items()
    )
    yield checks.none(f"{split}: labels likelier than not are predicted", other)
    labelled = [row for row in rows if row["labels"] is not None]
    yield _count_labelled(claim, split, labelled)
    pairs = [(set(row["labels"]), set(row["predictions"])) for row in labelled]
    right, true, said = (
        Counter(each for pair in pairs for each in chosen(*pair))
        for chosen in (set.__and__, lambda true, _: true, lambda _, said: said)
    )
    met = [label for label in labels if true[label] + said[label]]
    f1 = [2 * right[label] / (true[label] + said[label]) for label in met]
    total = sum(true.values()) + sum(said.values())
    found = {
        "micro_f1": 2 * sum(right.values()) / total if total else 0.0,
        "macro_f1": sum(f1) / len(met) if met else 0.0,
        "exact_match": sum(true == said for true, said in pairs) / max(len(pairs), 1),
    }
    yield from _compared(claim, split, found if labelled else {})


def prove_numbers(claim: Claim, split: str, rows: Sequence[Row]) -> Iterator[Check]:
    """Yield whether the errors of predicted numbers come to the figures."""
    usable = sum(isinstance(row.get("prediction"), int | float) for row in rows)
    yield checks.equal(f"{split}: rows with a number", usable, len(rows))
    if usable < len(rows):
        return
    labelled = [row for row in rows if row["label"] is not None]
    yield _count_labelled(claim, split, labelled)
    errors = [row["prediction"] - row["label"] for row in labelled]
    if not errors:
        return
    mae = sum(map(abs, errors)) / len(errors)
    found = {"mse": sum(each**2 for each in errors) / len(errors), "mae": mae}
    # Predictions are written with six decimal places, labels as they were.
    yield from _compared(claim, split, found, room=_WRITTEN * (1 + 2 * mae))


def _count_labelled(claim: Claim, split: str, labelled: Sequence[Row]) -> Check:
    claimed = claim.statistics["labelled_rows"].get(split)
    return checks.equal(f"{split}: labelled rows", len(labelled), claimed)


def _compared(
    claim: Claim, split: str, found: Mapping[str, float], *, room: float = _ALIKE
) -> Iterator[Check]:
    """Hold figures against those of the run whose predictions these are."""
    figures = _best_seed(claim)[split] or {}
    for name, value in found.items():
        if name in figures:
            ok = math.isclose(value, figures[name], abs_tol=room)
            yield Check(f"{split}: {name}", f"{value:.6f}", f"{figures[name]:.6f}", ok)


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
