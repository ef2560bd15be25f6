"""Token classification as a task: a tag for every token, given at its first piece.

R rows, I items (windows of a row), M tokens with a site, C tags. Outputs are logits (M, C) float32,
targets tag ids (M,) int64, -1 where there is none. Where windows overlap, a token is looked at in
the one that shows most around it, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ....model.config import BertConfig
from ....model.finetuning import BertForTokenClassification
from ....model.precision import Precision
from ...wordpiece.encode import WordPieceEncoder
from ..examples.examples import Examples, Known
from ..examples.tagged import TaggedRow
from ..examples.tags import OUTSIDE, Tags, entities
from ..settings import FinetuneSettings
from .classes import weighted_cross_entropy, weighted_mass
from .labels import class_figures, class_weights, label_config
from .metrics import f1, log_softmax, share
from .sequences import Ints, Pieces, Windows, assemble, pieces_of
from .task import Figures, Floats, Items, Judgement, Outputs, Task
from .texts import unknown_share, windows_of

_DIGITS = 4
_NO_TAG = ""
"""What a token gets that isn't read, where there is no tag for nothing"""


def tagging(known: Known, settings: FinetuneSettings, train: Examples[TaggedRow]) -> Task:
    """Return the task of tagging; a tag's place is its id."""
    labels, label_ids = known.labels, known.label_ids

    def targets(examples: Examples[TaggedRow]) -> Ints:
        ids = [
            -1 if row.tags is None else label_ids[row.tags[place]]
            for row in examples.rows
            for place in range(len(row.tokens))
        ]
        return np.array(ids, np.int64)

    def encode(encoder: WordPieceEncoder, examples: Examples[TaggedRow]) -> Items:
        return _encode(encoder, examples, targets(examples), settings)

    def build(config: BertConfig, precision: Precision) -> BertForTokenClassification:
        return BertForTokenClassification(config, num_labels=len(labels), precision=precision)

    weights = class_weights(targets(train), len(labels), settings)
    has_entities = "tag_scheme" in known.config
    return Task(
        architecture="BertForTokenClassification",
        head="classifier.",
        config={**label_config(labels), **known.config},
        encode=encode,
        build=build,
        scores=lambda model, tokens, key: model(tokens, key),
        loss_sum=partial(weighted_cross_entropy, weights=weights),
        mass=partial(weighted_mass, weights=weights),
        best_by="f1" if has_entities else "accuracy",
        judge=partial(_judge, labels=labels, has_entities=has_entities),
        baseline=lambda train, scored: None,
    )


def _encode(
    encoder: WordPieceEncoder,
    examples: Examples[TaggedRow],
    targets: Ints,
    settings: FinetuneSettings,
) -> Items:
    sizes = np.array([len(row.tokens) for row in examples.rows], np.int64)
    row_of = np.repeat(np.arange(len(sizes)), sizes)
    tokens = pieces_of(
        encoder.encode_texts([token for row in examples.rows for token in row.tokens])
    )
    tokens, is_empty = _without_nothing(tokens, encoder.vocabulary.unk_id)
    lengths = np.bincount(row_of, weights=tokens.lengths, minlength=len(sizes)).astype(np.int64)
    room = np.full(len(sizes), settings.max_seq_length - 2)
    rows = Pieces(tokens.ids, lengths)
    if settings.long_text == "head":
        shown = Windows(np.arange(len(sizes)), np.zeros_like(room), np.minimum(room, lengths))
    else:
        shown = windows_of(lengths, room, settings)
    a = rows.stretches(shown.rows, shown.first, shown.lengths)
    token_of, window_of = _best_windows(tokens.starts, rows.starts, shown)
    place = tokens.starts[token_of] - rows.starts[shown.rows[window_of]] - shown.first[window_of]
    cut = np.setdiff1d(np.arange(len(tokens)), token_of)
    return Items(
        sequences=assemble(encoder.vocabulary, a, None),
        rows=shown.rows,
        sizes=np.ones(len(shown.rows), np.int64),
        num_sites=np.bincount(window_of, minlength=len(shown.rows)),
        sites=1 + place,
        targets=targets[token_of],
        num_rows=len(sizes),
        extra=token_of,
        num_cut=len(np.unique(row_of[cut])),
        num_windowed=int((np.bincount(shown.rows) > 1).sum()),
        num_empty=len(np.unique(row_of[is_empty])),
        unknown_share=unknown_share(encoder, [a]),
    )


def _without_nothing(tokens: Pieces, unk_id: int) -> tuple[Pieces, Ints]:
    """Give tokens of which BERT reads nothing an `[UNK]`; also return which those are."""
    empty = np.flatnonzero(tokens.lengths == 0)
    ids = np.insert(tokens.ids, tokens.starts[empty], unk_id)
    return Pieces(ids, np.maximum(1, tokens.lengths)), empty


def _best_windows(token_starts: Ints, row_starts: Ints, shown: Windows) -> tuple[Ints, Ints]:
    """Return the tokens that some window shows, in order, and the window that shows each best.

    That is the one with most pieces on the token's poorer side; the first of equals.
    """
    begins = row_starts[shown.rows] + shown.first
    firsts = np.searchsorted(token_starts, begins)
    counts = np.searchsorted(token_starts, begins + shown.lengths) - firsts
    window = np.repeat(np.arange(len(begins)), counts)
    token = np.arange(counts.sum()) + np.repeat(firsts - (np.cumsum(counts) - counts), counts)
    before = token_starts[token] - begins[window]
    context = np.minimum(before, shown.lengths[window] - 1 - before)
    order = np.lexsort((window, -context, token))
    best = order[np.unique(token[order], return_index=True)[1]]
    return token[best], window[best]


@dataclass(frozen=True)
class _Counts:
    """Of each class, how many a sentence names rightly, names, and has: (C,) each."""

    right: Ints
    said: Ints
    true: Ints

    @classmethod
    def of(cls, true: Sequence[Any], said: Sequence[Any], ids: Mapping[str, int]) -> _Counts:
        """Count things whose class stands first, equal where both sides have them."""
        both = set(true) & set(said)
        return cls(*(_counted(each, ids) for each in (both, said, true)))


def _counted(things: Any, ids: Mapping[str, int]) -> Ints:
    return np.bincount([ids[each[0]] for each in things], minlength=len(ids))


def _judge(
    items: Items,
    outputs: Outputs,
    examples: Examples[TaggedRow],
    tuned: Mapping[str, Any],
    *,
    labels: Sequence[str],
    has_entities: bool,
) -> Judgement:
    sizes = np.array([len(row.tokens) for row in examples.rows], np.int64)
    ends = np.cumsum(sizes)
    # Nothing is known of tokens that are cut off.
    ids = np.full(sizes.sum(), len(labels))
    names_of = [*labels, OUTSIDE if has_entities or OUTSIDE in labels else _NO_TAG]
    sureness = np.zeros(sizes.sum())
    log_probs = log_softmax(outputs)
    ids[items.extra] = log_probs.argmax(axis=1)
    sureness[items.extra] = np.exp(log_probs.max(axis=1))
    predicted = [[names_of[int(id)] for id in each] for each in np.split(ids, ends[:-1])]
    sure = np.split(sureness, ends[:-1])
    names = sorted({tag[2:] for tag in labels if tag != OUTSIDE}) if has_entities else list(labels)
    name_ids = {name: id for id, name in enumerate(names)}
    things = entities if has_entities else _placed
    scored = np.array([n for n, row in enumerate(examples.rows) if row.tags is not None], np.int64)
    statistics = np.zeros((len(scored), 3 * len(names) + 2))
    for line, row in zip(statistics, scored.tolist(), strict=True):
        tags = examples.rows[row].tags
        assert tags is not None
        counts = _Counts.of(things(tags), things(predicted[row]), name_ids)
        same = sum(a == b for a, b in zip(tags, predicted[row], strict=True))
        line[:] = [*counts.right, *counts.said, *counts.true, same, len(tags)]

    def tell(row: int) -> dict[str, Any]:
        each = examples.rows[row]
        return {
            "tokens": list(each.tokens),
            "labels": None if each.tags is None else list(each.tags),
            "predictions": [tag if tag != _NO_TAG else None for tag in predicted[row]],
            "probabilities": sure[row].round(_DIGITS).tolist(),
            **({"entities": _told(each.tokens, predicted[row])} if has_entities else {}),
        }

    totals = statistics.sum(axis=0).astype(np.int64)
    right, said, true = np.split(totals[:-2], 3)
    return Judgement(
        scored=scored,
        statistics=statistics,
        figures=partial(_entity_figures if has_entities else _tag_figures, num_names=len(names)),
        tell=tell,
        wrong=statistics[:, -2] < statistics[:, -1],
        confidence=np.array([sure[row].min() for row in scored.tolist()]),
        tables={
            "per_class": {
                name: class_figures(int(right[id]), int(said[id]), int(true[id]))
                for id, name in enumerate(names)
                if said[id] or true[id]
            }
        }
        if len(scored)
        else {},
    )


def _placed(tags: Tags) -> list[tuple[str, int]]:
    return [(tag, place) for place, tag in enumerate(tags) if tag != _NO_TAG]


def _told(tokens: Sequence[str], tags: Tags) -> list[dict[str, Any]]:
    """Return a sentence's entities, their tokens counted from 0, the last included."""
    return [
        {"type": kind, "first": first, "last": last, "tokens": list(tokens[first : last + 1])}
        for kind, first, last in entities(tags)
    ]


def _entity_figures(statistics: Floats, *, num_names: int) -> Figures:
    """Return precision, recall and F1 over whole entities, and the share of right tags."""
    totals = statistics.sum(axis=0)
    right, said, true = totals[:-2].reshape(3, num_names).sum(axis=1)
    return {
        "f1": f1(right, said, true),
        "precision": share(right, said),
        "recall": share(right, true),
        "accuracy": share(totals[-2], totals[-1]),
    }


def _tag_figures(statistics: Floats, *, num_names: int) -> Figures:
    """Return the share of right tags, and the mean F1 over the tags that occur."""
    totals = statistics.sum(axis=0)
    right, said, true = totals[:-2].reshape(3, num_names)
    occurs = said + true > 0
    return {
        "accuracy": share(totals[-2], totals[-1]),
        "macro_f1": float(np.mean(2 * right[occurs] / (said + true)[occurs])),
    }
