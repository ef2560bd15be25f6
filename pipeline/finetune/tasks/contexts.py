"""Questions and the texts they are asked of as windows, each token with its place in the text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...wordpiece.encode import WordPieceEncoder
from ...wordpiece.library import text_tokenizer
from ..examples.examples import Examples
from ..examples.questions import QuestionRow
from ..settings import FinetuneSettings
from .sequences import Ints, Pieces, Windows, assemble, pieces_of, spans
from .task import Items, Targets
from .texts import unknown_share, windows_of

_AT_ONCE = 256
"""Texts handed to the library at a time: its results take far more room than ours."""


@dataclass(frozen=True)
class Contexts:
    """Texts as tokens (T,), and where each token begins and ends in its text, in characters."""

    pieces: Pieces
    begins: Ints
    ends: Ints
    of_row: Ints
    """(R,) which text each row's question is asked of: many are asked of one"""

    def tokens_of(self, context: int, first_character: int, length: int) -> tuple[int, int] | None:
        """Return the first and last token that hold a stretch of a text; None where none does."""
        start = int(self.pieces.starts[context])
        stop = start + int(self.pieces.lengths[context])
        first = int(np.searchsorted(self.ends[start:stop], first_character, side="right"))
        last = int(np.searchsorted(self.begins[start:stop], first_character + length)) - 1
        return (first, last) if first <= last else None


def encode_contexts(encoder: WordPieceEncoder, contexts: Sequence[str]) -> Contexts:
    """Encode each different text once, with the places of its tokens."""
    numbers = {context: number for number, context in enumerate(dict.fromkeys(contexts))}
    vocabulary = encoder.vocabulary
    tokenizer = text_tokenizer(vocabulary, encoder.normalization)
    texts = list(numbers)
    ids: list[Ints] = [np.empty(0, np.int64)]
    places: list[Ints] = [np.empty((0, 2), np.int64)]
    lengths: list[int] = []
    for first in range(0, len(texts), _AT_ONCE):
        for each in tokenizer.encode_batch(
            texts[first : first + _AT_ONCE], add_special_tokens=False
        ):
            ids.append(np.array(each.ids, np.int64))
            places.append(np.array(each.offsets, np.int64).reshape(-1, 2))
            lengths.append(len(ids[-1]))
    begins, ends = np.concatenate(places).T
    return Contexts(
        Pieces(np.concatenate(ids).astype(vocabulary.id_dtype), np.array(lengths, np.int64)),
        begins,
        ends,
        np.array([numbers[each] for each in contexts], np.int64),
    )


@dataclass(frozen=True)
class Shown:
    """What windows show, for making answers of outputs.

    An item's first site is `[CLS]`, which stands for no answer; the others are its tokens of the
    text, of which token `first` is the first.
    """

    contexts: Contexts
    first: Ints
    """(I,) counted in the text's tokens"""
    is_best: Ints
    """(M,) 1 where no other window shows more around the token: answers begin there only"""


def encode_questions(
    encoder: WordPieceEncoder, examples: Examples[QuestionRow], settings: FinetuneSettings
) -> Items:
    """Encode `[CLS] question [SEP] window of the text [SEP]`; targets (M, 2) float32.

    The two columns of targets are 1 where the answer begins and ends: at `[CLS]` in windows that
    don't hold all of it.
    """
    contexts = encode_contexts(encoder, [row.context for row in examples.rows])
    questions = pieces_of(encoder.encode_texts([row.question for row in examples.rows]))
    kept = np.minimum(questions.lengths, min(settings.max_query_length, _half(settings)))
    lengths = contexts.pieces.lengths[contexts.of_row]
    room = settings.max_seq_length - 3 - kept
    if settings.long_text == "head":
        shown = Windows(np.arange(len(kept)), np.zeros_like(room), np.minimum(room, lengths))
    else:
        shown = windows_of(lengths, room, settings)
    a = questions.cut(kept, "head").take(shown.rows)
    b = contexts.pieces.stretches(contexts.of_row[shown.rows], shown.first, shown.lengths)
    num_sites = shown.lengths + 1
    firsts = np.cumsum(num_sites) - num_sites
    sites = np.zeros(num_sites.sum(), np.int64)
    sites[spans(firsts + 1, shown.lengths)] = spans(a.lengths + 2, shown.lengths)
    is_cut = (questions.lengths > kept) | ((lengths > room) & (settings.long_text == "head"))
    return Items(
        sequences=assemble(encoder.vocabulary, a, b),
        rows=shown.rows,
        sizes=np.ones(len(shown.rows), np.int64),
        num_sites=num_sites,
        sites=sites,
        targets=_targets(examples, contexts, shown, firsts, len(sites)),
        num_rows=len(examples),
        extra=Shown(contexts, shown.first, _best(shown, firsts, len(sites))),
        num_cut=int(is_cut.sum()),
        num_windowed=int((np.bincount(shown.rows) > 1).sum()),
        num_empty=int(((questions.lengths == 0) | (lengths == 0)).sum()),
        unknown_share=unknown_share(encoder, [a, b]),
    )


def _half(settings: FinetuneSettings) -> int:
    """Return what a question may take at most: the text needs room, too."""
    return max(1, (settings.max_seq_length - 3) // 2)


def _targets(
    examples: Examples[QuestionRow], contexts: Contexts, shown: Windows, firsts: Ints, count: int
) -> Targets:
    targets = np.zeros((count, 2), np.float32)
    answers = [_answer_tokens(row, contexts, number) for number, row in enumerate(examples.rows)]
    for row, first, length, site in zip(
        shown.rows.tolist(), shown.first.tolist(), shown.lengths.tolist(), firsts, strict=True
    ):
        begin, end = answers[row] or (-1, -1)
        if first <= begin and end < first + length:
            targets[site + 1 + begin - first, 0] = targets[site + 1 + end - first, 1] = 1
        else:
            targets[site] = 1
    return targets


def _answer_tokens(row: QuestionRow, contexts: Contexts, number: int) -> tuple[int, int] | None:
    """Return the tokens of the first answer that stands where it is said to."""
    for answer in row.answers or ():
        if answer.start is not None:
            return contexts.tokens_of(int(contexts.of_row[number]), answer.start, len(answer.text))
    return None


def _best(shown: Windows, firsts: Ints, count: int) -> Ints:
    """Tell (M,) which tokens have most of the text around them in this window; the first of equals.

    What counts is the poorer side, and a hundredth of the window's length (google-research/bert).
    """
    best = np.zeros(count, np.int64)
    owner = np.repeat(np.arange(len(firsts)), shown.lengths)
    within = spans(np.zeros_like(shown.lengths), shown.lengths)
    length = shown.lengths[owner]
    score = np.minimum(within, length - 1 - within) + 0.01 * length
    token = within + shown.first[owner]
    order = np.lexsort((owner, -score, token, shown.rows[owner]))
    keys = np.stack([shown.rows[owner], token])[:, order]
    is_first = np.ones(len(order), bool)
    is_first[1:] = (keys[:, 1:] != keys[:, :-1]).any(axis=0)
    chosen = order[is_first]
    best[firsts[owner[chosen]] + 1 + within[chosen]] = 1
    return best
