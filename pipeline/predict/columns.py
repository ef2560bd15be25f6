"""Which columns of an input are asked about: as told, as the model was fitted, or guessed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import BadInput
from ..finetune.examples.choices import QUESTIONS, guess_choices
from ..finetune.examples.columns import Columns, guess_texts, known_names, listed_names, only
from ..finetune.examples.questions import CONTEXT, QUESTION
from ..finetune.examples.tagged import TOKENS, numbered_tokens
from ..finetune.reading.rows import Table
from .reading import CHOICES, TEXT, TEXT_PAIR, Reading
from .settings import PredictHow

_NO_LABEL = ""
"""Labels aren't read: nobody asks for them, and they may be wrong."""
_TEXT_COLUMNS = ("text", "sentence", "content")
_FLAGS = {"text": "--text-column", "pair": "--text-pair-column", "choice": "--choice-column"}


def choose_columns(
    task: str, how: PredictHow, reading: Reading, first: Table, fitted: Columns | None
) -> Columns:
    """Settle the columns by the first rows; `fitted` are those that the model was fitted to.

    Raises:
        BadInput: one isn't there, or it is open which is which.
    """
    if reading.is_plain:
        return _of_plain_rows(task, how, reading)
    columns = _told(task, how, fitted) or _GUESSES.get(task, _guess_only_text)(first, how)
    named = {"text": [columns.text], "pair": [columns.text_pair], "choice": columns.choices}
    for what, names in named.items():
        for name in names:
            if name is not None and name not in first.columns:
                raise BadInput(
                    f"{first.path} has no column {name!r}; it has {listed_names(first)}.",
                    hint=f"Name it with {_FLAGS[what]}.",
                )
    return columns


def _of_plain_rows(task: str, how: PredictHow, reading: Reading) -> Columns:
    if task == "question-answering" and not reading.has_pair:
        raise BadInput(
            f"{reading.path}: a question by itself; expected the text it is asked of, too.",
            hint='Give it with --text-pair, or lines such as {"question": "…", "context": "…"}: '
            "--input-format jsonl.",
        )
    if task == "multiple-choice" and len(how.choice) < 2:
        raise BadInput(
            f"{reading.path}: {len(how.choice)} choices; expected at least two.",
            hint='Give each with --choice, or lines such as {"question": "…", "choices": ["…", '
            '"…"]}: --input-format jsonl.',
        )
    choices = (CHOICES,) if task == "multiple-choice" else ()
    return Columns(TEXT, TEXT_PAIR if reading.has_pair else None, _NO_LABEL, choices)


def _told(task: str, how: PredictHow, fitted: Columns | None) -> Columns | None:
    """Return the columns that flags name, and otherwise those of the fine-tuning."""
    if fitted is None:
        return None
    pair = how.text_pair_column
    # Whoever names one column of texts may have but one; a question is always asked of a text.
    if pair is None and (how.text_column is None or task == "question-answering"):
        pair = fitted.text_pair
    return Columns(
        how.text_column or fitted.text, pair, _NO_LABEL, how.choice_column or fitted.choices
    )


def _guess_only_text(table: Table, how: PredictHow) -> Columns:
    names = list(table.columns)
    text = how.text_column or next((name for name in _TEXT_COLUMNS if name in names), None)
    return Columns(text or _the_only(table, "text"), how.text_pair_column, _NO_LABEL)


def _guess_texts(table: Table, how: PredictHow) -> Columns:
    text, pair = how.text_column, how.text_pair_column
    if text is None:
        text, pair = guess_texts([name for name in table.columns if name != pair], pair)
    return Columns(text or _the_only(table, "text"), pair, _NO_LABEL)


def _guess_tokens(table: Table, how: PredictHow) -> Columns:
    names = list(table.columns)
    is_numbered = names == [str(place) for place in range(1, len(names) + 1)]
    text = how.text_column or (numbered_tokens(table) if is_numbered else None)
    text = text or only(known_names(names, (*TOKENS, *_TEXT_COLUMNS)))
    return Columns(text or _the_only(table, "text"), None, _NO_LABEL)


def _guess_question(table: Table, how: PredictHow) -> Columns:
    return Columns(how.text_column or QUESTION, how.text_pair_column or CONTEXT, _NO_LABEL)


def _guess_choices(table: Table, how: PredictHow) -> Columns:
    names: Sequence[str] = [name for name in table.columns if name != how.text_column]
    choices = how.choice_column or guess_choices(names)
    if not choices:
        raise BadInput(
            f"{table.path}: it isn't clear where the choices stand; it has {listed_names(table)}.",
            hint="Name the columns with --choice-column, once for each.",
        )
    free = [name for name in names if name not in choices]
    text = how.text_column or only(known_names(free, QUESTIONS))
    return Columns(text, None, _NO_LABEL, tuple(choices))


def _the_only(table: Table, what: str) -> str:
    name = only(list(table.columns))
    if name is None:
        raise BadInput(
            f"{table.path}: it isn't clear which column is the text; it has {listed_names(table)}.",
            hint=f"Name it with {_FLAGS[what]}.",
        )
    return name


_GUESSES = {
    "sequence-classification": _guess_texts,
    "regression": _guess_texts,
    "token-classification": _guess_tokens,
    "question-answering": _guess_question,
    "multiple-choice": _guess_choices,
}
"""By task; of a pretrained model only the text is looked for"""


def only_columns(table: Table, columns: Columns, others: Sequence[str] = ()) -> Table:
    """Return a table of the columns that are read, and `others` that it may have."""
    there = [name for name in others if name in table.columns]
    names = [name for name in columns.used if name != _NO_LABEL]
    nothing = [None] * len(table)
    kept: Mapping[str, Sequence[object]] = {
        name: table.columns.get(name, nothing) for name in (*names, *there)
    }
    return Table(table.path, table.fingerprint, kept, table.lines, table.first)
