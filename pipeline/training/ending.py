"""How a process that our launcher started tells how it ended; nothing heavy.

The launcher starts again whatever ends with another exit code than 0. What would end the same way
again, as bad input does, and what was asked to stop is told by a file instead.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

_WAITING_SECONDS = 3.0
_SIGNAL = 128
"""Exit codes above it say by which signal."""
ENDING = "BERTCTL_ENDING"
"""The environment variable that names the file."""


def told_ending(variables: Mapping[str, str], exit_code: int) -> int:
    """Return the exit code to end with: 0 where the launcher was told `exit_code` otherwise.

    Of several processes only the first tells, and whoever was stopped by a signal that the first
    didn't get.
    """
    path = variables.get(ENDING)
    if path is None:
        return exit_code
    if variables.get("RANK") != "0":
        if not is_told(variables):
            return exit_code
        if exit_code > _SIGNAL:
            _stop_of(Path(path)).write_text(str(exit_code), encoding="utf-8")
        return 0
    Path(path).write_text(str(exit_code), encoding="utf-8")
    return 0


def is_told(variables: Mapping[str, str]) -> bool:
    """Tell whether the first process has told how all end, so that the others needn't.

    One that found something wrong waits for that word a moment: mostly all find the same.
    """
    path = variables.get(ENDING)
    if path is None or variables.get("RANK") == "0":
        return False
    deadline = time.monotonic() + _WAITING_SECONDS
    while read_ending(Path(path)) is None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def read_stop(path: Path) -> int | None:
    """Return the exit code of whoever was stopped by a signal; None where nobody but the first."""
    return read_ending(_stop_of(path))


def _stop_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-by-signal")


def read_ending(path: Path) -> int | None:
    """Return the exit code that was told; None where nobody told one."""
    try:
        return int(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
