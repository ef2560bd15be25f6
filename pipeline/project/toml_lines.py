"""Where each key of a TOML file stands: the standard library's parser keeps no line numbers."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

Keys = tuple[str, ...]

_ENDS = ("]", "}", '"""', "'''")
"""One of them is in the last line of a statement of several: a list of thousands is asked once."""


def lines_of_keys(text: str) -> dict[Keys, int]:
    """Return the line, from 1, at which each key and table of a valid TOML file begins.

    A statement ends with the first line that makes it valid by itself: the parser is asked, so
    strings and arrays over several lines need no rules of ours.
    """
    lines: dict[Keys, int] = {}
    table: Keys = ()
    statement, begun = "", 1
    for number, line in enumerate(text.split("\n"), 1):
        if not statement:
            begun = number
        is_whole = statement == "" or any(mark in line for mark in _ENDS)
        statement += line + "\n"
        if not is_whole:
            continue
        try:
            content = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue
        is_table, statement = statement.lstrip().startswith("["), ""
        paths = list(_paths(content))
        prefix = () if is_table else table
        for path in paths:
            lines.setdefault((*prefix, *path), begun)
        if is_table:
            table = paths[-1]
    return lines


def _paths(content: Mapping[str, Any]) -> Iterator[Keys]:
    """Yield the path of each key, outer ones first."""
    for key, value in content.items():
        yield (key,)
        if isinstance(value, Mapping):
            for path in _paths(value):
                yield (key, *path)
