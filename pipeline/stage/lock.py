"""One writer per directory, by a lock of the operating system that dies with its process."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ..errors import OutputRefused
from .labour import Share

LOCK = ".lock"
_ORPHANS_GONE_SECONDS = 5.0


@contextmanager
def locked(directory: Path, *, share: Share | None = None) -> Generator[None]:
    """Hold `directory` for this process and the workers it forks; raise `OutputRefused` if held.

    Tasks of an array hold it together, and their own share alone. Where the holder itself is dead
    and only its workers still end, they are waited for.
    """
    with ExitStack() as held:
        if share is not None:
            # Whoever works alone looks here, too; it stays until somebody has finished the whole.
            held.enter_context(_hold(directory / LOCK, fcntl.LOCK_SH))
            held.enter_context(_hold(directory / f"{LOCK}-{share.number}-of-{share.of}"))
        else:
            held.enter_context(_hold(directory / LOCK))
        yield


def holder_of(directory: Path) -> str | None:
    """Name the process that writes to `directory` now; None if nobody does."""
    try:
        descriptor = os.open(directory / LOCK, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        return None if _try(descriptor, fcntl.LOCK_EX) else _name(_read(descriptor))
    finally:
        os.close(descriptor)


@contextmanager
def _hold(path: Path, kind: int = fcntl.LOCK_EX) -> Generator[None]:
    descriptor = _acquire(path, kind)
    try:
        if kind == fcntl.LOCK_EX:
            holder = {"process": os.getpid(), "host": socket.gethostname()}
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(holder).encode(), 0)
        yield
    finally:
        if kind == fcntl.LOCK_EX:
            path.unlink(missing_ok=True)
        os.close(descriptor)


def _acquire(path: Path, kind: int) -> int:
    deadline = time.monotonic() + _ORPHANS_GONE_SECONDS
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        if _try(descriptor, kind):
            if _is_still_there(descriptor, path):
                return descriptor
            os.close(descriptor)
            continue
        holder = _read(descriptor)
        os.close(descriptor)
        if _is_alive(holder) or time.monotonic() > deadline:
            raise OutputRefused(
                f"{path.parent} is being written by {_name(holder)}.",
                hint="Wait for it to end, stop it, or give another --output.",
            )
        time.sleep(0.05)


def _try(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_still_there(descriptor: int, path: Path) -> bool:
    """Whether the file locked is the one at `path`: its last holder removed the one it had."""
    try:
        return os.fstat(descriptor).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False


def _read(descriptor: int) -> dict[str, object]:
    try:
        return json.loads(os.pread(descriptor, 1000, 0))
    except ValueError:
        return {}


def _is_alive(holder: dict[str, object]) -> bool:
    process = holder.get("process")
    if holder.get("host") != socket.gethostname() or not isinstance(process, int):
        return bool(holder)
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _name(holder: dict[str, object]) -> str:
    if not holder:
        return "another process, such as a task of an array"
    return f"process {holder.get('process')} on {holder.get('host')}"
