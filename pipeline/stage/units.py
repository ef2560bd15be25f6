"""Units of work: each committed by rename, keyed by what it was made from, skipped when it exists.

A unit is a pure function of its key and the recipe: not of which worker ran it, in what order, or
how often it was killed. Resuming is skipping the units that exist.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .files import FileRecord, publish, read_json, write_json

WORK = ".bertctl"
"""Hidden, and named so that nobody has one of their own."""


def unshared(name: str) -> str:
    """Return a name that no other process uses, on this machine or another."""
    return f"{name}.{socket.gethostname()}.{os.getpid()}"


@dataclass(frozen=True)
class Unit:
    """A committed unit: the files it made, relative to the output directory, and its figures."""

    name: str
    key: str
    files: Mapping[str, FileRecord]
    result: Mapping[str, Any]


@dataclass(frozen=True)
class UnitStore:
    """The units of one output directory; small and picklable, so that every worker has one."""

    directory: Path

    @property
    def work(self) -> Path:
        """Where intermediate files stand until the manifest is written."""
        return self.directory / WORK

    def find(self, name: str, key: str) -> Unit | None:
        """Return the unit if it was committed with this key and its files are there."""
        record = read_json(self._record_path(name))
        if record is None or record["key"] != key:
            return None
        files = {path: FileRecord(**each) for path, each in record["files"].items()}
        for path, each in files.items():
            file = self.directory / path
            if not file.is_file() or file.stat().st_size != each.size:
                return None
        return Unit(name, key, files, record["result"])

    def build(self, name: str, key: str, make: Callable[[UnitBuilder], Mapping[str, Any]]) -> Unit:
        """Return the unit, calling `make` only if it isn't committed yet.

        `make` writes its files where the builder says and returns the unit's figures.
        """
        if found := self.find(name, key):
            return found
        builder = UnitBuilder(self, name)
        try:
            result = make(builder)
            return builder.commit(key, result)
        except OSError as error:
            if error.filename is not None or error.errno is None:
                raise
            # Libraries tell that a disk is full, but not which.
            raise OSError(error.errno, os.strerror(error.errno), str(self.work)) from error
        finally:
            builder.discard()

    def forget(self, name: str) -> None:
        """Take a unit's word back: it will be made again."""
        self._record_path(name).unlink(missing_ok=True)

    def stray_files(self, listed: Collection[str]) -> list[Path]:
        """Return files of units that nobody lists: an input changed after they were made."""
        records = map(read_json, (self.work / "units").glob("*.json"))
        made = {path for record in records if record for path in record["files"]}
        return [
            self.directory / path
            for path in made
            if path not in listed and not path.startswith(f"{WORK}/")
        ]

    def _record_path(self, name: str) -> Path:
        return self.work / "units" / f"{name}.json"


class UnitBuilder:
    """Files under construction, invisible until they are committed together."""

    def __init__(self, store: UnitStore, name: str) -> None:
        self._store = store
        self._name = name
        self._aside = store.work / "aside" / unshared(name)
        self._paths: list[str] = []
        self._undigested: set[str] = set()

    def path(self, relative: str, *, digested: bool = True) -> Path:
        """Return where to write the file that will be `relative` in the output directory.

        One that isn't `digested` has a record without SHA-256: it has no part in a manifest or key.
        """
        self._aside.mkdir(parents=True, exist_ok=True)
        self._paths.append(relative)
        if not digested:
            self._undigested.add(relative)
        return self._aside / str(len(self._paths))

    def commit(self, key: str, result: Mapping[str, Any]) -> Unit:
        """Move every file to its name, then the record that makes them count."""
        files: dict[str, FileRecord] = {}
        for number, relative in enumerate(self._paths, start=1):
            aside = self._aside / str(number)
            read = FileRecord.without_digest if relative in self._undigested else FileRecord.of
            files[relative] = read(aside)
            final = self._store.directory / relative
            final.parent.mkdir(parents=True, exist_ok=True)
            publish(aside, final)
        record = self._store._record_path(self._name)  # pyright: ignore[reportPrivateUsage]
        record.parent.mkdir(parents=True, exist_ok=True)
        self._aside.mkdir(parents=True, exist_ok=True)
        write_json(
            record,
            {
                "key": key,
                "files": {path: each.as_json() for path, each in files.items()},
                "result": result,
            },
            aside=self._aside / "record",
        )
        return Unit(self._name, key, files, result)

    def discard(self) -> None:
        """Remove what was not committed."""
        shutil.rmtree(self._aside, ignore_errors=True)
