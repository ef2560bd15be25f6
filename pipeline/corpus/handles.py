"""Open files as the readers see them, wherever they lie."""

from __future__ import annotations

import os
from io import FileIO
from typing import Protocol


class Readable(Protocol):
    """Bytes from beginning to end, or from another place."""

    def read(self, size: int, /) -> bytes:
        """Read on; an empty result means the end."""
        ...

    def seek(self, position: int, whence: int = 0, /) -> int:
        """Go on reading elsewhere."""
        ...

    def tell(self) -> int:
        """Return where `read` goes on."""
        ...


class Handle(Readable, Protocol):
    """An open file of the corpus."""

    def pread(self, size: int, position: int, /) -> bytes:
        """Read at a place, whatever `tell` says, and leave that alone."""
        ...

    def stamp(self) -> tuple[int, int]:
        """Return size and mtime_ns as they are now: what was listed, unless the file changed."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class LocalFile(FileIO):
    """A file on this machine, unbuffered."""

    def pread(self, size: int, position: int, /) -> bytes:
        """Read at a place, whatever `tell` says, and leave that alone."""
        return os.pread(self.fileno(), size, position)

    def stamp(self) -> tuple[int, int]:
        """Return size and mtime_ns as they are now."""
        now = os.fstat(self.fileno())
        return now.st_size, now.st_mtime_ns


class Lent:
    """A file lent to Arrow, which closes what it is given: the owner's stays open."""

    def __init__(self, file: Readable) -> None:
        self.read = file.read
        self.seek = file.seek
        self.tell = file.tell
        self.closed = False

    def close(self) -> None:
        """Say that it is closed."""
        self.closed = True
