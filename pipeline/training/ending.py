"""How a process that our launcher started tells how it ended; nothing heavy.

The launcher starts again whatever ends with another exit code than 0. What would end the same way
again, as bad input does, and what was asked to stop is told by a file instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

ENDING = "BERTCTL_ENDING"
"""The environment variable that names the file."""


def told_ending(variables: Mapping[str, str], exit_code: int) -> int:
    """Return the exit code to end with: 0 where the launcher was told `exit_code` otherwise.

    Of several processes only the first tells.
    """
    path = variables.get(ENDING)
    if path is None or variables.get("RANK") != "0":
        return exit_code
    Path(path).write_text(str(exit_code), encoding="utf-8")
    return 0


def read_ending(path: Path) -> int | None:
    """Return the exit code that was told; None where nobody told one."""
    try:
        return int(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
