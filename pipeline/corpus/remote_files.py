"""Files in S3, Google Cloud Storage, Azure, Hugging Face and the like, through `pyarrow.fs`."""

from __future__ import annotations

import json
import os
import posixpath
from fnmatch import fnmatchcase
from typing import Any

import pyarrow.fs as pafs

from ..errors import BadInput, WorkFailed
from ..stage.manifest import RECIPE
from ..stage.recipe import ListedInput, Recipe
from .connecting import CONNECT, RETRY, file_system, join, reason, refusing
from .formats import check_suffix, format_of
from .uris import Uri, parse_uri

_BLOCK_BYTES = 4 << 20
"""Fetched in one go where a file is read on: a request takes as long as a megabyte or so."""
_MAGIC = "*["


def list_remote(named: str) -> list[ListedInput]:
    """List the readable files that a URI names: a file, everything below a prefix, or a glob.

    In no particular order; nothing hidden, and no output of ours. Raises `BadInput` for what isn't
    there or can't be listed.
    """
    uri = parse_uri(named)
    with refusing(named):
        system, base = file_system(uri)
        (info,) = system.get_file_info([join(base, uri.path)])
        if info.type == pafs.FileType.File:
            check_suffix(named, info.path)
            found = [info]
        elif info.type == pafs.FileType.Directory:
            found = _below(system, info.path, "**")
        else:
            fixed, pattern = _fixed_part(uri.path)
            found = _below(system, join(base, fixed), pattern) if pattern else []
    return [_listed(uri, base, each) for each in found]


def open_remote(path: str) -> RemoteFile:
    """Open a listed file by its URI.

    Raises:
        BadInput: it is gone, or may not be read.
        WorkFailed: the network that was there for the listing fails.
    """
    uri = parse_uri(path)
    try:
        with refusing(path):
            system, base = file_system(uri)
            return RemoteFile(system, join(base, uri.path), name=path)
    except BadInput as error:
        if error.hint == CONNECT:
            raise WorkFailed(error.message, hint=RETRY) from error
        raise


class RemoteFile:
    """A `Handle` on a file elsewhere: read on in large blocks, and at a place exactly."""

    def __init__(self, system: pafs.FileSystem, path: str, *, name: str) -> None:
        self._system = system
        self._path = path
        self._name = name
        self._file: Any = system.open_input_file(path)
        self._size = int(self._file.size())
        self._position = 0
        self._block = b""
        self._block_start = 0

    def read(self, size: int = -1, /) -> bytes:
        """Read on; an empty result means the end."""
        start = self._position - self._block_start
        if not 0 <= start < len(self._block):
            wanted = self._size - self._position if size < 0 else size
            self._block = self.pread(max(wanted, _BLOCK_BYTES), self._position)
            self._block_start, start = self._position, 0
        data = self._block[start : start + size if size >= 0 else None]
        self._position += len(data)
        return data

    def pread(self, size: int, position: int, /) -> bytes:
        """Read at a place, whatever `tell` says, and leave that alone."""
        left = min(size, self._size - position)
        if left <= 0:
            return b""
        try:
            return self._file.read_at(left, position)
        except OSError as error:
            raise WorkFailed(
                f"{self._name} can't be read from byte {position:,} on: {reason(error)}.",
                hint=RETRY,
            ) from error

    def seek(self, position: int, whence: int = os.SEEK_SET, /) -> int:
        """Go on reading elsewhere."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = origin + position
        return self._position

    def tell(self) -> int:
        """Return where `read` goes on."""
        return self._position

    def stamp(self) -> tuple[int, int]:
        """Return size and mtime_ns as they are now."""
        try:
            (now,) = self._system.get_file_info([self._path])
        except OSError as error:
            raise WorkFailed(f"{self._name}: {reason(error)}.", hint=RETRY) from error
        return now.size or 0, now.mtime_ns or 0

    def close(self) -> None:
        """Let go of it."""
        self._file.close()


def _below(system: pafs.FileSystem, base: str, pattern: str) -> list[pafs.FileInfo]:
    """Return the readable files below a directory whose relative path fits the pattern."""
    selector = pafs.FileSelector(base, recursive=True, allow_not_found=True)
    files = [
        (posixpath.relpath(each.path, base), each)
        for each in system.get_file_info(selector)
        if each.type == pafs.FileType.File
    ]
    ours = [name[: -len(RECIPE)] for name, each in files if _is_recipe_of_ours(system, each)]
    return [
        each
        for name, each in files
        if format_of(name) is not None
        and not any(part.startswith(".") for part in name.split("/"))
        and not name.startswith(tuple(ours))
        and _fits(name.split("/"), pattern.split("/"))
    ]


def _is_recipe_of_ours(system: pafs.FileSystem, info: pafs.FileInfo) -> bool:
    if info.base_name != RECIPE:
        return False
    with system.open_input_file(info.path) as file:
        try:
            return Recipe.from_json(json.loads(file.read())) is not None
        except (ValueError, AttributeError):
            return False


def _fixed_part(path: str) -> tuple[str, str]:
    """Return the directory above the first part of a glob that isn't fixed, and the rest."""
    parts = path.split("/")
    for place, part in enumerate(parts):
        if any(each in part for each in _MAGIC):
            return "/".join(parts[:place]), "/".join(parts[place:])
    return path, ""


def _fits(name: list[str], pattern: list[str]) -> bool:
    """Whether a glob names a file, or a directory that it lies in."""
    if not pattern:
        return True
    if pattern[0] == "**":
        return any(_fits(name[skip:], pattern[1:]) for skip in range(len(name) + 1))
    return bool(name) and fnmatchcase(name[0], pattern[0]) and _fits(name[1:], pattern[1:])


def _listed(uri: Uri, base: str, info: pafs.FileInfo) -> ListedInput:
    path = uri.with_path(posixpath.relpath(info.path, base))
    if "?" in info.path:
        raise BadInput(
            f"{path}: a question mark in a name can't be told from the options of a URI.",
            hint="Rename the file, or leave it out.",
        )
    return ListedInput(path, info.size or 0, info.mtime_ns or 0)
