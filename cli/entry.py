"""What runs first: a signal ends the program as it should even while it is being imported."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from ..pipeline.stage.stopping import STOPPING

Handler = Callable[[int, FrameType | None], object] | signal.Handlers


def main() -> NoReturn:
    """Run the command line."""
    on_signals(_leave)
    # `bertctl run` holds them back until there is somebody to answer.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    from .main import main as run

    try:
        run()
    finally:
        # Python would look for cycles in all there is before it goes: a tenth of a short run.
        gc.freeze()
        # What is done is done: a signal while the interpreter ends changes nothing.
        on_signals(signal.SIG_IGN)


def on_signals(handler: Handler) -> None:
    """Let `handler` answer every signal to stop, but for a hang-up that nohup has ignored."""
    for each in STOPPING:
        if each.name != "SIGHUP" or signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, handler)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    name = signal.Signals(number).name
    try:
        os.write(2, f"Stopped by {name} before anything had begun.\n".encode())
    finally:
        os._exit(128 + number)
