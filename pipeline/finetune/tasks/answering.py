"""Question answering as a task: where in a text the answer begins and ends, or that there is none.

R rows, I items (windows of a row's text), M sites (`[CLS]` and the window's tokens of the text).
Outputs are (M, 2) float32: how likely an answer begins and ends there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from ....model.config import BertConfig
from ....model.finetuning import BertForQuestionAnswering
from ....model.precision import Precision
from ...wordpiece.encode import WordPieceEncoder
from ..examples.examples import Examples, Known
from ..examples.questions import QuestionRow
from ..settings import FinetuneSettings
from .answer_metrics import Metric, best_scores
from .classes import DIGITS
from .contexts import Shown, encode_questions
from .segments import choice_loss, choice_mass
from .task import Figures, Floats, Items, Judgement, Outputs, Task

THRESHOLD = "null_score_diff_threshold"
_LEAST_LONGEST_ANSWER = 30
"""google-research/bert's max_answer_length"""
_LEAST_SEARCHED = 20
"""Its n_best_size. Of fewer begins and ends the best of both may make no answer: it begins after it
ends"""


@dataclass(frozen=True)
class Rules:
    """How scores become answers."""

    max_answer_length: int
    n_best_size: int
    """Answers that are told"""
    may_be_none: bool
    metric: Metric

    @property
    def num_searched(self) -> int:
        """How many of the best begins, ends and answers are looked at, told or not."""
        return max(_LEAST_SEARCHED, self.n_best_size)


@dataclass(frozen=True)
class Found:
    """A stretch of a text that may be the answer."""

    text: str
    start: int
    """In characters"""
    score: float


def answering(
    known: Known,
    settings: FinetuneSettings,
    train: Examples[QuestionRow],
    encoder: WordPieceEncoder,
) -> Task:
    """Return the task of finding answers."""
    may_be_none = bool(known.reads["has_impossible"])
    rules = Rules(
        max_answer_length=_longest_answer(train, settings, encoder),
        n_best_size=settings.n_best_size,
        may_be_none=may_be_none,
        metric=known.reads["answer_metric"],
    )

    def encode(encoder: WordPieceEncoder, examples: Examples[QuestionRow]) -> Items:
        return encode_questions(encoder, examples, settings)

    def build(config: BertConfig, precision: Precision) -> BertForQuestionAnswering:
        return BertForQuestionAnswering(config, precision=precision)

    given = settings.null_score_diff_threshold
    config: dict[str, Any] = {"max_answer_length": rules.max_answer_length}
    if may_be_none:
        config[THRESHOLD] = 0.0 if given == "auto" else given
    return Task(
        architecture="BertForQuestionAnswering",
        head="qa_outputs.",
        config=config,
        encode=encode,
        build=build,
        scores=lambda model, tokens, key: torch.stack(model(tokens, key), dim=-1),
        loss_sum=lambda batch: 0.5 * choice_loss(batch),
        mass=lambda targets: 0.5 * choice_mass(targets),
        best_by="f1",
        judge=partial(_judge, rules=rules, threshold=config.get(THRESHOLD, 0.0)),
        baseline=lambda train, scored: None,
        tune=partial(_tune, rules=rules, fixed=not may_be_none or given != "auto"),
    )


def _longest_answer(
    train: Examples[QuestionRow], settings: FinetuneSettings, encoder: WordPieceEncoder
) -> int:
    if settings.max_answer_length != "auto":
        return settings.max_answer_length
    answers = [each.text for row in train.rows for each in row.answers or ()]
    _, ends = encoder.encode_texts(answers)
    longest = int(np.quantile(np.diff(ends, prepend=0), 0.99, method="higher"))
    return max(_LEAST_LONGEST_ANSWER, longest)


@dataclass(frozen=True)
class _Row:
    """What the windows of a row say: the best answers, and how they score no answer."""

    found: Sequence[Found]
    null_score: float

    @property
    def null_margin(self) -> float:
        """By how much no answer scores above the best one."""
        return self.null_score - self.found[0].score if self.found else np.inf


def _rows(
    items: Items, outputs: Outputs, examples: Examples[QuestionRow], rules: Rules
) -> list[_Row]:
    shown: Shown = items.extra
    contexts = shown.contexts
    ends = np.cumsum(items.num_sites)
    spans: list[list[tuple[float, int, int]]] = [[] for _ in examples.rows]
    null_scores = np.full(items.num_rows, np.inf)
    scores = outputs.astype(np.float64)
    for item, row in enumerate(items.rows.tolist()):
        window = slice(int(ends[item] - items.num_sites[item]), int(ends[item]))
        null_scores[row] = min(null_scores[row], scores[window.start].sum())
        first = int(shown.first[item])
        spans[row] += [
            (score, first + begin, first + end)
            for score, begin, end in best_spans(
                scores[window][1:], shown.is_best[window][1:], rules
            )
        ]
    rows: list[_Row] = []
    for row, (several, example) in enumerate(zip(spans, examples.rows, strict=True)):
        start = int(contexts.pieces.starts[contexts.of_row[row]])
        found: dict[str, Found] = {}
        for score, begin, end in sorted(several, key=lambda each: (-each[0], each[1:])):
            here, there = int(contexts.begins[start + begin]), int(contexts.ends[start + end])
            text = example.context[here:there]
            found.setdefault(text, Found(text, here, score))
            if len(found) == rules.num_searched:
                break
        rows.append(_Row(list(found.values()), float(null_scores[row])))
    return rows


def best_spans(
    scores: Floats, is_best: np.ndarray[Any, Any], rules: Rules
) -> list[tuple[float, int, int]]:
    """Return a window's best stretches: scores (S, 2) → score, first token, last token."""
    most = rules.num_searched
    begins = np.flatnonzero(is_best)
    begins = begins[np.argsort(-scores[begins, 0], kind="stable")[:most]]
    ends = np.argsort(-scores[:, 1], kind="stable")[:most]
    sums = scores[begins, 0][:, None] + scores[ends, 1]
    length = ends - begins[:, None] + 1
    rows, columns = np.nonzero((length >= 1) & (length <= rules.max_answer_length))
    order = np.argsort(-sums[rows, columns], kind="stable")[:most]
    return [
        (float(sums[r, c]), int(begins[r]), int(ends[c]))
        for r, c in zip(rows[order], columns[order], strict=True)
    ]


def _tune(
    items: Items,
    outputs: Outputs,
    examples: Examples[QuestionRow],
    *,
    rules: Rules,
    fixed: bool,
) -> Mapping[str, Any]:
    """Return the threshold above which saying that there is no answer gives the best F1."""
    if fixed:
        return {}
    rows = _rows(items, outputs, examples, rules)
    margins: list[float] = []
    gains: list[float] = []
    for row, example in zip(rows, examples.rows, strict=True):
        if example.answers is not None and row.found:
            answers = [each.text for each in example.answers]
            margins.append(row.null_margin)
            with_answer = best_scores(row.found[0].text, answers, rules.metric)[1]
            gains.append(with_answer - best_scores("", answers, rules.metric)[1])
    if not margins:
        return {}
    order = np.argsort(margins, kind="stable")
    ordered = np.array(margins)[order]
    # An answer is given to as many questions as have the least margins.
    given = np.concatenate([[0.0], np.cumsum(np.array(gains)[order])])
    best = int(given.argmax())
    low = ordered[best - 1] if best else ordered[0] - 1
    high = ordered[best] if best < len(ordered) else ordered[-1] + 1
    return {THRESHOLD: float((low + high) / 2)}


def _judge(
    items: Items,
    outputs: Outputs,
    examples: Examples[QuestionRow],
    tuned: Mapping[str, Any],
    *,
    rules: Rules,
    threshold: float,
) -> Judgement:
    rows = _rows(items, outputs, examples, rules)
    threshold = tuned.get(THRESHOLD, threshold)
    said = [
        ""
        if not row.found or (rules.may_be_none and row.null_margin > threshold)
        else row.found[0].text
        for row in rows
    ]
    scored = np.array(
        [number for number, row in enumerate(examples.rows) if row.answers is not None], np.int64
    )
    statistics = np.zeros((len(scored), 3))
    for line, row in zip(statistics, scored.tolist(), strict=True):
        answers = [each.text for each in examples.rows[row].answers or ()]
        line[:] = [*best_scores(said[row], answers, rules.metric), bool(answers)]

    def tell(row: int) -> dict[str, Any]:
        example, found = examples.rows[row], rows[row].found
        probabilities = _probabilities(rows[row], rules)
        # Where nothing is found there is no margin: JSON has no infinity.
        margin = round(rows[row].null_margin, DIGITS) if found else None
        return {
            **({} if example.id is None else {"id": example.id}),
            "question": example.question,
            "answers": None
            if example.answers is None
            else list(dict.fromkeys(each.text for each in example.answers)),
            "prediction": said[row],
            "start": found[0].start if said[row] else None,
            "probability": round(probabilities[0 if said[row] else -1], DIGITS)
            if probabilities
            else None,
            **({"null_margin": margin} if rules.may_be_none else {}),
            "n_best": [
                {"text": each.text, "start": each.start, "probability": round(prob, DIGITS)}
                for each, prob in zip(found[: rules.n_best_size], probabilities, strict=False)
            ],
        }

    return Judgement(
        scored=scored,
        statistics=statistics,
        figures=partial(_figures, may_be_none=rules.may_be_none),
        tell=tell,
        wrong=statistics[:, 0] == 0,
        confidence=np.array(
            [max(_probabilities(rows[row], rules), default=0.0) for row in scored.tolist()]
        ),
    )


def _probabilities(row: _Row, rules: Rules) -> list[float]:
    """Return a softmax over a row's answers, and over there being none, last, where that can be."""
    scores = [each.score for each in row.found] + [row.null_score] * rules.may_be_none
    if not scores:
        return []
    shares = np.exp(np.array(scores) - max(scores))
    return (shares / shares.sum()).tolist()


def _figures(statistics: Floats, *, may_be_none: bool) -> Figures:
    """Return exact match and F1; apart for questions with and without an answer, if there are."""
    exact, part, has_answer = statistics.T
    figures = {"f1": float(part.mean()), "exact_match": float(exact.mean())}
    if may_be_none:
        there = has_answer == 1
        figures["has_answer_f1"] = float(part[there].mean()) if there.any() else 0.0
        figures["no_answer_f1"] = float(part[~there].mean()) if not there.all() else 0.0
    return figures
