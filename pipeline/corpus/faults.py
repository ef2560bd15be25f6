"""What is wrong with the input: stop with its place, or leave it out and remember."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from ..errors import BadInput

_DESCRIBED = 10
"""Faults described one by one between two calls of `take`; the others are counted."""


@dataclass(frozen=True)
class Skipped:
    """Something that was left out: where it stood and what was wrong with it."""

    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


@dataclass
class Faults:
    """The faults of one source, handled as `--on-bad-input` says.

    `lines_before` counts the lines that precede the source in its file, None where that would
    take too long; it is asked for only when there is a fault to describe.
    """

    path: str
    policy: Literal["stop", "skip"]
    lines_before: Callable[[], int | None] = lambda: 0
    unit: str = "byte"
    _count: int = 0
    _described: list[Skipped] = field(default_factory=list)
    _before: tuple[int | None] | None = None

    def report(
        self,
        found: str,
        *,
        expected: str,
        hint: str,
        line: int | None = None,
        offset: int | None = None,
        within: str = "",
    ) -> None:
        """Raise `BadInput`, or count the fault and go on.

        `line` is counted from 1 within the source, `offset` in bytes from the file's beginning;
        `within` is the place in a file that has neither.
        """
        if self.policy == "stop":
            message = f"{self._place(line, offset, within)}: {found}; expected {expected}."
            raise BadInput(
                message, hint=f"{hint} Or leave out what can't be read with --on-bad-input skip."
            )
        self._count += 1
        if len(self._described) < _DESCRIBED:
            self._described.append(Skipped(self._place(line, offset, within), found))

    def take(self) -> tuple[int, tuple[Skipped, ...]]:
        """Return the number of faults since the last call, and the first few of them."""
        taken = self._count, tuple(self._described)
        self._count, self._described = 0, []
        return taken

    def _place(self, line: int | None, offset: int | None, within: str) -> str:
        place = f"{self.path}, {within}" if within else self.path
        if line is not None:
            if self._before is None:
                self._before = (self.lines_before(),)
            if self._before[0] is not None:
                place += f", line {self._before[0] + line:,}"
        return place if offset is None else f"{place} ({self.unit} {offset:,})"
