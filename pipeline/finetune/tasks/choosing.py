"""Multiple choice as a task: which of a row's choices is right.

R rows, each an item of as many sequences as it has choices, M in all. Outputs are scores (M,)
float32, targets (M,) float32: 1 for the right choice, NaN in rows where it isn't known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from ....model.config import BertConfig
from ....model.finetuning import BertForMultipleChoice
from ....model.precision import Precision
from ...wordpiece.encode import WordPieceEncoder
from ..examples.choices import ChoiceRow
from ..examples.examples import Examples, Known
from ..settings import FinetuneSettings
from .classes import DIGITS
from .segments import choice_loss, choice_mass, log_softmax_within
from .sequences import assemble, longest_first, pieces_of
from .task import Figures, Floats, Items, Judgement, Outputs, Targets, Task
from .texts import unknown_share


def choosing(known: Known, settings: FinetuneSettings, train: Examples[ChoiceRow]) -> Task:
    """Return the task of choosing."""

    def encode(encoder: WordPieceEncoder, examples: Examples[ChoiceRow]) -> Items:
        return _encode(encoder, examples, settings)

    def build(config: BertConfig, precision: Precision) -> BertForMultipleChoice:
        return BertForMultipleChoice(config, precision=precision)

    return Task(
        architecture="BertForMultipleChoice",
        head="classifier.",
        config=dict(known.config),
        encode=encode,
        build=build,
        scores=lambda model, tokens, key: model(tokens, key),
        loss_sum=choice_loss,
        mass=choice_mass,
        best_by="accuracy",
        judge=_judge,
        baseline=_always_the_commonest,
    )


def _encode(
    encoder: WordPieceEncoder, examples: Examples[ChoiceRow], settings: FinetuneSettings
) -> Items:
    how = "head" if settings.long_text in ("auto", "window") else settings.long_text
    rows = examples.rows
    sizes = np.array([len(row.choices) for row in rows], np.int64)
    row_of = np.repeat(np.arange(len(rows)), sizes)
    b = pieces_of(encoder.encode_texts([choice for row in rows for choice in row.choices]))
    texts = [row.text for row in rows if row.text is not None]
    if texts:
        a = pieces_of(encoder.encode_texts(texts)).take(row_of)
        kept_a, kept_b = longest_first(a.lengths, b.lengths, settings.max_seq_length - 3)
        fits = (kept_a == a.lengths) & (kept_b == b.lengths)
        is_empty = (a.lengths == 0) | (b.lengths == 0)
        a, b = a.cut(kept_a, how), b.cut(kept_b, how)
        sequences, share = assemble(encoder.vocabulary, a, b), unknown_share(encoder, [a, b])
    else:
        kept = np.minimum(b.lengths, settings.max_seq_length - 2)
        fits, is_empty = kept == b.lengths, b.lengths == 0
        b = b.cut(kept, how)
        sequences, share = assemble(encoder.vocabulary, b, None), unknown_share(encoder, [b])
    return Items(
        sequences=sequences,
        rows=np.arange(len(rows)),
        sizes=sizes,
        num_sites=np.ones(len(b), np.int64),
        sites=np.empty(0, np.int64),
        targets=_targets(examples),
        num_rows=len(rows),
        num_cut=len(np.unique(row_of[~fits])),
        num_empty=len(np.unique(row_of[is_empty])),
        unknown_share=share,
    )


def _targets(examples: Examples[ChoiceRow]) -> Targets:
    targets: list[float] = []
    for row in examples.rows:
        each = [0.0 if row.right is not None else np.nan] * len(row.choices)
        if row.right is not None:
            each[row.right] = 1.0
        targets += each
    return np.array(targets, np.float32)


def _judge(
    items: Items, outputs: Outputs, examples: Examples[ChoiceRow], tuned: Mapping[str, Any]
) -> Judgement:
    log_probs = log_softmax_within(outputs.astype(np.float64), items.sizes)
    several = np.split(log_probs, np.cumsum(items.sizes)[:-1])
    predicted = np.array([int(each.argmax()) for each in several], np.int64)
    known = [row for row, each in enumerate(examples.rows) if each.right is not None]
    scored = np.array(known, np.int64)
    truth = np.array([examples.rows[row].right for row in known], np.int64)
    right = truth == predicted[scored]
    loss = [-several[row][place] for row, place in zip(known, truth, strict=True)]

    def tell(row: int) -> dict[str, Any]:
        each = examples.rows[row]
        return {
            "label": None if each.right is None else each.names[each.right],
            "prediction": each.names[predicted[row]],
            "probabilities": dict(
                zip(each.names, np.exp(several[row]).round(DIGITS).tolist(), strict=True)
            ),
        }

    return Judgement(
        scored=scored,
        statistics=np.stack([right, np.array(loss)], axis=1).astype(np.float64),
        figures=_figures,
        tell=tell,
        wrong=~right,
        confidence=np.array([np.exp(several[row].max()) for row in known]),
    )


def _figures(statistics: Floats) -> Figures:
    """Return accuracy and the mean loss in nats."""
    right, loss = statistics.T
    return {"accuracy": float(right.mean()), "loss": float(loss.mean())}


def _always_the_commonest(
    train: Examples[ChoiceRow], scored: Examples[ChoiceRow]
) -> Mapping[str, Any] | None:
    counts = Counter(row.right for row in train.rows if row.right is not None)
    commonest = min(counts, key=lambda place: (-counts[place], place))
    places = [row.right for row in scored.rows if row.right is not None]
    return {"accuracy": places.count(commonest) / len(places)} if places else None
