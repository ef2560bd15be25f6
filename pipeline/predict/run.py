"""Rows in, answers out, in the rows' order: a window at a time, batched by length within it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from ..finetune.reading.rows import Table
from ..stage.report import Progress, Reporter, Silent
from ..training.loop import naming_micro_batches
from ..training.machine import set_up
from ..training.model_files import read_model
from .extent import WindowProgress
from .fitted import FittedAnswering
from .opening import Opened
from .pretrained import PretrainedAnswering
from .reading import Reading
from .request import PredictRequest
from .rows import Row
from .windows import windows

Answered = tuple[Row, dict[str, Any]]


class Answering(Protocol):
    """A model that is ready to be asked."""

    def answers(self, table: Table, progress: WindowProgress) -> list[Answered]:
        """Answer the rows of a table, in their order; `progress` is told as it goes."""
        ...

    def tell(self) -> None:
        """Tell what there is to tell when all rows have been read."""
        ...


def predict(
    opened: Opened,
    request: PredictRequest,
    reading: Reading,
    *,
    reporter: Reporter,
    progress: Progress | None = None,
) -> Iterator[Answered]:
    """Yield each row with what the model says of it.

    `progress` counts what is answered, in the unit of `reading.extent`.

    Raises:
        BadInput: the model is damaged or has no head for what is asked, or a row can't be answered.
        WorkFailed: memory is too small.
    """
    machine = set_up(request.numerics, longest=opened.max_seq_length)
    opened.start.verify()
    assert opened.start.directory is not None, "it was opened from a directory"
    files = read_model(opened.start.directory)
    kind = FittedAnswering if opened.is_fitted else PretrainedAnswering
    answering: Answering = kind(opened, files, machine, reading, request.how, reporter)
    since = rows = 0
    for table in windows(reading):
        window = WindowProgress(
            progress or Silent(), reading.extent, since=since, before=rows, rows=len(table)
        )
        since, rows = reading.extent.read, rows + len(table)
        with naming_micro_batches():
            answers = answering.answers(table, window)
        window.finish()
        yield from answers
    answering.tell()
