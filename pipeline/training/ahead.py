"""Batches read one step ahead: while one is computed, the next comes from the disk."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Generic, TypeVar

Batch = TypeVar("Batch")


class Ahead(Generic[Batch]):
    """Gives the batches of one step after another, each read while the one before is used."""

    def __init__(
        self, read: Callable[[int], Batch], end: int, executor: ThreadPoolExecutor
    ) -> None:
        self._read = read
        self._end = end
        self._executor = executor
        self._coming: tuple[int, Future[Batch]] | None = None

    def batch(self, step: int) -> Batch:
        """Return a step's batch, and begin to read the next one's; raise what reading it raised."""
        known = self._coming is not None and self._coming[0] == step
        batch = self._coming[1].result() if self._coming and known else self._read(step)
        self._coming = None
        if step + 1 < self._end:
            self._coming = step + 1, self._executor.submit(self._read, step + 1)
        return batch


@contextmanager
def reading_ahead(read: Callable[[int], Batch], *, end: int) -> Generator[Ahead[Batch]]:
    """Read a step ahead of whoever asks, of the steps before `end`, until the block ends."""
    with ThreadPoolExecutor(1, thread_name_prefix="reading") as executor:
        yield Ahead(read, end, executor)
