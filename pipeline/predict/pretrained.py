"""What a pretrained model says of rows: words for `[MASK]`, next sentence, vectors."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from ...model.tokens import pack_tokens
from ..finetune.examples.columns import Columns
from ..finetune.reading.rows import Table
from ..stage.report import Reporter
from ..training.machine import Machine
from ..training.model_files import ModelFiles, load_weights
from ..wordpiece.encode import WordPieceEncoder
from .columns import choose_columns, only_columns
from .extent import WindowProgress
from .opening import Opened
from .predictors import PREDICTORS, Answer, Asked, Predictor
from .reading import Reading
from .rows import Row, rows_of
from .sequences import Encoded, Ints, encode_rows
from .settings import PredictHow


class PretrainedAnswering:
    """A pretrained model that is ready, and what there is to tell when all rows have been read."""

    def __init__(
        self,
        opened: Opened,
        files: ModelFiles,
        machine: Machine,
        reading: Reading,
        how: PredictHow,
        reporter: Reporter,
    ) -> None:
        start = opened.start
        self._predictor: Predictor = PREDICTORS[opened.task]
        model = self._predictor.build(start.config, machine.precision, files)
        load_weights(model, files)
        self._model: nn.Module = model.to(machine.device).eval()
        self._encoder = WordPieceEncoder(start.vocabulary, start.normalization)
        self._opened = opened
        self._device = machine.device
        self._tokens_at_once = machine.micro_batch_size * opened.max_seq_length
        self._reading = reading
        self._how = how
        self._reporter = reporter
        self._columns: Columns | None = None
        self._num_rows = self._num_cut = self._num_empty = 0

    def answers(self, table: Table, progress: WindowProgress) -> list[tuple[Row, Answer]]:
        """Answer the rows of a table, in their order; `progress` is told as it goes.

        Raises:
            BadInput: a row can't be asked about, with its place.
        """
        if self._columns is None:
            fitted = _columns_of(self._opened)
            self._columns = choose_columns(
                self._opened.task, self._how, self._reading, table, fitted
            )
        columns = self._columns
        assert columns.text is not None
        rows = rows_of(only_columns(table, columns), columns.text, columns.text_pair)
        encoded = encode_rows(
            self._encoder,
            rows,
            max_seq_length=self._opened.max_seq_length,
            with_masks=self._predictor.reads_masks,
        )
        self._num_rows += len(rows)
        self._num_cut += int(encoded.is_cut.sum())
        self._num_empty += int(encoded.is_empty.sum())
        return list(zip(rows, self._answers(rows, encoded, progress), strict=True))

    def tell(self) -> None:
        """Tell what of the texts was not read as it stands."""
        if self._num_cut:
            self._reporter.notice(
                f"{self._num_cut:,} of {self._num_rows:,} texts have more than "
                f"{self._opened.max_seq_length} tokens (--max-seq-length): their ends are cut off."
            )
        if self._num_empty:
            self._reporter.warn(
                f"{self._num_empty:,} of {self._num_rows:,} texts come to no token at all."
            )

    @torch.inference_mode()
    def _answers(self, rows: list[Row], encoded: Encoded, progress: WindowProgress) -> list[Answer]:
        answers: list[Answer] = [{}] * len(rows)
        for some in _by_length(encoded.lengths, self._tokens_at_once):
            ids = np.concatenate([encoded.ids[each] for each in some])
            lengths = torch.from_numpy(encoded.lengths[some])
            asked = Asked(
                rows=[rows[each] for each in some],
                tokens=pack_tokens(
                    torch.from_numpy(ids.astype(np.int64)),
                    lengths,
                    torch.from_numpy(encoded.segment_a_lengths[some]),
                ).to(self._device),
                lengths=lengths,
                vocabulary=self._encoder.vocabulary,
                top_k=self._how.top_k,
            )
            for each, answer in zip(some, self._predictor.answers(self._model, asked), strict=True):
                answers[each] = answer
            progress.advance(len(some) / len(rows))
        return answers


def _columns_of(opened: Opened) -> Columns | None:
    """Return the columns of texts that a model was fitted to, for vectors of the same."""
    text = opened.what.get("text_column")
    if text is None or opened.what.get("task") == "token-classification":
        return None
    return Columns(text, opened.what.get("text_pair_column"), "")


def _by_length(lengths: Ints, tokens_at_once: int) -> Iterator[Ints]:
    """Cut sequences into batches, longest first, none padded beyond so many tokens."""
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        count = max(1, tokens_at_once // int(lengths[order[start]]))
        yield order[start : start + count]
        start += count
