"""Sequence classification as a task: one of several labels for a text or a pair.

R rows, I items (windows of a row), C labels. Outputs are logits (I, C) float32, targets label ids
(I,) int64, -1 where there is none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ....model.config import BertConfig
from ....model.finetuning import BertForSequenceClassification
from ....model.precision import Precision
from ...wordpiece.encode import WordPieceEncoder
from ..examples.examples import Examples, Known
from ..examples.texts import TextRow
from ..settings import FinetuneSettings
from .labels import class_weights, confusion_table, label_config, per_class
from .metrics import accuracy, log_softmax, macro_f1
from .sequences import Ints
from .task import Batch, Figures, Floats, Items, Judgement, Outputs, Targets, Task
from .texts import encode_texts, pooled_log_probs, pooled_mean

DIGITS = 6
"""Decimal places of a probability that is written down."""


def classes(known: Known, settings: FinetuneSettings, train: Examples[TextRow]) -> Task:
    """Return the task of telling labels apart; a label's place is its id."""
    labels = known.labels
    label_ids = known.label_ids

    def targets(examples: Examples[TextRow]) -> Ints:
        ids = [-1 if row.label is None else label_ids[row.label] for row in examples.rows]
        return np.array(ids, np.int64)

    def encode(encoder: WordPieceEncoder, examples: Examples[TextRow]) -> Items:
        return encode_texts(encoder, examples, targets(examples), settings)

    def build(config: BertConfig, precision: Precision) -> BertForSequenceClassification:
        return BertForSequenceClassification(config, num_labels=len(labels), precision=precision)

    weights = class_weights(targets(train), len(labels), settings)
    return Task(
        architecture="BertForSequenceClassification",
        head="classifier.",
        config={**label_config(labels), **known.config},
        encode=encode,
        build=build,
        scores=lambda model, tokens, key: model(tokens, key),
        loss_sum=partial(weighted_cross_entropy, weights=weights),
        mass=partial(weighted_mass, weights=weights),
        best_by="accuracy",
        judge=partial(_judge, labels=labels, votes=settings.window_pooling == "vote"),
        baseline=_always_the_commonest,
    )


def weighted_cross_entropy(batch: Batch, *, weights: Floats | None) -> Tensor:
    """Return the summed cross-entropy of sites that have a target, each weighing as its class."""
    each = None if weights is None else torch.from_numpy(weights).to(batch.outputs)
    return F.cross_entropy(
        batch.outputs, batch.targets, weight=each, reduction="sum", ignore_index=-1
    )


def weighted_mass(targets: Targets, *, weights: Floats | None) -> float:
    """Return the summed weight of the targets there are."""
    there = targets[targets >= 0]
    return float(len(there) if weights is None else weights[there].sum())


def _judge(
    items: Items,
    outputs: Outputs,
    examples: Examples[TextRow],
    tuned: Mapping[str, Any],
    *,
    labels: Sequence[str],
    votes: bool,
) -> Judgement:
    log_probs = pooled_log_probs(log_softmax(outputs), items)
    predicted = log_probs.argmax(axis=1)
    if votes:
        votes_for = outputs.argmax(axis=1)[:, None] == np.arange(len(labels))
        voted = pooled_mean(votes_for.astype(np.float64), items)
        # Of labels with as many votes the likelier one.
        predicted = np.where(voted == voted.max(axis=1, keepdims=True), log_probs, -np.inf).argmax(
            axis=1
        )
    truth = np.full(items.num_rows, -1)
    truth[items.rows] = items.targets
    scored = np.flatnonzero(truth >= 0)
    statistics = np.stack(
        [truth[scored], predicted[scored], -log_probs[scored, truth[scored]]], axis=1
    ).astype(np.float64)
    probabilities = np.exp(log_probs)
    told = probabilities.round(DIGITS)

    def tell(row: int) -> dict[str, Any]:
        return {
            "label": labels[truth[row]] if truth[row] >= 0 else None,
            "prediction": labels[predicted[row]],
            "probabilities": dict(zip(labels, told[row].tolist(), strict=True)),
        }

    return Judgement(
        scored=scored,
        statistics=statistics,
        figures=partial(_figures, num_labels=len(labels)),
        tell=tell,
        wrong=truth[scored] != predicted[scored],
        confidence=probabilities[scored, predicted[scored]],
        tables={
            "confusion": confusion_table(truth[scored], predicted[scored], labels),
            "per_class": per_class(truth[scored], predicted[scored], labels),
        }
        if len(scored)
        else {},
    )


def _figures(statistics: Floats, *, num_labels: int) -> Figures:
    """Return accuracy, macro-F1 and the mean loss in nats."""
    truth, predicted = statistics[:, :2].astype(np.int64).T
    return {
        "accuracy": accuracy(truth, predicted),
        "macro_f1": macro_f1(truth, predicted, num_labels),
        "loss": float(statistics[:, 2].mean()),
    }


def _always_the_commonest(
    train: Examples[TextRow], scored: Examples[TextRow]
) -> Mapping[str, Any] | None:
    counts = Counter(row.label for row in train.rows if row.label is not None)
    commonest = min(counts, key=lambda label: (-counts[label], label))
    labels = [row.label for row in scored.rows if row.label is not None]
    if not labels:
        return {"label": commonest}
    return {"label": commonest, "accuracy": labels.count(commonest) / len(labels)}
