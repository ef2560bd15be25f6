"""Directories in, the outputs of ours below them out, each with its files; no content is read.

What is read are `recipe.json` and `manifest.json`. A link to a directory is followed, once.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import BadInput
from ..stage.files import read_json
from ..stage.manifest import MANIFEST, RECIPE, Manifest
from ..stage.recipe import Recipe

_MARKS = ("bertctl recipe", "bertctl manifest")
_ENVIRONMENT = "pyvenv.cfg"
"""Stands in a virtual environment: thousands of files, and no output."""


@dataclass(frozen=True)
class Output:
    """An output directory as it stands, whichever version of bertctl made it.

    `recipe` and `manifest` are None where this version can't read them, `manifest` also where there
    is none. `sizes`: bytes of every file in it, by its name; `times`: when recipe and manifest were
    written, in seconds since 1970.
    """

    directory: Path
    stage: str
    recipe: Recipe | None
    manifest: Manifest | None
    sizes: dict[str, int] = field(default_factory=dict[str, int])
    times: dict[str, float] = field(default_factory=dict[str, float])

    @property
    def claims_to_be_complete(self) -> bool:
        """Whether a manifest is there, legible or not."""
        return MANIFEST in self.times

    @property
    def begun_at(self) -> float:
        """When its recipe was written."""
        return self.times.get(RECIPE, self.made_at)

    @property
    def made_at(self) -> float:
        """When it was completed, or begun if it isn't complete."""
        return self.times.get(MANIFEST, self.times.get(RECIPE, 0.0))


@dataclass(frozen=True)
class Found:
    """The outputs below some directories, in the order of their names."""

    outputs: tuple[Output, ...]
    unreadable: tuple[Path, ...]
    """Directories that could not be looked into."""


def find_outputs(directories: Sequence[Path]) -> Found:
    """Look for outputs in and below `directories`; hidden directories are somebody else's.

    Raises:
        BadInput: one of them is no directory.
    """
    search = _Search()
    for directory in directories:
        if not directory.is_dir():
            found = "a file" if directory.exists() else "no such directory"
            raise BadInput(
                f"{directory}: {found}; expected a directory to look for outputs in.",
                hint="Without one the current directory is looked through.",
            )
        search.look(directory)
    outputs = sorted(search.outputs, key=lambda each: each.directory)
    return Found(tuple(outputs), tuple(search.unreadable))


class _Search:
    """What was found so far, and where it was looked."""

    def __init__(self) -> None:
        self.outputs: list[Output] = []
        self.unreadable: list[Path] = []
        self._seen: set[tuple[int, int]] = set()

    def look(self, top: Path) -> None:
        """Look into a directory and all below it."""
        places: list[tuple[Path, Output | None]] = [(top, None)]
        while places:
            directory, within = places.pop()
            try:
                identity = directory.stat()
                if (identity.st_dev, identity.st_ino) in self._seen:
                    continue
                self._seen.add((identity.st_dev, identity.st_ino))
                with os.scandir(directory) as listing:
                    entries = list(listing)
            except OSError:
                self.unreadable.append(directory)
                continue
            names = {each.name for each in entries}
            output = within
            if not names.isdisjoint((RECIPE, MANIFEST)):
                try:
                    own = _output(directory)
                except OSError:
                    self.unreadable.append(directory)
                    continue
                if own is not None:
                    self.outputs.append(own)
                    output = own
            if output is not None:
                _note_files(output, directory, entries)
            elif _ENVIRONMENT in names:
                continue
            places += [
                (directory / each.name, output)
                for each in entries
                if each.is_dir() and (output is not None or not each.name.startswith("."))
            ]


def _output(directory: Path) -> Output | None:
    """Return the output that stands in a directory; None where it isn't ours."""
    contents = {name: read_json(directory / name) for name in (RECIPE, MANIFEST)}
    ours = [each for each in contents.values() if each and each.get("kind") in _MARKS]
    recipes = [each.get("recipe", each) for each in ours]
    stages = [str(each["stage"]) for each in recipes if isinstance(each, dict) and "stage" in each]
    if not stages:
        return None
    manifest = Manifest.from_json(contents[MANIFEST])
    recipe = Recipe.from_json(contents[RECIPE]) or (manifest and manifest.recipe)
    return Output(directory, stages[0], recipe, manifest)


def _note_files(output: Output, directory: Path, entries: Iterable[os.DirEntry[str]]) -> None:
    for each in entries:
        try:
            if not each.is_file():
                continue
            status = each.stat()
        except OSError:
            continue  # gone meanwhile: somebody is at work there
        name = str((directory / each.name).relative_to(output.directory))
        output.sizes[name] = status.st_size
        if name in (RECIPE, MANIFEST):
            output.times[name] = status.st_mtime
