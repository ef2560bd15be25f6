"""Whole processes timed against each other: start-up, children and memory counted, in turn."""

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

_AS_USED = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""Users' modules are compiled once, not at each start."""


@dataclass(frozen=True)
class Run:
    """What the operating system says of one finished process and its children."""

    cpu_seconds: float
    wall_seconds: float
    peak_bytes: int


def timed(command: Sequence[str]) -> Run:
    """Run a command to its end; raise if it fails."""
    begun = time.perf_counter()
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, env=_AS_USED)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            raise SystemExit(f"{' '.join(command)} failed:\n{errors.read().decode()}")
    return Run(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * 1024)


def interleaved(
    commands: Mapping[str, Callable[[], Sequence[str]]], *, repetitions: int
) -> dict[str, list[Run]]:
    """Run every command in turn, again and again, so that a slow minute is everybody's."""
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    for _ in range(repetitions):
        for name, command in commands.items():
            runs[name].append(timed(command()))
    return runs


def spread(values: Sequence[float], style: str = ".1f") -> str:
    """Return a median and its range: 12.3 (11.9 to 12.8)."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:{style}} ({low:{style}} to {high:{style}})"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as columns of text, the first row a header."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
