"""Signals, and time that is up, turned into a question that long work asks between two steps."""

from __future__ import annotations

import signal
import time
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from ..pipeline.stage.stopping import STOPPING


class Terminated(BaseException):
    """A signal came that asks to stop: stop as Ctrl-C does."""

    def __init__(self, asked: signal.Signals) -> None:
        super().__init__(asked)
        self.signal = asked


def terminate(number: int, frame: FrameType | None) -> NoReturn:
    """Answer a signal by stopping at once."""
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise Terminated(signal.Signals(number))


class StopRequest:
    """Whether the work should stop: somebody asked for it by a signal, or its time is up."""

    def __init__(self, *, seconds: float | None = None) -> None:
        self.signal: signal.Signals | None = None
        self.was_asked = False
        """Whether the work has come to where it can save what it has."""
        self._deadline = None if seconds is None else time.monotonic() + seconds

    @property
    def exit_code(self) -> int:
        """The exit code of work that stopped because of it; 0 where it stopped by itself."""
        return 128 + self.signal if self.signal else 0

    def __call__(self) -> bool:
        """Tell whether the work should save what it has and stop."""
        self.was_asked = True
        if self.signal is not None:
            return True
        return self._deadline is not None and time.monotonic() > self._deadline


@contextmanager
def stop_on_signals(*, seconds: float | None = None) -> Generator[StopRequest]:
    """Note the first signal to stop; a second one acts at once, as if nobody had listened.

    So does the first where the work hasn't asked yet: there is nothing it would have to save. After
    `seconds` from now the work is asked to stop too.
    """
    request = StopRequest(seconds=seconds)
    before = {each: signal.getsignal(each) for each in STOPPING}
    # nohup has SIGHUP ignored, and wants it to stay so.
    listened = [each for each, handler in before.items() if handler is not signal.SIG_IGN]

    def note(number: int, frame: FrameType | None) -> None:
        request.signal = signal.Signals(number)
        for each, handler in before.items():
            signal.signal(each, handler)
        if not request.was_asked:
            signal.raise_signal(number)

    for each in listened:
        signal.signal(each, note)
    try:
        yield request
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
