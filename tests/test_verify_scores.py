from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, mean_absolute_error, mean_squared_error

from bertctl.pipeline.verify.claim import Claim
from bertctl.pipeline.verify.scores import (
    Row,
    prove_classification,
    prove_numbers,
    prove_several,
)

LABELS = ("a", "b", "c", "d")


def claim(labelled: int, **figures: float) -> Claim:
    statistics = {
        "labels": list(LABELS),
        "labelled_rows": {"test": labelled},
        "best_seed": 2,
        "seeds": [{"seed": 1, "test": {}}, {"seed": 2, "test": figures}],
    }
    return Claim(Path(), {"statistics": statistics})


def faults(checks: Any) -> set[str]:
    found = list(checks)
    assert found
    return {each.name.removeprefix("test: ") for each in found if not each.ok}


def several(count: int) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Rows of several labels each, one unlabelled, and what scikit-learn says of them."""
    random = np.random.default_rng(5)
    probabilities = random.random((count, len(LABELS))).round(6)
    truth = random.random((count, len(LABELS))) < 0.4
    truth[:, 3] = False
    probabilities[:, 3] = 0.1
    rows = [
        {
            "labels": [LABELS[each] for each in np.flatnonzero(truth[row])],
            "predictions": [LABELS[each] for each in np.flatnonzero(probabilities[row] > 0.5)],
            "probabilities": dict(zip(LABELS, probabilities[row].tolist(), strict=True)),
        }
        for row in range(count)
    ]
    said = probabilities > 0.5
    rows.append({**rows[0], "labels": None})
    return rows, {
        "micro_f1": f1_score(truth, said, average="micro"),
        # The last label is nobody's and never said: it doesn't count.
        "macro_f1": f1_score(truth[:, :3], said[:, :3], average="macro"),
        "exact_match": accuracy_score(truth, said),
        "loss": 9.0,
    }


def test_several_labels_come_to_the_figures_of_scikit_learn() -> None:
    rows, figures = several(37)
    assert faults(prove_several(claim(37, **figures), "test", rows)) == set()
    for name in ("micro_f1", "macro_f1", "exact_match"):
        other = {**figures, name: figures[name] + 1e-4}
        assert faults(prove_several(claim(37, **other), "test", rows)) == {name}


def test_fault_in_rows_of_several_labels_is_found() -> None:
    rows, figures = several(37)
    assert faults(prove_several(claim(38, **figures), "test", rows)) == {"labelled rows"}
    said = rows[2]["predictions"]
    assert said
    for other in (said[1:], list(LABELS)):
        rows[2]["predictions"] = other
        found = faults(prove_several(claim(37, **figures), "test", rows))
        assert "labels likelier than not are predicted" in found
    rows[3]["labels"] = ["e"]
    found = faults(prove_several(claim(37, **figures), "test", rows))
    assert found == {"rows with a probability for each label"}


def test_numbers_come_to_the_errors_of_scikit_learn() -> None:
    random = np.random.default_rng(6)
    truth = random.normal(size=41) * 30
    predicted = truth + random.normal(size=41) * 5
    figures = {
        "mse": mean_squared_error(truth, predicted),
        "mae": mean_absolute_error(truth, predicted),
    }
    rows: Sequence[Row] = [
        *(
            {"label": one, "prediction": round(other, 6)}
            for one, other in zip(truth.tolist(), predicted.tolist(), strict=True)
        ),
        {"label": None, "prediction": 3.5},
    ]
    assert faults(prove_numbers(claim(41, **figures), "test", rows)) == set()
    for name in figures:
        other = {**figures, name: figures[name] + 1e-3}
        assert faults(prove_numbers(claim(41, **other), "test", rows)) == {name}
    bad = [*rows, {"label": 1.0, "prediction": None}]
    assert faults(prove_numbers(claim(41, **figures), "test", bad)) == {"rows with a number"}


@pytest.mark.parametrize("count", [3, 53])
def test_single_labels_come_to_the_figures_of_scikit_learn(count: int) -> None:
    random = np.random.default_rng(count)
    probabilities = random.dirichlet(np.ones(len(LABELS)), count)
    truth = random.integers(0, 3, count)
    said = probabilities.argmax(axis=1)
    met = sorted({*truth.tolist(), *said.tolist()})
    figures = {
        "accuracy": accuracy_score(truth, said),
        "macro_f1": f1_score(truth, said, average="macro", labels=met),
        "loss": float(-np.log(probabilities[np.arange(count), truth]).mean()),
    }
    rows = [
        {
            "label": LABELS[truth[row]],
            "prediction": LABELS[said[row]],
            "probabilities": dict(zip(LABELS, probabilities[row].round(6).tolist(), strict=True)),
        }
        for row in range(count)
    ]
    assert faults(prove_classification(claim(count, **figures), "test", rows)) == set()
    for name in ("accuracy", "macro_f1"):
        other = {**figures, name: figures[name] + 1e-4}
        assert faults(prove_classification(claim(count, **other), "test", rows)) == {name}
