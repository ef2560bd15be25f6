"""Figures from counts and from columns of numbers, for rows of any task."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def class_counts(labels: Ints, predicted: Ints, num_classes: int) -> tuple[Ints, Ints, Ints]:
    """Count (C,) how often each class is named rightly, is named, and is true."""
    right = labels[labels == predicted]
    right, said, true = (
        np.bincount(each, minlength=num_classes) for each in (right, predicted, labels)
    )
    return right, said, true


def accuracy(labels: Ints, predicted: Ints) -> float:
    """Return the share of rows whose class is named."""
    return float((labels == predicted).mean())


def macro_f1(labels: Ints, predicted: Ints, num_classes: int) -> float:
    """Return the mean F1 over the classes that occur among labels or predictions.

    A class that is never named rightly has F1 0.
    """
    right, said, true = class_counts(labels, predicted, num_classes)
    # F1 = 2 TP / (labelled so + predicted so): the harmonic mean of precision and recall.
    total = said + true
    occurs = total > 0
    return float(np.mean(2 * right[occurs] / total[occurs]))


def log_softmax(logits: npt.NDArray[np.float32]) -> Floats:
    """Turn logits (N, C) into log-probabilities (N, C), in float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def sigmoid(logits: npt.NDArray[np.float32]) -> Floats:
    """Turn logits into probabilities, in float64."""
    return 0.5 * (1 + np.tanh(0.5 * logits.astype(np.float64)))


def share(part: float, whole: float) -> float:
    """Return part / whole, 0 where the whole is nothing."""
    return float(part / whole) if whole else 0.0


def f1(right: float, predicted: float, true: float) -> float:
    """Return the F1 of `right` among what was predicted and what is true; 0 of nothing."""
    return share(2 * right, predicted + true)


def pearson(a: Floats, b: Floats) -> float:
    """Return the correlation of two columns; 0 where one of them never changes."""
    a, b = a - a.mean(), b - b.mean()
    return share(float(a @ b), float(np.sqrt((a @ a) * (b @ b))))


def spearman(a: Floats, b: Floats) -> float:
    """Return the correlation of two columns' ranks."""
    return pearson(ranks(a), ranks(b))


def ranks(values: Floats) -> Floats:
    """Return each value's rank from 1, equal ones the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]
