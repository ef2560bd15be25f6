"""Tagged text, a token a line and a blank line after each sentence, turned into columns of lists.

The shape is CoNLL's, of which there are as many kinds as there were shared tasks: two to five
columns, tabs or spaces between them, comments, `-DOCSTART-` lines.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
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


def read_sentences(text: str) -> Sentences:
    """Read sentences whose lines all have as many fields as the first line has."""
    separator = _TAB if _has_tabs(text) else _SPACES
    read = Sentences()
    width = 0
    begins = True
    for number, line in enumerate(text.split("\n"), start=1):
        # Unicode's other spaces may be tokens.
        fields = [each.strip(" ") for each in separator.split(line.strip(" \r"))]
        if not line.strip() or fields[0] == _DOCUMENT:
            begins = True
            continue
        if line.startswith("#") and _is_comment(line, len(fields), width):
            continue
        width = width or len(fields)
        if problem := _problem(fields, width):
            read.problem, read.problem_line = problem, number
            return read
        if begins:
            read.sentences.append([])
            read.lines.append(number)
            begins = False
        read.sentences[-1].append(fields)
    return read


def _has_tabs(text: str) -> bool:
    """Whether fields are parted by tabs: so is the first line that has a token."""
    for line in text.split("\n"):
        if line.strip() and not line.startswith("# ") and not line.startswith(_DOCUMENT):
            return "\t" in line
    return False


def _is_comment(line: str, num_fields: int, width: int) -> bool:
    """Whether a line that begins with `#` is no token: a token has all its fields."""
    return num_fields != width if width else line.startswith("# ")


def _problem(fields: Sequence[str], width: int) -> str | None:
    if width < 2:
        return "one field; expected a token and its tag, with a tab or a space between them"
    if len(fields) != width:
        return f"{len(fields)} instead of {width} fields, as many as the first line has"
    if not all(fields):
        return "an empty field; expected a token and its tag"
    return None
