"""What runs first: a signal ends the program as it should even while it is being imported."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line."""
    _on_signals(_leave)
    from .main import main as run

    try:
        run()
    finally:
        # What is done is done: a signal while the interpreter ends changes nothing.
        _on_signals(signal.SIG_IGN)


def _on_signals(handler: Callable[[int, FrameType | None], object] | signal.Handlers) -> None:
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, handler)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    # Nothing has begun that would have to be kept.
    os._exit(128 + number)
