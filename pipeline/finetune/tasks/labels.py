"""What tasks with named labels share: their configuration, weights and tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..settings import FinetuneSettings
from .metrics import class_counts, f1, share
from .sequences import Ints
from .task import Floats, Targets


def label_config(labels: Sequence[str]) -> dict[str, Any]:
    """Return the names of labels as config.json has them."""
    return {
        "id2label": {str(id): name for id, name in enumerate(labels)},
        "label2id": {name: id for id, name in enumerate(labels)},
    }


def class_weights(targets: Targets, num_labels: int, settings: FinetuneSettings) -> Floats | None:
    """Return what each class weighs (C,), so that all sum up to the same; None for one each.

    A class without a target weighs nothing.
    """
    if settings.class_weights == "none":
        return None
    counts = np.bincount(targets[targets >= 0], minlength=num_labels)
    occurs = counts > 0
    weights = np.zeros(num_labels)
    weights[occurs] = counts.sum() / (occurs.sum() * counts[occurs])
    return weights


def confusion_table(
    truth: Ints, predicted: Ints, labels: Sequence[str]
) -> dict[str, dict[str, int]]:
    """Return how often each label was taken for each other, by name, where it ever was.

    `truth`, `predicted`: (R,) ids of labels.
    """
    cells, counts = np.unique(truth * len(labels) + predicted, return_counts=True)
    table: dict[str, dict[str, int]] = {}
    for cell, count in zip(cells.tolist(), counts.tolist(), strict=True):
        name, other = (labels[int(each)] for each in divmod(cell, len(labels)))
        table.setdefault(name, {})[other] = count
    return table


def per_class(truth: Ints, predicted: Ints, labels: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return precision, recall, F1 and number of rows of each label that occurs or is predicted."""
    right, said, true = class_counts(truth, predicted, len(labels))
    return {
        name: class_figures(int(right[id]), int(said[id]), int(true[id]))
        for id, name in enumerate(labels)
        if true[id] or said[id]
    }


def class_figures(right: int, predicted: int, true: int) -> dict[str, float]:
    """Return the figures of one class from counts."""
    return {
        "precision": share(right, predicted),
        "recall": share(right, true),
        "f1": f1(right, predicted, true),
        "support": true,
    }
