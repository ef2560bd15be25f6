"""Which columns of a file are texts, choices and labels: as told, or guessed and said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import BadInput
from ..reading.rows import Table
from ..settings import FinetuneSettings

# Names as they are found in the field's own data sets, in lower case.
_PAIRS = (
    ("text_a", "text_b"),
    ("text1", "text2"),
    ("text", "text_pair"),
    ("sentence1", "sentence2"),
    ("sentence_a", "sentence_b"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("question", "sentence"),
    ("question", "answer"),
    ("query", "passage"),
)
_TEXTS = ("text", "sentence", "content", "review", "utterance", "query", "question")
_LABELS = ("label", "labels", "gold_label", "category", "class", "intent", "sentiment", "target")


_NUMBERS = ("score", "relatedness_score", "similarity", "rating", "stars", *_LABELS)


@dataclass(frozen=True)
class Columns:
    """The columns of a task: what is read of a row, and what is true of it."""

    text: str | None
    """None where choices are compared by themselves."""
    text_pair: str | None
    label: str
    choices: tuple[str, ...] = ()

    @property
    def used(self) -> tuple[str, ...]:
        """The names of all of them."""
        names = (self.text, self.text_pair, *self.choices, self.label)
        return tuple(each for each in names if each is not None)

    def __str__(self) -> str:
        texts = [repr(each) for each in (self.text, self.text_pair) if each is not None]
        if self.choices:
            texts.append(", ".join(map(repr, self.choices)))
        return f"{' with '.join(texts)} → {self.label!r}"


def choose_text_columns(table: Table, settings: FinetuneSettings) -> Columns:
    """Take the columns that the settings name, and guess the others from the names there are.

    Raises:
        BadInput: a named column isn't there, or the names leave it open which is which.
    """
    for flag, name in given_columns(settings).items():
        column(table, name, hint=f"Name one of them with {flag}.")
    free = [name for name in table.columns if name not in given_columns(settings).values()]
    labels = _NUMBERS if settings.task == "regression" else _LABELS
    label = settings.label_column or only(known_names(free, labels))
    free = [name for name in free if name != label]
    text, text_pair = settings.text_column, settings.text_pair_column
    if text is None:
        text, text_pair = guess_texts(free, text_pair)
    free = [name for name in free if name not in (text, text_pair)]
    if len(free) == 1 and text_pair is None and (text is None) != (label is None):
        # Of two columns, one of them known, there is no doubt about the other.
        text, label = text or free[0], label or free[0]
    if text is None or label is None:
        what, flag = ("text", "--text-column") if text is None else ("label", "--label-column")
        raise BadInput(
            f"{table.path}: it isn't clear which column is the {what}; it has "
            f"{listed_names(table)}.",
            hint=f"Name it with {flag}. The first line of a CSV or TSV file names the columns.",
        )
    chosen = Columns(text, text_pair, label)
    if len(set(chosen.used)) < len(chosen.used):
        raise BadInput(
            f"One column can't be two things: text {text!r}, its pair {text_pair!r}, label "
            f"{label!r}.",
            hint=f"The columns are {listed_names(table)}.",
        )
    return chosen


def column(table: Table, name: str, *, hint: str = "") -> Sequence[Any]:
    """Return a column's values; raise `BadInput` that lists the columns where there is none."""
    if name not in table.columns:
        raise BadInput(
            f"{table.path} has no column {name!r}; it has {listed_names(table)}.", hint=hint
        )
    return table.columns[name]


def given_columns(settings: FinetuneSettings) -> dict[str, str]:
    """Return the columns that are named, by the flag that names them."""
    named = {
        "--text-column": settings.text_column,
        "--text-pair-column": settings.text_pair_column,
        "--label-column": settings.label_column,
    }
    return {flag: name for flag, name in named.items() if name is not None}


def guess_texts(free: Sequence[str], text_pair: str | None) -> tuple[str | None, str | None]:
    """Return the text's column and its pair's; neither where the names fit more than one way."""
    singles = known_names(free, _TEXTS)
    if text_pair is not None:
        return only(singles), text_pair
    pairs = [found for pair in _PAIRS if len(found := known_names(free, pair)) == 2]
    if not pairs:
        return only(singles), None
    if len(pairs) > 1 or set(singles) - set(pairs[0]):
        return None, None
    return pairs[0][0], pairs[0][1]


def known_names(names: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return those of the names that are known, whatever their case."""
    return [name for each in known for name in names if name.lower() == each]


def only(names: Sequence[str]) -> str | None:
    """Return the one name there is; None where it is open."""
    return names[0] if len(names) == 1 else None


def listed_names(table: Table) -> str:
    """Return the names of a table's columns as a person reads them."""
    shown = [f"{name!r:.40}" for name in table.columns]
    more = f" and {len(shown) - 20:,} more" if len(shown) > 20 else ""
    return ", ".join(shown[:20]) + more
