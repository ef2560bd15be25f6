"""Several processes that train together, started as people start them."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from .pretrain_toys import flags


def torchrun(count: int, arguments: Sequence[str], *options: str) -> list[str]:
    """Return the command that starts `python ARGUMENTS…` in `count` processes on one machine."""
    standalone = () if options and options[0].startswith("--nnodes") else ("--standalone",)
    return [
        *(sys.executable, "-m", "torch.distributed.run", *standalone),
        *("--nproc-per-node", str(count), *options, *arguments),
    ]


def launched(shards: Path, output: Path, count: int, *more: str) -> list[str]:
    """Return `bertctl pretrain` with `--nproc-per-node`; alone for one."""
    several = ("--nproc-per-node", str(count)) if count > 1 else ()
    return [sys.executable, "-m", "bertctl", *flags(shards, output), *several, *more]


def free_port() -> int:
    """Return a port that nobody listened on a moment ago."""
    with socket.socket() as listening:
        listening.bind(("localhost", 0))
        return listening.getsockname()[1]


def descendants(process: int) -> list[int]:
    """Return the processes that `process` started, and those that these did."""
    found: list[int] = []
    for child in _children(process):
        found += [child, *descendants(child)]
    return found


def workers_of(launcher: int) -> list[int]:
    """Return the training processes of a launcher, in the order of their ranks."""
    ranks: dict[int, int] = {}
    for process in descendants(launcher):
        variables = _environment(process)
        if "RANK" in variables:
            ranks[int(variables["RANK"])] = process
    return [ranks[rank] for rank in sorted(ranks)]


def kill_all(processes: Sequence[int]) -> None:
    """Kill processes of which some may be gone."""
    for each in processes:
        try:
            os.kill(each, signal.SIGKILL)
        except ProcessLookupError:
            continue


def finish(command: Sequence[str], *, seconds: float = 200) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)


def _children(process: int) -> list[int]:
    found: list[int] = []
    for task in Path("/proc", str(process), "task").glob("*/children"):
        try:
            found += map(int, task.read_text().split())
        except OSError:
            continue
    return found


def _environment(process: int) -> dict[str, str]:
    try:
        content = Path("/proc", str(process), "environ").read_bytes().decode()
    except OSError:
        return {}
    pairs = (each.partition("=") for each in content.split("\0") if each)
    return {name: value for name, _, value in pairs}
