"""Sentences whose tokens have a tag each."""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from ...errors import BadInput
from ..reading.rows import Table
from ..settings import FinetuneSettings
from .cells import check_text
from .columns import Columns, column, given_columns, known_names, listed_names, only
from .examples import Examples, Known, listed
from .tags import (
    OUTSIDE,
    Scheme,
    all_tags,
    breaks,
    converted,
    entities,
    is_entity_tag,
    scheme_of,
)

TOKENS = ("tokens", "words")
_TAGS = ("tags", "ner_tags", "labels", "ner", "pos_tags", "label")


@dataclass(frozen=True)
class TaggedRow:
    """A sentence's tokens and their tags; tags are None where there are none."""

    tokens: tuple[str, ...]
    tags: tuple[str, ...] | None

    @property
    def content(self) -> Hashable:
        """The tokens."""
        return self.tokens

    @property
    def is_labelled(self) -> bool:
        """Whether there are tags."""
        return self.tags is not None

    @property
    def teaches(self) -> bool:
        """Whether it can be learnt from: wherever it is labelled."""
        return self.is_labelled


def choose_tagged_columns(table: Table, settings: FinetuneSettings) -> Columns:
    """Find the tokens and their tags: by name where columns have names, else by what is in them.

    Raises:
        BadInput: a named column isn't there, or it is open which is which.
    """
    if settings.text_pair_column is not None:
        raise BadInput(
            "--text-pair-column: a sentence to be tagged has no pair.", hint="Leave it out."
        )
    for flag, name in given_columns(settings).items():
        column(table, name, hint=f"Name one of them with {flag}.")
    text, label = settings.text_column, settings.label_column
    if list(table.columns) == [str(place + 1) for place in range(len(table.columns))]:
        text = text or numbered_tokens(table)
        label = label or _numbered_tags(table, text)
    else:
        text = text or only(known_names(list(table.columns), TOKENS))
        label = label or only(known_names(list(table.columns), _TAGS))
    if text is None or label is None or text == label:
        raise BadInput(
            f"{table.path}: it isn't clear which columns are the tokens and their tags; it has "
            f"{listed_names(table)}.",
            hint="Name them with --text-column and --label-column.",
        )
    return Columns(text, None, label)


def numbered_tokens(table: Table) -> str:
    """Return the first column that doesn't just count."""
    sentences = table.columns["1"]
    counts = all(
        token.isdecimal() and int(token) == place
        for tokens in sentences
        for place, token in enumerate(tokens, start=1)
        if "-" not in token
    )
    return "2" if counts and any(len(tokens) > 1 for tokens in sentences) else "1"


def _numbered_tags(table: Table, text: str) -> str | None:
    """Return the last column of entity tags, or the last one at all where none holds any."""
    others = [name for name in table.columns if int(name) > int(text)]
    tagged: list[str] = []
    for name in others:
        values = {tag for tags in table.columns[name] for tag in tags}
        if any(map(is_entity_tag, values)) and all(
            tag == OUTSIDE or is_entity_tag(tag) for tag in values
        ):
            tagged.append(name)
    return (tagged or others or [None])[-1]


def read_tagged(
    table: Table, columns: Columns, settings: FinetuneSettings, *, labelled: bool
) -> Examples[TaggedRow]:
    """Take sentences out of a table; with `labelled` each needs its tags.

    Raises:
        BadInput: a sentence has no tokens, or not as many tags as tokens, with its place.
    """
    assert columns.text is not None
    sentences = column(table, columns.text, hint="Every file needs the training file's columns.")
    tags: Sequence[Any] = [None] * len(sentences)
    if labelled or columns.label in table.columns:
        tags = column(table, columns.label, hint="Name it with --label-column.")
    rows: list[TaggedRow] = []
    for row, (tokens, its_tags) in enumerate(zip(sentences, tags, strict=True)):
        place = table.place(row)
        read = _strings(tokens, place, columns.text)
        if its_tags is None:
            if labelled:
                raise BadInput(
                    f"{place}: no tags in the column {columns.label!r}; expected one a token.",
                    hint="Only a --test file may lack labels.",
                )
            rows.append(TaggedRow(read, None))
            continue
        told = _strings(its_tags, place, columns.label)
        if len(told) != len(read):
            raise BadInput(
                f"{place}: {len(told):,} tags for {len(read):,} tokens; expected one a token.",
                hint="Mend the row.",
            )
        rows.append(TaggedRow(read, told))
    return Examples(table, rows, range(len(rows)))


def _strings(value: Any, place: str, name: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise BadInput(
            f"{place}: {json.dumps(value, ensure_ascii=False, default=str):.40} in the column "
            f"{name!r}; expected a list with something for each token.",
            hint='For example {"tokens": ["a", "red", "sky"], "tags": ["O", "B-COLOUR", "O"]}.',
        )
    strings = [str(each) if isinstance(each, int) else each for each in value]
    for each in strings:
        check_text(each, place, name)
    return tuple(strings)


def learn_tags(train: Examples[TaggedRow], settings: FinetuneSettings) -> Known:
    """Return the tags there are, and the scheme of their entities.

    Of entities, all tags that their types can have in the scheme: a rare one may be in no
    training row.

    Raises:
        BadInput: there is only one tag, or none is an entity's although a scheme is named.
    """
    sentences = [row.tags for row in train.rows if row.tags is not None]
    found = sorted({tag for tags in sentences for tag in tags})
    if len(found) < 2:
        raise BadInput(
            f"{train.table.path} holds only the tag {found[0]!r}; expected at least two.",
            hint="Is it the right --label-column?",
        )
    scheme = scheme_of(sentences)
    if scheme is None:
        if settings.tag_scheme != "auto" or settings.convert_tags != "none":
            raise BadInput(
                f"{train.table.path} has no tag such as B-PER or I-PER: there is no scheme.",
                hint="Leave --tag-scheme and --convert-tags out where tags aren't entities.",
            )
        return Known(tuple(found))
    kinds = sorted({kind for tags in sentences for kind, _, _ in entities(tags)})
    written: Scheme = scheme
    if settings.tag_scheme not in ("auto", "any"):
        written = settings.tag_scheme
    kept: Scheme = written if settings.convert_tags == "none" else settings.convert_tags
    labels = all_tags(kinds, kept)
    strays = [tag for tag in found if tag not in labels] if settings.tag_scheme == "any" else []
    return Known(
        (*labels, *(strays if settings.convert_tags == "none" else ())),
        {"tag_scheme": kept},
        {"tag_scheme": None if settings.tag_scheme == "any" else written},
    )


def fit_tags(
    examples: Examples[TaggedRow], known: Known, settings: FinetuneSettings
) -> Examples[TaggedRow]:
    """Return the sentences with their tags as the model is to write them.

    Raises:
        BadInput: a tag breaks the scheme or wasn't seen in training, with its place.
    """
    scheme: Scheme | None = known.reads.get("tag_scheme")
    names = set(known.labels)
    rows: list[TaggedRow] = []
    for number, row in enumerate(examples.rows):
        tags = row.tags
        if tags is None:
            rows.append(row)
            continue
        if scheme is not None and (broken := next(breaks(tags, scheme), None)):
            _refuse_break(examples, number, scheme, *broken)
        if settings.convert_tags != "none":
            tags = tuple(converted(tags, settings.convert_tags))
        for place, tag in enumerate(tags, start=1):
            if tag not in names:
                raise BadInput(
                    f"{examples.place(number)}, token {place:,}: the tag {tag!r} was never seen "
                    f"in training; known are {listed(known.labels)}.",
                    hint="Mend the tag, or add rows with it to the training file.",
                )
        rows.append(replace(row, tags=tags))
    return replace(examples, rows=rows)


def _refuse_break(
    examples: Examples[TaggedRow], number: int, scheme: Scheme, place: int, expected: str
) -> NoReturn:
    row = examples.rows[number]
    assert row.tags is not None
    broken = sum(
        next(breaks(each.tags, scheme), None) is not None for each in examples.rows if each.tags
    )
    raise BadInput(
        f"{examples.place(number)}, token {place + 1:,} ({row.tokens[place]!r}): the tag is "
        f"{row.tags[place]!r}; {scheme} would have {expected!r} there ({broken:,} such sentences).",
        hint="Mend it, name the scheme with --tag-scheme, or take tags as they are with "
        "--tag-scheme any, read as the CoNLL evaluation reads them.",
    )
