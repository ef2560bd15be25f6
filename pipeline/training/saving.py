"""Checkpoints written in the background: training waits for a copy of its state, not for a disk."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from .checkpoint import Snapshot
from .loop import TrainingState


class Saver:
    """Writes one snapshot at a time, each whole before the next is taken."""

    def __init__(self, write: Callable[[Snapshot], None], executor: ThreadPoolExecutor) -> None:
        self._write = write
        self._executor = executor
        self._writing: Future[None] | None = None

    def save(self, state: TrainingState) -> None:
        """Copy the state and begin to write it; raise what went wrong with the one before."""
        self.wait()
        self._writing = self._executor.submit(self._write, Snapshot.of(state))

    def wait(self) -> None:
        """Return when the last snapshot is on disk; raise what went wrong with it."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def fail_if_failed(self) -> None:
        """Raise at once what has already gone wrong, as a full disk does."""
        if self._writing is not None and self._writing.done():
            self.wait()


@contextmanager
def saving(write: Callable[[Snapshot], None]) -> Generator[Saver]:
    """Give a saver whose last snapshot is on disk when the block ends, however it ends."""
    with ThreadPoolExecutor(1, thread_name_prefix="checkpoint") as executor:
        saver = Saver(write, executor)
        try:
            yield saver
        finally:
            saver.wait()
