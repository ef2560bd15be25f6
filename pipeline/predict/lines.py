"""Bytes as they come turned into lines of text, or refused with the place."""

from __future__ import annotations

import io
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ..corpus.compression import HEAD_BYTES, Damaged, archive_kind, decompressed
from ..corpus.formats import Compression
from ..errors import BadInput
from .extent import Extent

_BLOCK_BYTES = 1 << 18


def lines_of_file(path: Path, compression: Compression | None, extent: Extent) -> Iterator[str]:
    """Yield the lines of a file, with their ends; `extent` is told how far. Raises `BadInput`."""
    with refusing_damage(path), path.open("rb") as file:
        yield from _decoded(_measured(_blocks(file, compression), file, extent), str(path))


def lines_of_stream(stream: BinaryIO, where: str) -> Iterator[str]:
    """Yield the lines of a stream as they come, with their ends. Raises `BadInput`."""
    # What a pipe has already is answered before its writer ends.
    read = stream.read1 if isinstance(stream, io.BufferedReader) else stream.read
    return _decoded(iter(lambda: read(_BLOCK_BYTES), b""), where)


@contextmanager
def refusing_damage(path: Path) -> Generator[None]:
    """Turn what can be wrong with a file into `BadInput`."""
    try:
        yield
    except Damaged as error:
        raise BadInput(f"{path}: {error}.", hint="Copy or make the archive again.") from error
    except OSError as error:
        raise BadInput(f"{path} can't be read: {error.strerror or error}.") from error


def _blocks(file: BinaryIO, compression: Compression | None) -> Iterator[bytes]:
    if compression is None:
        return iter(lambda: file.read(_BLOCK_BYTES), b"")
    return decompressed(file, compression)


def _measured(blocks: Iterable[bytes], file: BinaryIO, extent: Extent) -> Iterator[bytes]:
    can_tell = file.seekable()
    for block in blocks:
        if can_tell:
            extent.read = file.tell()
        yield block


def _decoded(blocks: Iterable[bytes], where: str) -> Iterator[str]:
    """Yield lines as text; a byte-order mark is no part of the first."""
    for number, line in enumerate(_raw_lines(_checked(blocks, where)), start=1):
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            raise BadInput(
                f"{where}, line {number:,}: invalid UTF-8 (0x{line[error.start]:02x}: "
                f"{error.reason}); expected UTF-8 text.",
                hint="Convert it, for example with: iconv -f LATIN1 -t UTF-8.",
            ) from error
        if "\0" in text:
            raise BadInput(
                f"{where}, line {number:,}: a NUL byte, as binary files have; expected UTF-8 text."
            )
        yield text.removeprefix("\ufeff") if number == 1 else text


def _checked(blocks: Iterable[bytes], where: str) -> Iterator[bytes]:
    """Yield blocks on, unless the first tells that they hold no text."""
    for number, block in enumerate(blocks):
        if number == 0 and (kind := archive_kind(block[:HEAD_BYTES])):
            raise BadInput(
                f"{where} holds a {kind} archive; expected text.",
                hint="Unpack it, or give it the suffix that says how it is packed.",
            )
        if number == 0 and block.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise BadInput(
                f"{where} is UTF-16; expected UTF-8 text.",
                hint="Convert it, for example with: iconv -f UTF-16 -t UTF-8.",
            )
        yield block


def _raw_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    begun: list[bytes] = []
    for block in blocks:
        *ended, rest = block.split(b"\n")
        for part in ended:
            yield b"".join([*begun, part, b"\n"])
            begun = []
        if rest:
            begun.append(rest)
    if begun:
        yield b"".join(begun)
