"""Regression as a task: a number for a text or a pair.

R rows, I items (windows of a row). What is learnt are standard scores: outputs are (I, 1) float32
and targets (I,) float32, both with the training rows' mean 0 and deviation 1, so that no learning
rate has to know the unit. The model that is kept gives the numbers themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from ....model.config import BertConfig
from ....model.finetuning import BertForSequenceClassification, rescaled_head
from ....model.precision import Precision
from ...wordpiece.encode import WordPieceEncoder
from ..examples.examples import Examples, Known
from ..examples.texts import TextRow
from ..settings import FinetuneSettings
from .labels import label_config
from .metrics import pearson, spearman
from .task import Batch, Figures, Floats, Items, Judgement, Outputs, Targets, Task
from .texts import encode_texts, pooled_mean

_DIGITS = 6
_HEAD = "classifier."


def numbers(known: Known, settings: FinetuneSettings, train: Examples[TextRow]) -> Task:
    """Return the task of telling a number, in the range and unit of the training rows."""
    mean, sd = known.config["label_mean"], known.config["label_sd"]

    def targets(examples: Examples[TextRow]) -> Targets:
        given = [np.nan if row.label is None else row.label for row in examples.rows]
        # In float32 before they are moved: not every device knows more.
        return ((np.array(given, np.float64) - mean) / sd).astype(np.float32)

    def encode(encoder: WordPieceEncoder, examples: Examples[TextRow]) -> Items:
        return encode_texts(encoder, examples, targets(examples), settings)

    def build(config: BertConfig, precision: Precision) -> BertForSequenceClassification:
        return BertForSequenceClassification(config, num_labels=1, precision=precision)

    return Task(
        architecture="BertForSequenceClassification",
        head=_HEAD,
        config={**label_config(known.labels), **known.config},
        encode=encode,
        build=build,
        scores=lambda model, tokens, key: model(tokens, key),
        loss_sum=_loss_sum,
        mass=lambda targets: float(len(targets)),
        best_by="pearson",
        judge=partial(_judge, mean=mean, sd=sd),
        baseline=_always_the_mean,
        as_kept=lambda state: rescaled_head(state, _HEAD, scale=sd, shift=mean),
        as_trained=lambda state: rescaled_head(state, _HEAD, scale=1 / sd, shift=-mean / sd),
    )


def _loss_sum(batch: Batch) -> Tensor:
    return (batch.outputs.squeeze(-1) - batch.targets.to(batch.outputs)).square().sum()


def _judge(
    items: Items,
    outputs: Outputs,
    examples: Examples[TextRow],
    tuned: Mapping[str, Any],
    *,
    mean: float,
    sd: float,
) -> Judgement:
    predicted = mean + sd * pooled_mean(outputs.astype(np.float64), items)[:, 0]
    known = [row for row, each in enumerate(examples.rows) if each.label is not None]
    scored = np.array(known, np.int64)
    truth = np.array([examples.rows[row].label for row in known], np.float64)
    distance = np.abs(truth - predicted[scored])

    def tell(row: int) -> dict[str, Any]:
        return {
            "label": examples.rows[row].label,
            "prediction": round(float(predicted[row]), _DIGITS),
        }

    return Judgement(
        scored=scored,
        statistics=np.stack([truth, predicted[scored]], axis=1),
        figures=number_figures,
        tell=tell,
        # A number is never quite right: the errors worth reading are the greatest.
        wrong=distance > 0.5 * sd,
        confidence=distance / sd,
    )


def number_figures(statistics: Floats) -> Figures:
    """Return both correlations and the mean squared and absolute error, in the labels' unit."""
    truth, predicted = statistics.T
    error = predicted - truth
    return {
        "pearson": pearson(truth, predicted),
        "spearman": spearman(truth, predicted),
        "mse": float((error**2).mean()),
        "mae": float(np.abs(error).mean()),
    }


def _always_the_mean(
    train: Examples[TextRow], scored: Examples[TextRow]
) -> Mapping[str, Any] | None:
    mean = np.mean([row.label for row in train.rows if row.label is not None])
    labels = np.array([row.label for row in scored.rows if row.label is not None])
    return {"mse": float(((labels - mean) ** 2).mean())} if len(labels) else None
