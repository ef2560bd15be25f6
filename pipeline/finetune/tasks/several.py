"""Multi-label classification as a task: of each label, whether it applies to a text or a pair.

R rows, I items (windows of a row), C labels. Outputs are logits (I, C) float32, targets (I, C)
float32: 1 where a label applies, NaN in rows of which it isn't known.
"""

from __future__ import annotations

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
from .classes import DIGITS
from .labels import class_figures, label_config
from .metrics import f1, sigmoid
from .task import Batch, Figures, Floats, Items, Judgement, Outputs, Targets, Task
from .texts import encode_texts, pooled_mean


def several_labels(known: Known, settings: FinetuneSettings, train: Examples[TextRow]) -> Task:
    """Return the task of answering yes or no for every label; a label's place is its id."""
    labels, label_ids = known.labels, known.label_ids

    def targets(examples: Examples[TextRow]) -> Targets:
        truth = np.zeros((len(examples), len(labels)), np.float32)
        for row, each in enumerate(examples.rows):
            if each.label is None:
                truth[row] = np.nan
            else:
                truth[row, [label_ids[name] for name in each.label]] = 1
        return truth

    def encode(encoder: WordPieceEncoder, examples: Examples[TextRow]) -> Items:
        return encode_texts(encoder, examples, targets(examples), settings)

    def build(config: BertConfig, precision: Precision) -> BertForSequenceClassification:
        return BertForSequenceClassification(config, num_labels=len(labels), precision=precision)

    weights = None
    if settings.class_weights == "balanced":
        weights = _positive_weights(targets(train))
    return Task(
        architecture="BertForSequenceClassification",
        head="classifier.",
        config={**label_config(labels), **known.config},
        encode=encode,
        build=build,
        scores=lambda model, tokens, key: model(tokens, key),
        loss_sum=partial(_loss_sum, weights=weights),
        mass=lambda targets: float(targets.size),
        best_by="micro_f1",
        judge=partial(_judge, labels=labels, votes=settings.window_pooling == "vote"),
        baseline=lambda train, scored: None,
    )


def _positive_weights(targets: Targets) -> Floats:
    """Return what a yes weighs (C,), so that a label's yeses weigh as much as its noes."""
    there = targets[~np.isnan(targets[:, 0])]
    yes = there.sum(axis=0)
    return ((len(there) - yes) / np.maximum(1, yes)).astype(np.float64)


def _loss_sum(batch: Batch, *, weights: Floats | None) -> Tensor:
    each = None if weights is None else torch.from_numpy(weights).to(batch.outputs)
    return F.binary_cross_entropy_with_logits(
        batch.outputs, batch.targets.to(batch.outputs), pos_weight=each, reduction="sum"
    )


def _judge(
    items: Items,
    outputs: Outputs,
    examples: Examples[TextRow],
    tuned: Mapping[str, Any],
    *,
    labels: Sequence[str],
    votes: bool,
) -> Judgement:
    probabilities = pooled_mean(sigmoid(outputs), items)
    applies = pooled_mean((outputs > 0).astype(np.float64), items) if votes else probabilities
    predicted = applies > 0.5
    targets = np.empty((items.num_rows, len(labels)))
    targets[items.rows] = items.targets
    scored = np.flatnonzero(~np.isnan(targets[:, 0]))
    truth = targets[scored] == 1
    kept = np.clip(probabilities[scored], 1e-12, 1 - 1e-12)
    loss = -np.where(truth, np.log(kept), np.log1p(-kept)).mean(axis=1)
    told = probabilities.round(DIGITS)

    def tell(row: int) -> dict[str, Any]:
        known = examples.rows[row].label
        return {
            "labels": None if known is None else list(known),
            "predictions": [labels[each] for each in np.flatnonzero(predicted[row]).tolist()],
            "probabilities": dict(zip(labels, told[row].tolist(), strict=True)),
        }

    said = predicted[scored]
    right, num_said, num_true = (each.sum(axis=0) for each in (said & truth, said, truth))
    return Judgement(
        scored=scored,
        statistics=np.concatenate([loss[:, None], truth, said], axis=1).astype(np.float64),
        figures=_figures,
        tell=tell,
        wrong=(said != truth).any(axis=1),
        # As sure as of all its answers together.
        confidence=np.where(said, kept, 1 - kept).prod(axis=1),
        tables={
            "per_class": {
                name: class_figures(int(right[id]), int(num_said[id]), int(num_true[id]))
                for id, name in enumerate(labels)
            }
        }
        if len(scored)
        else {},
    )


def _figures(statistics: Floats) -> Figures:
    """Return micro-F1 over all answers, macro-F1 over labels, exact matches and the mean loss."""
    loss = statistics[:, 0]
    truth, said = np.split(statistics[:, 1:].astype(bool), 2, axis=1)
    right, num_said, num_true = (each.sum(axis=0) for each in (said & truth, said, truth))
    occurs = (num_said + num_true) > 0
    per_label = 2 * right[occurs] / (num_said + num_true)[occurs]
    return {
        "micro_f1": f1(right.sum(), num_said.sum(), num_true.sum()),
        "macro_f1": float(per_label.mean()) if occurs.any() else 0.0,
        "exact_match": float((said == truth).all(axis=1).mean()),
        "loss": float(loss.mean()),
    }
