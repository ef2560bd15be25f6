"""A directory completed here, put under a prefix elsewhere by the rules that hold for directories.

`recipe.json` is put there before the work begins, and `manifest.json` when everything else is
there: a manifest means complete. What an upload will declare stands in `.bertctl/manifest.json`
before its first file does, so that whoever goes on knows whose objects those are, and which.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ..corpus.uris import Uri, is_uri, parse_uri
from ..errors import BadInput, OutputRefused, WorkFailed
from ..stage.comparing import ContentReader, hindrances, refuse_differences, refuse_other
from ..stage.files import FileRecord
from ..stage.lock import locked
from ..stage.manifest import MANIFEST, RECIPE, Manifest
from ..stage.recipe import Recipe
from ..stage.report import Reporter
from ..stage.units import WORK
from .prefix import Prefix

_COMING = f"{WORK}/{MANIFEST}"
_UPLOADS = 4
"""Files sent at a time; each is sent in parts, several at once, by Arrow."""


@dataclass(frozen=True)
class _There:
    """What stands under a prefix."""

    sizes: dict[str, int]
    recipe: Recipe | None
    manifest: Manifest | None
    coming: Manifest | None

    @classmethod
    def at(cls, prefix: Prefix) -> _There:
        sizes = prefix.sizes()

        def read(name: str) -> dict[str, Any] | None:
            return _json(prefix.read(name)) if sizes.get(name) else None

        return cls(
            sizes,
            Recipe.from_json(read(RECIPE)),
            Manifest.from_json(read(MANIFEST)),
            Manifest.from_json(read(_COMING)),
        )

    @property
    def begun(self) -> Recipe | None:
        """The recipe of what stands there or is on its way; None where nothing is ours."""
        declared = self.manifest or self.coming
        return declared.recipe if declared else self.recipe

    def ours(self) -> list[str]:
        """List the objects that our manifests and recipe name."""
        listed = {name for each in (self.manifest, self.coming) if each for name in each.files}
        recipes = (self.recipe, self.begun)
        owned = {pattern for each in recipes if each for pattern in each.owns}
        return [
            name
            for name in self.sizes
            if name in listed or any(_fits(name, pattern) for pattern in owned)
        ]

    def holds(self, manifest: Manifest) -> bool:
        """Whether exactly this is complete there."""
        return self.manifest == manifest and manifest.fault_of(self.sizes) is None


@dataclass
class Publication:
    """An output on its way from `directory` to a prefix."""

    prefix: Prefix
    directory: Path
    recipe: Recipe
    reporter: Reporter
    force: bool = False
    is_made_here: bool = False
    """Whether `directory` holds it complete and merely isn't there yet: nothing is to be redone."""

    @classmethod
    def of(cls, uri: Uri, directory: Path, recipe: Recipe, reporter: Reporter) -> Publication:
        """Plan to put what will stand in `directory` under `uri`."""
        return cls(Prefix(uri), directory, recipe, reporter)

    def begin(self, read_contents: ContentReader | None, *, force: bool) -> Manifest | None:
        """Return the manifest if everything is there already; else say that it will be.

        Raises:
            BadInput: nothing can be read or written there.
            OutputRefused: what is there isn't ours, was made by another recipe or is damaged;
                `force` replaces it unless it isn't ours.
        """
        name, there = self.prefix.uri.name, _There.at(self.prefix)
        self._refuse_foreign(there)
        self._refuse_own_source()
        self.force = force
        if there.manifest is not None and not force:
            refuse_other(
                there.manifest,
                self.recipe,
                name=name,
                directory=self.directory,
                read_contents=read_contents,
                reporter=self.reporter,
            )
            if fault := there.manifest.fault_of(there.sizes):
                raise OutputRefused(
                    f"{name} is damaged: {fault}.",
                    hint=f"Put it back from {self.directory}, if it is there; or put everything "
                    "there again with --force.",
                )
            if any(each.startswith(f"{WORK}/") for each in there.sizes):
                # Its upload was killed between its manifest and its end.
                self.prefix.delete_folder(WORK)
            return there.manifest
        obstacles = hindrances(there.begun, self.recipe) if there.begun else []
        if not force:
            refuse_differences(name, obstacles)
        self.is_made_here = self._is_made_here(there)
        # It shows before hours are spent that this place can be written to.
        is_taken = there.manifest is not None or obstacles
        recipe = json.dumps(self.recipe.as_json(), indent=2, ensure_ascii=False) + "\n"
        self.prefix.put(f"{WORK}/{RECIPE}" if is_taken else RECIPE, recipe.encode())
        return None

    def publish(self, manifest: Manifest) -> None:
        """Put there what isn't there yet of the complete `directory`, the manifest last.

        Raises:
            OutputRefused: somebody else wrote there in the meantime.
            WorkFailed: the network or the storage fails, or a file here is damaged.
        """
        with locked(self.directory), self._failing():
            there = _There.at(self.prefix)
            if self.force or not there.holds(manifest):
                self._refuse_overtaken(there)
                if there.manifest is not None or there.coming != manifest:
                    self._clear(there)
                    self.prefix.put(_COMING, (self.directory / MANIFEST).read_bytes())
                    self.prefix.put(RECIPE, (self.directory / RECIPE).read_bytes())
                    there = _There.at(self.prefix)
                self._upload(manifest, there)
                self.prefix.put(MANIFEST, (self.directory / MANIFEST).read_bytes())
            self.prefix.delete_folder(WORK)
        self.reporter.notice(f"A copy of it stays in {self.directory}.")

    def _upload(self, manifest: Manifest, there: _There) -> None:
        files, sizes = manifest.files, there.sizes
        left = {name: each for name, each in files.items() if sizes.get(name) != each.size}
        total = sum(each.size for each in files.values())
        kept = total - sum(each.size for each in left.values())
        with (
            self.reporter.phase("upload", total=total, unit="B", done=kept) as progress,
            ThreadPoolExecutor(_UPLOADS) as pool,
        ):
            for record in pool.map(self._send, left, left.values()):
                progress.advance(record.size)
        if fault := manifest.fault_of(self.prefix.sizes()):
            raise WorkFailed(
                f"{self.prefix.uri.name} isn't as it was written: {fault}.",
                hint="Does something else write there? The same command goes on.",
            )

    def _send(self, name: str, record: FileRecord) -> FileRecord:
        sent = self.prefix.upload(name, self.directory / name)
        if sent != record:
            self.prefix.delete([name])
            raise WorkFailed(
                f"{self.directory / name} is damaged: its SHA-256 is {sent.sha256[:16]}…; its "
                f"manifest names {record.sha256[:16]}….",
                hint=f"Remove {self.directory}, then run the same command again.",
            )
        return record

    def _clear(self, there: _There) -> None:
        """Remove what is ours, and nothing else."""
        # The manifest goes first: from here on the prefix no longer claims to be complete.
        self.prefix.delete(name for name in (MANIFEST, *there.ours()) if name in there.sizes)

    def _is_made_here(self, there: _There) -> bool:
        here = Manifest.read(self.directory)
        return (
            here is not None
            and set(here.recipe.inputs) == set(self.recipe.inputs)
            and not here.recipe.differences(self.recipe)
            and here.missing_or_resized(self.directory) is None
            and not there.holds(here)
        )

    def _refuse_foreign(self, there: _There) -> None:
        others = [name for name, size in there.sizes.items() if not _is_first_trace(name, size)]
        if there.begun is None and others:
            raise OutputRefused(
                f"--output {self.prefix.uri.name} holds {min(others)!r} and no recipe.json of "
                "bertctl's: it isn't ours to write to.",
                hint="Give a new or an empty prefix. --force doesn't change this.",
            )

    def _refuse_own_source(self) -> None:
        output = self.prefix.uri
        for each in self.recipe.inputs:
            source = parse_uri(each.path) if is_uri(each.path) else None
            if (
                source is not None
                and (source.scheme, source.place) == (output.scheme, output.place)
                and f"{source.path}/".startswith(f"{output.path}/".lstrip("/"))
            ):
                raise OutputRefused(
                    f"--output {output.name} holds {source.name}, which this command reads.",
                    hint="Give another --output. --force doesn't change this.",
                )

    def _refuse_overtaken(self, there: _There) -> None:
        """Leave alone what somebody on another machine put there while this was made."""
        if self.force or there.begun is None:
            return
        if there.manifest is not None or hindrances(there.begun, self.recipe):
            raise OutputRefused(
                f"{self.prefix.uri.name} was written by another process while this was made.",
                hint=f"What was made here is complete in {self.directory}. Give another --output, "
                "or --force to replace what is there.",
            )

    @contextmanager
    def _failing(self) -> Generator[None]:
        """Tell a storage that fails after the work from one that was never right."""
        try:
            yield
        except BadInput as error:
            raise WorkFailed(
                error.message,
                hint=f"{error.hint} It is complete in {self.directory}, and the same command goes "
                "on from there.",
            ) from error


def _is_first_trace(name: str, size: int) -> bool:
    """Whether a run that was stopped before its recipe stood has left this."""
    return name.startswith(f"{WORK}/") or (name == RECIPE and size == 0)


def _fits(name: str, pattern: str) -> bool:
    return name.count("/") == pattern.count("/") and fnmatchcase(name, pattern)


def _json(data: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(data)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
