"""The objects below a URI, by their names relative to it, as the files of a directory are."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow.fs as pafs

from ..corpus.connecting import file_system, join, refusing
from ..corpus.uris import Uri
from ..errors import BadInput
from ..stage.files import FileRecord

_BLOCK_BYTES = 4 << 20


@dataclass(frozen=True)
class Prefix:
    """A place to write to. Whatever a storage refuses is raised as `BadInput`, with the URI."""

    uri: Uri

    def name_of(self, name: str) -> str:
        """Return an object's whole URI, as a person is shown it."""
        return f"{self.uri.name.rstrip('/')}/{name}"

    def sizes(self) -> dict[str, int]:
        """List every object there with its size in bytes, in one go.

        Raises:
            BadInput: it is a file, or can't be listed.
        """
        with refusing(self.uri.name):
            system, base = self._system()
            (info,) = system.get_file_info([base])
            if info.type == pafs.FileType.File:
                raise BadInput(
                    f"--output {self.uri.name} is a file; expected a prefix.",
                    hint="Give another --output.",
                )
            below = pafs.FileSelector(base, recursive=True, allow_not_found=True)
            return {
                posixpath.relpath(each.path, base): each.size or 0
                for each in system.get_file_info(below)
                if each.type == pafs.FileType.File
            }

    def read(self, name: str) -> bytes:
        """Return what an object holds."""
        with refusing(self.name_of(name)):
            system, base = self._system()
            with system.open_input_file(posixpath.join(base, name)) as file:
                return file.read()

    def put(self, name: str, data: bytes) -> None:
        """Write a small object."""
        with refusing(self.name_of(name)):
            system, base = self._system()
            path = posixpath.join(base, name)
            with system.open_output_stream(path, compression=None) as stream:
                stream.write(data)

    def upload(self, name: str, file: Path) -> FileRecord:
        """Write a file of this machine, and record what was sent."""
        digest, size = hashlib.sha256(), 0
        with file.open("rb") as source:
            with refusing(self.name_of(name)):
                system, base = self._system()
                stream = system.open_output_stream(posixpath.join(base, name), compression=None)
            while block := source.read(_BLOCK_BYTES):
                digest.update(block)
                size += len(block)
                with refusing(self.name_of(name)):
                    stream.write(block)
            with refusing(self.name_of(name)):
                stream.close()
        return FileRecord(size, digest.hexdigest())

    def delete(self, names: Iterable[str]) -> None:
        """Remove objects, of which some may be gone already."""
        system, base = self._system()
        for name in names:
            with refusing(self.name_of(name)):
                try:
                    system.delete_file(posixpath.join(base, name))
                except FileNotFoundError:
                    continue

    def delete_folder(self, name: str) -> None:
        """Remove everything below a part of the prefix, and what stands for that part itself."""
        with refusing(self.name_of(name)):
            system, base = self._system()
            try:
                system.delete_dir(posixpath.join(base, name))
            except FileNotFoundError:
                return

    def _system(self) -> tuple[pafs.FileSystem, str]:
        system, base = file_system(self.uri)
        return system, join(base, self.uri.path)
