"""Processes that don't outlive who started them: nobody would hear them, or stop them."""

from __future__ import annotations

import os
import signal
import threading
import time

PARENT = "BERTCTL_PARENT"
"""The environment variable in which a command is told the process that it ends with"""
_LOOKING_SECONDS = 0.1


def end_with(parent: int) -> None:
    """Let this process be killed as soon as `parent` isn't its parent any more."""
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOKING_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)
