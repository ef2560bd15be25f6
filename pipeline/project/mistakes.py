"""What is wrong with a project file: collected, so that a person hears of all of it at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from ..errors import BadInput


class Mistakes:
    """A list that grows while a file is read, each entry with the place it was found at."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], None] = {}

    def add(self, where: str, message: str) -> None:
        """Note one; what was said before of the same place isn't said again."""
        self._told[where, message] = None

    def raise_if_any(self, file: str) -> None:
        """Raise `BadInput` that names every one of them."""
        if self._told:
            count = len(self._told)
            ordered = sorted(self._told, key=lambda each: _line(each[0]))
            told = "\n".join(f"  {where}: {message}" for where, message in ordered)
            raise BadInput(
                f"{file} has {count} mistake{'' if count == 1 else 's'}:\n{told}",
                hint="Nothing was started. docs/run.md explains the file; `bertctl init` writes "
                "one.",
            )


def _line(where: str) -> float:
    """Return the line that a place is on; what stands in no line comes last."""
    number = where.removeprefix("line ")
    return int(number) if number.isdigit() else float("inf")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return what a person probably meant, as the end of a sentence; nothing where it is a riddle.

    Where none of a few is near, all of them are named.
    """
    known = list(known)
    near = difflib.get_close_matches(name, known, 1)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; expected one of {', '.join(known)}." if 0 < len(known) <= _FEW else "."


_FEW = 8
