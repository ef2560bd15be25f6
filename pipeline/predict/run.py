"""Rows in, answers out, in the rows' order: a block at a time, batched by length within it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ...model.tokens import pack_tokens
from ..stage.report import Reporter
from ..training.machine import Machine, set_up
from ..training.model_files import ModelFiles, load_weights, read_model
from ..wordpiece.encode import WordPieceEncoder
from .opening import Opened
from .predictors import PREDICTORS, Answer, Asked, Predictor
from .request import PredictRequest
from .rows import Row
from .sequences import Encoded, Ints, encode_rows

_ROWS_AT_ONCE = 2048
_CHARACTERS_AT_ONCE = 1 << 21
"""Texts are cut, but only when they have become tokens."""


@dataclass
class _Tally:
    """What there is to tell of the texts when all have been read."""

    rows: int = 0
    cut: int = 0
    empty: int = 0

    def add(self, encoded: Encoded) -> None:
        self.rows += len(encoded.ids)
        self.cut += int(encoded.is_cut.sum())
        self.empty += int(encoded.is_empty.sum())

    def tell(self, reporter: Reporter, max_seq_length: int) -> None:
        if self.cut:
            reporter.notice(
                f"{self.cut:,} of {self.rows:,} texts have more than {max_seq_length} tokens "
                "(--max-seq-length): their ends are cut off."
            )
        if self.empty:
            reporter.warn(f"{self.empty:,} of {self.rows:,} texts come to no token at all.")


def predict(
    opened: Opened, request: PredictRequest, rows: Iterable[Row], *, reporter: Reporter
) -> Iterator[tuple[Row, Answer]]:
    """Yield each row with what the model says of it.

    Raises:
        BadInput: the model is damaged or has no head for what is asked, or a row can't be answered.
    """
    machine = set_up(request.numerics, longest=opened.max_seq_length)
    answering = _Answering.of(opened, request, machine)
    tally = _Tally()
    for block in _blocks(rows):
        encoded = encode_rows(
            answering.encoder,
            block,
            max_seq_length=opened.max_seq_length,
            with_masks=answering.predictor.reads_masks,
        )
        tally.add(encoded)
        yield from zip(block, answering.answers(block, encoded), strict=True)
    tally.tell(reporter, opened.max_seq_length)


@dataclass(frozen=True)
class _Answering:
    """A model that is ready."""

    predictor: Predictor
    model: nn.Module
    encoder: WordPieceEncoder
    files: ModelFiles
    machine: Machine
    tokens_at_once: int
    top_k: int

    @classmethod
    def of(cls, opened: Opened, request: PredictRequest, machine: Machine) -> _Answering:
        start = opened.start
        assert start.directory is not None, "it was opened from a directory"
        start.verify()
        files = read_model(start.directory)
        predictor = PREDICTORS[opened.task]
        model = predictor.build(start.config, machine.precision, files)
        load_weights(model, files)
        return cls(
            predictor=predictor,
            model=model.to(machine.device).eval(),
            encoder=WordPieceEncoder(start.vocabulary, start.normalization),
            files=files,
            machine=machine,
            tokens_at_once=machine.micro_batch_size * opened.max_seq_length,
            top_k=request.how.top_k,
        )

    @torch.inference_mode()
    def answers(self, rows: list[Row], encoded: Encoded) -> list[Answer]:
        """Answer a block of rows, in their order."""
        answers: list[Answer] = [{}] * len(rows)
        for some in _by_length(encoded.lengths, self.tokens_at_once):
            ids = np.concatenate([encoded.ids[each] for each in some])
            lengths = torch.from_numpy(encoded.lengths[some])
            asked = Asked(
                rows=[rows[each] for each in some],
                tokens=pack_tokens(
                    torch.from_numpy(ids.astype(np.int64)),
                    lengths,
                    torch.from_numpy(encoded.segment_a_lengths[some]),
                ).to(self.machine.device),
                lengths=lengths,
                vocabulary=self.encoder.vocabulary,
                files=self.files,
                top_k=self.top_k,
            )
            for each, answer in zip(some, self.predictor.answers(self.model, asked), strict=True):
                answers[each] = answer
        return answers


def _blocks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Cut rows into blocks, bounded in rows and in text."""
    block: list[Row] = []
    characters = 0
    for row in rows:
        block.append(row)
        characters += len(row.text) + len(row.text_pair or "")
        if len(block) == _ROWS_AT_ONCE or characters >= _CHARACTERS_AT_ONCE:
            yield block
            block, characters = [], 0
    if block:
        yield block


def _by_length(lengths: Ints, tokens_at_once: int) -> Iterator[Ints]:
    """Cut sequences into batches, longest first, none padded beyond so many tokens."""
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        count = max(1, tokens_at_once // int(lengths[order[start]]))
        yield order[start : start + count]
        start += count
