"""The signals by which people, terminals and schedulers ask to stop; nothing is imported for it."""

from __future__ import annotations

import signal

STOPPING: tuple[signal.Signals, ...] = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP")
    if hasattr(signal, name)
)
