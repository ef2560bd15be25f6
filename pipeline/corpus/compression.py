"""Compressed bytes in, plain bytes out, a block at a time; damage is found and said."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

from .formats import Compression
from .handles import Lent, Readable

BLOCK_BYTES = 1 << 20
_INPUT_BYTES = 1 << 18

_FIRST_BYTES = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"\xfd7zXZ\x00": "xz",
    b"BZh": "bzip2",
    b"PK\x03\x04": "zip",
    b"7z\xbc\xaf\x27\x1c": "7-Zip",
}
_TAR, _TAR_AT = b"ustar", 257
HEAD_BYTES = _TAR_AT + len(_TAR)
"""How much of a file tells what it is."""


class Damaged(Exception):
    """The archive is cut off or corrupt; what was yielded before stands."""


class _Decompressor(Protocol):
    """The interface that `bz2` and `lzma` share."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gzip:
    """`zlib` with that interface; the header and the checksum are verified."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


def archive_kind(first_bytes: bytes) -> str | None:
    """Return which kind of archive begins with these bytes, of which `HEAD_BYTES` are enough."""
    if first_bytes[_TAR_AT : _TAR_AT + len(_TAR)] == _TAR:
        return "tar"
    for magic, kind in _FIRST_BYTES.items():
        if first_bytes.startswith(magic):
            return kind
    return None


def decompressed(file: Readable, compression: Compression) -> Iterator[bytes]:
    """Yield what the archive holds in blocks of at most `BLOCK_BYTES`.

    Archives that follow each other in one file are one text. Raises `Damaged`.
    """
    match compression:
        case "gz":
            return _members(file, _Gzip)
        case "bz2":
            return _members(file, bz2.BZ2Decompressor)
        case "xz":
            return _members(file, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ))
        case "zst":
            return _zstandard(file)


def _members(file: Readable, new: Callable[[], _Decompressor]) -> Iterator[bytes]:
    data = file.read(_INPUT_BYTES)
    while data:
        inner = new()
        while not inner.eof:
            try:
                block = inner.decompress(data, BLOCK_BYTES)
            except (zlib.error, lzma.LZMAError, OSError, EOFError) as error:
                raise Damaged(f"the archive is corrupt ({error})") from error
            if block:
                yield block
            data = file.read(_INPUT_BYTES) if inner.needs_input and not inner.eof else b""
            if not (data or block or inner.eof) and inner.needs_input:
                raise Damaged("the archive is cut off")
        # Zero bytes between or after members are padding.
        data = inner.unused_data.lstrip(b"\0")
        while not data and (more := file.read(_INPUT_BYTES)):
            data = more.lstrip(b"\0")


def _zstandard(file: Readable) -> Iterator[bytes]:
    import pyarrow as pa

    done = 0
    failure = OSError()
    # A failed read loses what it had already unpacked: fetch that in ever smaller steps.
    for size in (BLOCK_BYTES, 256, 1):
        file.seek(0)
        lent = pa.PythonFile(Lent(file), mode="r")
        with pa.CompressedInputStream(lent, "zstd") as stream:
            left = done
            try:
                while left:
                    left -= len(stream.read(min(left, BLOCK_BYTES)))
                while block := stream.read(size):
                    yield block
                    done += len(block)
                return
            except OSError as error:
                failure = error
    raise Damaged(f"the archive is corrupt or cut off ({failure})") from failure
