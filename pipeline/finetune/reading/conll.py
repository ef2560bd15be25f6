"""Tagged text, a token a line and a blank line after each sentence, turned into columns of lists.

The shape is CoNLL's, of which there are as many kinds as there were shared tasks: two to five
columns, tabs or spaces between them, comments, `-DOCSTART-` lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

_DOCUMENT = "-DOCSTART-"
_TAB, _SPACES = re.compile("\t"), re.compile("[ \t]+")


@dataclass
class Sentences:
    """Sentences up to the first problem: each a list of lines, a line a list of fields."""

    sentences: list[list[list[str]]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    """Where each begins, counted from 1."""
    problem: str | None = None
    problem_line: int = 0

    @property
    def columns(self) -> dict[str, list[list[str]]]:
        """The values of each column, by its number from 1, a list for each sentence."""
        count = len(self.sentences[0][0]) if self.sentences else 0
        return {
            str(place + 1): [[token[place] for token in each] for each in self.sentences]
            for place in range(count)
        }


@dataclass(frozen=True)
class Sentence:
    """A sentence's lines as fields, and the line where it begins, counted from 1."""

    line: int
    tokens: list[list[str]]


class BadSentence(Exception):
    """A line isn't as the others are: `problem`, and the number of the `line`."""

    def __init__(self, problem: str, line: int) -> None:
        super().__init__(problem)
        self.problem, self.line = problem, line


def read_sentences(text: str) -> Sentences:
    """Read the sentences of a text up to the first problem."""
    read = Sentences()
    try:
        for each in sentences_of(text.split("\n")):
            read.sentences.append(each.tokens)
            read.lines.append(each.line)
    except BadSentence as bad:
        read.problem, read.problem_line = bad.problem, bad.line
    return read


def sentences_of(lines: Iterable[str], *, fewest: int = 2) -> Iterator[Sentence]:
    """Yield sentences whose lines all have as many fields as the first line has.

    `fewest`: how many that are at least. Raises `BadSentence`.
    """
    separator: re.Pattern[str] | None = None
    width = 0
    sentence: Sentence | None = None
    for number, line in enumerate(lines, start=1):
        if separator is None and _has_fields(line):
            separator = _TAB if "\t" in line else _SPACES
        # Unicode's other spaces may be tokens.
        fields = [each.strip(" ") for each in (separator or _SPACES).split(line.strip(" \r\n"))]
        if not line.strip() or fields[0] == _DOCUMENT:
            if sentence is not None:
                yield sentence
            sentence = None
            continue
        if line.startswith("#") and _is_comment(line, len(fields), width):
            continue
        width = width or len(fields)
        if problem := _problem(fields, width, fewest):
            raise BadSentence(problem, number)
        sentence = sentence or Sentence(number, [])
        sentence.tokens.append(fields)
    if sentence is not None:
        yield sentence


def _has_fields(line: str) -> bool:
    """Whether a line tells how fields are parted: it is the first that has a token."""
    return bool(line.strip()) and not line.startswith(("# ", _DOCUMENT))


def _is_comment(line: str, num_fields: int, width: int) -> bool:
    """Whether a line that begins with `#` is no token: a token has all its fields."""
    return num_fields != width if width else line.startswith("# ")


def _problem(fields: Sequence[str], width: int, fewest: int) -> str | None:
    if width < fewest:
        return "one field; expected a token and its tag, with a tab or a space between them"
    if len(fields) != width:
        return f"{len(fields)} instead of {width} fields, as many as the first line has"
    if not all(fields):
        return "an empty field; expected a token and its tag"
    return None
