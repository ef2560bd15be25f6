"""How a stage tells what it is doing; `cli/` decides how people see it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Progress(Protocol):
    """One piece of work under way."""

    def advance(self, amount: float, **figures: float | str) -> None:
        """Count `amount` more as done; `figures` are shown beside the bar.

        One whose name ends in `_done` is a count, and is shown with its rate.
        """
        ...


class Reporter(Protocol):
    """Where a stage's news goes."""

    def detail(self, text: str) -> None:
        """Say something that only a person who asks for everything wants to know."""
        ...

    def notice(self, text: str) -> None:
        """Say something a person may want to know."""
        ...

    def warn(self, text: str) -> None:
        """Say something a person should act upon."""
        ...

    def phase(
        self, name: str, *, total: float | None, unit: str, done: float = 0
    ) -> AbstractContextManager[Progress]:
        """Begin a piece of work of `total` units (`B`, `instances`, …), `done` of them kept."""
        ...


class Silent:
    """A reporter that says nothing: for use as a library."""

    def detail(self, text: str) -> None:
        """Keep it."""

    def notice(self, text: str) -> None:
        """Keep it."""

    def warn(self, text: str) -> None:
        """Keep it."""

    def advance(self, amount: float, **figures: float | str) -> None:
        """Keep it."""

    @contextmanager
    def phase(
        self, name: str, *, total: float | None, unit: str, done: float = 0
    ) -> Generator[Progress]:
        """Begin a piece of work in silence."""
        yield self
