"""Signals turned into a question that long work asks between two steps."""

from __future__ import annotations

import signal
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

_STOPPING = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)
)


class StopRequest:
    """Whether somebody asked the work to stop, and by which signal."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    @property
    def exit_code(self) -> int:
        """The exit code of work that stopped because of it; 0 where it stopped by itself."""
        return 128 + self.signal if self.signal else 0

    def __call__(self) -> bool:
        """Tell whether the work should save what it has and stop."""
        return self.signal is not None


@contextmanager
def stop_on_signals() -> Generator[StopRequest]:
    """Note the first signal to stop; a second one acts at once, as if nobody had listened."""
    request = StopRequest()
    before = {each: signal.getsignal(each) for each in _STOPPING}

    def note(number: int, frame: FrameType | None) -> None:
        request.signal = signal.Signals(number)
        for each, handler in before.items():
            signal.signal(each, handler)

    for each in _STOPPING:
        signal.signal(each, note)
    try:
        yield request
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
