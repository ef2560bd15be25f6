"""The one place where a corpus file is opened: its bytes in blocks, plain or unpacked."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager

from ..errors import BadInput
from ..stage.recipe import ListedInput
from .compression import BLOCK_BYTES, HEAD_BYTES, Damaged, archive_kind, decompressed
from .faults import Faults
from .formats import Compression
from .handles import Handle, LocalFile
from .uris import is_uri

_NO_TEXT = {
    b"PAR1": "Parquet",
    b"ARROW1": "Arrow",
    b"%PDF-": "a PDF document",
    b"{\\rtf": "an RTF document",
    b"\xd0\xcf\x11\xe0": "an Office document",
    b"SQLite format 3\0": "a SQLite database",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"\x7fELF": "a program",
}
"""How files begin that people give the wrong suffix."""


@contextmanager
def opened(file: ListedInput) -> Generator[Handle]:
    """Open a listed file for reading; `BadInput` if it isn't as it was listed."""
    with closing(_open(file.path)) as handle:
        check_unchanged(handle, file)
        try:
            yield handle
        except OSError as error:
            error.filename = error.filename or file.path  # a failed read names no file
            raise
        check_unchanged(handle, file)


def _open(path: str) -> Handle:
    if is_uri(path):
        from .remote_files import open_remote

        return open_remote(path)
    try:
        return LocalFile(path)
    except OSError as error:
        raise BadInput(
            f"{path} can't be opened: {error.strerror}.", hint="Mend it or leave it out."
        ) from error


def check_unchanged(handle: Handle, file: ListedInput) -> None:
    """Raise `BadInput` if the open file isn't what was listed."""
    size, mtime_ns = handle.stamp()
    if (size, mtime_ns) != (file.size, file.mtime_ns):
        raise BadInput(
            f"{file.path} changed while it was read: {file.size:,} bytes when it was listed, "
            f"{size:,} bytes now, or written again.",
            hint="Run the same command again when nothing writes to it any more.",
        )


class ByteStream:
    """The bytes of one source, in blocks."""

    def __init__(
        self,
        handle: Handle,
        file: ListedInput,
        faults: Faults,
        *,
        begin: int,
        end: int,
        compression: Compression | None,
    ) -> None:
        self._handle = handle
        self._file = file
        self._faults = faults
        self._end = end
        self._compression: Compression | None = compression
        self.begin = begin
        self.cut_off = False
        """Whether the last line is only the beginning of one, because an archive is damaged."""

    @property
    def consumed(self) -> int:
        """How many bytes of the file were read so far, compressed as they are."""
        return self._handle.tell() - self.begin

    def __iter__(self) -> Iterator[bytes]:
        """Yield the blocks; report an archive's damage, and then end early."""
        if not self._is_text():
            return
        self._handle.seek(self.begin)
        try:
            yield from self._blocks()
        except Damaged as error:
            check_unchanged(self._handle, self._file)
            self.cut_off = True
            self._faults.report(
                f"{error} near byte {self._handle.tell():,} of {self._file.size:,}",
                expected="a whole one",
                hint="Copy or make the archive again.",
            )
        check_unchanged(self._handle, self._file)

    def _blocks(self) -> Iterator[bytes]:
        if self._compression is None:
            left = self._end - self.begin
            while left > 0 and (block := self._handle.read(min(BLOCK_BYTES, left))):
                left -= len(block)
                yield block
            return
        blocks = decompressed(self._handle, self._compression)
        first = next(blocks, b"")
        if self._begins_like_text(first, where="the archive"):
            yield first
            yield from blocks

    def _is_text(self) -> bool:
        if self._file.size == 0:
            self._faults.report(
                "the file is empty (0 bytes)", expected="text", hint="Remove the file."
            )
            return False
        if self._compression is not None:
            return True
        return self._begins_like_text(self._handle.pread(HEAD_BYTES, 0), where="the file")

    def _begins_like_text(self, first: bytes, *, where: str) -> bool:
        if not first:
            found, hint = f"{where} holds nothing", "Remove the file."
        elif first.startswith((b"\xff\xfe", b"\xfe\xff")):
            found = f"{where} is UTF-16 or UTF-32 (its first bytes are {first[:2].hex(' ')})"
            hint = "Convert it, for example with: iconv -f UTF-16 -t UTF-8."
        elif kind := _no_text_kind(first):
            found, hint = f"{where} holds {kind}", "Convert it to text, or leave it out."
        elif kind := archive_kind(first):
            found = f"{where} holds a {kind} archive"
            hint = "Unpack it, or give it the suffix that says how it is packed."
        else:
            return True
        if self.begin == 0 or self._faults.policy == "stop":  # other ranges would only repeat it
            self._faults.report(found, expected="UTF-8 text", hint=hint)
        return False


def _no_text_kind(first: bytes) -> str | None:
    return next((kind for begin, kind in _NO_TEXT.items() if first.startswith(begin)), None)
