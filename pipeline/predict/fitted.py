"""What a fitted model says of rows: read, computed and told as when it was fine-tuned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from ..errors import BadInput
from ..finetune.course import predict
from ..finetune.examples.columns import Columns
from ..finetune.examples.examples import Examples
from ..finetune.examples.tagged import TaggedRow
from ..finetune.fitted import Fitted, fitted_task
from ..finetune.reading.rows import Table
from ..finetune.telling import Counts, tell_of_texts
from ..stage.report import Reporter
from ..training.machine import Machine
from ..training.model_files import ModelFiles
from .columns import choose_columns, only_columns
from .extent import ItemProgress, WindowProgress
from .opening import Opened
from .reading import Reading
from .rows import Row
from .settings import PredictHow
from .tokens import Token, tokens_of

_TRUTHS = ("label", "labels", "answers")
"""What is told of rows that are labelled"""
_BLANK: Mapping[str, Any] = {"prediction": None}
"""What is said of a line without a text"""
_BESIDE = {"question-answering": ("id",)}
"""Columns that are no part of the question, and told with the answer"""

Answer = dict[str, Any]


class FittedAnswering:
    """A fitted model that is ready, and what there is to tell when all rows have been read."""

    def __init__(
        self,
        opened: Opened,
        files: ModelFiles,
        machine: Machine,
        reading: Reading,
        how: PredictHow,
        reporter: Reporter,
    ) -> None:
        asked: dict[str, Any] = {}
        if how.n_best_size is not None:
            # Of fewer the best need not be found: what begins well may have no end.
            asked["n_best_size"] = max(how.n_best_size, opened.what.get("n_best_size", 20))
        self._fitted: Fitted = fitted_task(opened.start, files, {**opened.what, **asked})
        self._model: nn.Module = self._fitted.build(files, machine.precision).to(machine.device)
        self._machine = machine
        self._task = opened.task
        self._reading = reading
        self._how = how
        self._reporter = reporter
        self._columns: Columns | None = None
        self._counts = Counts()
        self._num_blank = 0

    def answers(self, table: Table, progress: WindowProgress) -> list[tuple[Row, Answer]]:
        """Answer the rows of a table, in their order; `progress` is told as it goes.

        Raises:
            BadInput: a row can't be asked about, with its place.
        """
        columns = self._columns or self._settled(table)
        table = only_columns(table, columns, _BESIDE.get(self._task, ()))
        places = list(range(len(table)))
        if self._reading.is_plain and columns.text is not None:
            places = [place for place in places if table.columns[columns.text][place].strip()]
        self._num_blank += len(table) - len(places)
        answers: list[tuple[Row, Answer]] = [
            (Row(table.first + place + 1, "", None, table.place(place)), dict(_BLANK))
            for place in range(len(table))
        ]
        if places:
            some = _rows_at(table, places)
            said = self._answers(some, columns, progress)
            for place, answered in zip(places, said, strict=True):
                answers[place] = (replace(answered[0], number=table.first + place + 1), answered[1])
        return answers

    def tell(self) -> None:
        """Tell what of the texts was not read as it stands."""
        if self._num_blank:
            self._reporter.warn(
                f"{self._reading.path}: {self._num_blank:,} of "
                f"{self._counts.rows + self._num_blank:,} lines are blank: of them nothing is "
                "predicted (null)."
            )
        tell_of_texts(self._reporter, self._fitted.settings, self._reading.path, self._counts)

    def _settled(self, first: Table) -> Columns:
        """Settle the columns, and say where rows aren't of the kind that was learnt."""
        fitted = self._fitted.columns
        self._columns = choose_columns(self._task, self._how, self._reading, first, fitted)
        if fitted is not None and self._fitted.kind.pools and not fitted.choices:
            had, has = (each.text_pair is not None for each in (fitted, self._columns))
            if had != has:
                learnt, given = ("pairs", "one text each") if had else ("single texts", "two each")
                self._reporter.warn(
                    f"The model was fitted to {learnt}; {self._reading.path} has {given}."
                )
        return self._columns

    @torch.inference_mode()
    def _answers(
        self, table: Table, columns: Columns, progress: WindowProgress
    ) -> list[tuple[Row, Answer]]:
        fitted = self._fitted
        examples, tokens = self._examples(table, columns)
        items = fitted.task.encode(fitted.encoder, examples)
        self._counts += Counts.of(items)
        outputs = predict(
            fitted.task,
            self._model,
            items,
            micro_batch_size=self._machine.micro_batch_size,
            device=self._machine.device,
            progress=ItemProgress(progress, len(items)),
        )
        judged = fitted.task.judge(items, outputs, examples, fitted.tuned)
        answered: list[tuple[Row, Answer]] = []
        for place, example in enumerate(examples.rows):
            told = judged.tell(place)
            answer = {name: value for name, value in told.items() if name not in _TRUTHS}
            text = None
            if tokens is not None:
                assert columns.text is not None
                text = table.columns[columns.text][place]
                answer = _with_places(answer, text, tokens[place])
            if "n_best" in answer:
                answer = self._as_many_as_asked(answer)
            answered.append((_row(table, place, example, text), answer))
        return answered

    def _examples(
        self, table: Table, columns: Columns
    ) -> tuple[Examples[Any], list[list[Token]] | None]:
        """Return what is asked about; for tags in texts also the tokens these were cut into."""
        fitted = self._fitted
        if self._task == "token-classification":
            assert columns.text is not None
            texts = table.columns[columns.text]
            if any(isinstance(each, str) for each in texts):
                tokens = [_cut(each, table.place(row)) for row, each in enumerate(texts)]
                rows = [TaggedRow(tuple(token.text for token in each), None) for each in tokens]
                return Examples(table, rows, range(len(rows))), tokens
        return fitted.kind.read(table, columns, fitted.settings, labelled=False), None

    def _as_many_as_asked(self, answer: Answer) -> Answer:
        most = self._how.n_best_size
        n_best = answer["n_best"]
        rest = {name: value for name, value in answer.items() if name != "n_best"}
        return rest if most is None else {**rest, "n_best": n_best[:most]}


def _rows_at(table: Table, places: Sequence[int]) -> Table:
    if len(places) == len(table):
        return table
    columns = {name: [values[place] for place in places] for name, values in table.columns.items()}
    lines = [table.lines[place] for place in places] if table.lines else []
    return replace(table, columns=columns, lines=lines)


def _cut(text: Any, place: str) -> list[Token]:
    tokens = tokens_of(text) if isinstance(text, str) else []
    if not tokens:
        raise BadInput(
            f"{place}: no text; expected one to be cut into tokens, as in the rows before.",
            hint="Every row has a text, or every row a list of tokens.",
        )
    return tokens


def _with_places(answer: Answer, text: str, tokens: Sequence[Token]) -> Answer:
    """Add where tokens and entities stand in their text, in characters."""
    told = {"offsets": [[each.start, each.end] for each in tokens]}
    answer = {"tokens": answer["tokens"], **told, **answer}
    if "entities" in answer:
        answer["entities"] = [
            {
                **each,
                "text": text[tokens[each["first"]].start : tokens[each["last"]].end],
                "start": tokens[each["first"]].start,
                "end": tokens[each["last"]].end,
            }
            for each in answer["entities"]
        ]
    return answer


def _row(table: Table, place: int, example: Any, text: str | None) -> Row:
    """Return what a person is shown of a row."""
    pair = getattr(example, "text_pair", None)
    shown = text if text is not None else getattr(example, "text", None)
    if hasattr(example, "question"):
        shown = example.question
    elif shown is None:
        shown = " ".join(getattr(example, "tokens", ()))
    choices = getattr(example, "choices", ())
    return Row(table.first + place + 1, shown, pair, table.place(place), choices)
