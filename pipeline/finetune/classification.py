"""Sequence classification as a task: one of several labels for a text or a pair.

N rows, C labels. Outputs are logits (N, C) float32, targets label ids (N,) int64, -1 = unlabelled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from ...model.config import BertConfig
from ...model.finetuning import BertForSequenceClassification
from ...model.precision import Precision
from .metrics import accuracy, confusion_matrix, log_softmax, macro_f1
from .task import Figures, Outputs, Targets, Task

_DIGITS = 6
"""Decimal places of a probability that is written down."""


def classification(labels: Sequence[str]) -> Task:
    """Return the task of telling these labels apart; a label's place is its id."""

    def build(config: BertConfig, precision: Precision) -> BertForSequenceClassification:
        return BertForSequenceClassification(config, num_labels=len(labels), precision=precision)

    return Task(
        architecture="BertForSequenceClassification",
        head="classifier.",
        config={
            "id2label": {str(id): name for id, name in enumerate(labels)},
            "label2id": {name: id for id, name in enumerate(labels)},
            "problem_type": "single_label_classification",
        },
        build=build,
        loss_sum=_loss_sum,
        measure=_measure,
        best_by="accuracy",
        details=partial(_details, labels=labels),
        predictions=partial(_predictions, labels=labels),
    )


def _loss_sum(logits: Tensor, label_ids: Tensor) -> Tensor:
    return F.cross_entropy(logits, label_ids, reduction="sum")


def _measure(logits: Outputs, label_ids: Targets) -> Figures | None:
    """Return accuracy, macro-F1 and the mean loss in nats over the labelled rows."""
    labelled = np.flatnonzero(label_ids >= 0)
    if not len(labelled):
        return None
    confusion = _confusion(logits, label_ids)
    log_probs = log_softmax(logits)[labelled, label_ids[labelled]]
    return {
        "accuracy": accuracy(confusion),
        "macro_f1": macro_f1(confusion),
        "loss": float(-log_probs.mean()),
    }


def _details(
    logits: Outputs, label_ids: Targets, labels: Sequence[str]
) -> Mapping[str, Any] | None:
    """Return how often each label was taken for each other, by name, where it ever was."""
    if not (label_ids >= 0).any():
        return None
    confusion = _confusion(logits, label_ids)
    return {
        "confusion": {
            name: {labels[other]: int(row[other]) for other in np.flatnonzero(row).tolist()}
            for name, row in zip(labels, confusion, strict=True)
            if row.any()
        }
    }


def _confusion(logits: Outputs, label_ids: Targets) -> np.ndarray[Any, np.dtype[np.int64]]:
    labelled = label_ids >= 0
    predicted = logits.argmax(axis=1)
    return confusion_matrix(label_ids[labelled], predicted[labelled], logits.shape[1])


def _predictions(
    logits: Outputs, label_ids: Targets, labels: Sequence[str]
) -> Iterator[dict[str, Any]]:
    probabilities = np.exp(log_softmax(logits)).round(_DIGITS)
    predicted = logits.argmax(axis=1)
    for row, label_id in enumerate(label_ids.tolist()):
        yield {
            "label": labels[label_id] if label_id >= 0 else None,
            "prediction": labels[predicted[row]],
            "probabilities": dict(zip(labels, probabilities[row].tolist(), strict=True)),
        }
