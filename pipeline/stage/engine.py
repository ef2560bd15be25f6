"""Decide whether a stage runs, continues, rests or refuses, and declare its output complete.

A stage is told where to write and never decides whether to run: it is a function from a `Site` to
what it `Finished`. Everything about idempotence is here.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import OutputRefused
from .comparing import (
    ContentReader,
    hindrances,
    refuse_differences,
    refuse_other,
    total_content,
)
from .files import FileRecord, publish, write_json
from .labour import Labour
from .lock import LOCK, locked
from .made_from import MADE_FROM, sources_among, write_note
from .manifest import MANIFEST, RECIPE, Manifest
from .ownership import (
    recipe_at,
    refuse_foreign,
    refuse_own_source,
    refuse_within_another,
    refused_if_unusable,
    remove_ours,
    remove_unlisted,
)
from .recipe import Recipe
from .report import Reporter, Silent
from .units import WORK, UnitStore, unshared

_ASIDE = Path(WORK, "aside")
_ALONE = Labour()


@dataclass(frozen=True)
class Site:
    """Where a stage works: its directory, its units, who does the work and who hears its news."""

    directory: Path
    recipe: Recipe
    units: UnitStore
    reporter: Reporter
    labour: Labour = _ALONE
    is_begun: bool = False
    """Whether an earlier run of the same recipe began here"""
    make_room: Callable[[], None] = lambda: None
    """To be called before anything is put where it will stay: until then an older output that is
    to be replaced stands, so that a bad input costs nobody what they had."""


@dataclass(frozen=True)
class Finished:
    """What a stage made; `contents` maps each input's path to its content digest, in hex."""

    files: Mapping[str, FileRecord]
    statistics: Mapping[str, Any] = field(default_factory=dict)
    contents: Mapping[str, str] = field(default_factory=dict)
    is_all: bool = False
    """Whether nothing but `files` belongs to the output: whatever else of the recipe's is there, an
    earlier state of the corpus has left, and it goes."""


@dataclass(frozen=True)
class Completion:
    """A complete output, and whether it had been there before."""

    directory: Path
    manifest: Manifest
    was_up_to_date: bool
    uri: str = ""
    """Where it was put beside, for an output that lies elsewhere: `directory` is then its copy on
    this machine, which need not be there."""

    @property
    def name(self) -> str:
        """What a person called it."""
        return self.uri or str(self.directory)


def complete(
    recipe: Recipe,
    directory: Path,
    work: Callable[[Site], Finished],
    *,
    reporter: Reporter,
    read_contents: ContentReader | None = None,
    reads: Sequence[Path] = (),
    labour: Labour = _ALONE,
    force: bool = False,
    makes_room: bool = False,
    notes_places: bool = True,
) -> Completion:
    """Bring `directory` to the state that `recipe` describes, doing only what is missing.

    `read_contents` digests input files again: it is asked only where a finished output's listing
    no longer matches, to tell a moved or touched corpus from a changed one. `reads` are the files
    and directories that the work reads beside the recipe's inputs. `makes_room` says that the work
    calls `Site.make_room` itself; else it is called before the work begins. `notes_places` keeps a
    note of where `reads` stand: not in what is made to be published.

    Raises:
        ShareDone: `labour` is a share of the work, and others haven't done theirs yet.
        OutputRefused: the directory isn't ours, is in use, was made by another recipe, or a
            finished file is missing; `force` makes it anew unless it isn't ours.
    """
    _refuse_place(directory, recipe, reads)
    if not force and (manifest := _up_to_date(directory, recipe, read_contents, reporter)):
        _sweep(directory)
        return Completion(directory, manifest, was_up_to_date=True)
    with ExitStack() as holding:
        with refused_if_unusable(directory):
            directory.mkdir(parents=True, exist_ok=True)
            holding.enter_context(locked(directory, share=labour.share))
        room = _Room(directory, recipe, is_taken=force and _stands_in_the_way(directory, recipe))
        is_begun = False
        if not room.is_taken:
            if manifest := _up_to_date(directory, recipe, read_contents, reporter):
                # Its last writer ended while this process waited for the lock.
                return Completion(directory, manifest, was_up_to_date=True)
            is_begun = _continue_or_refuse(directory, recipe, reporter)
            # There is one only where a finished output grows: until it has, it isn't complete.
            (directory / MANIFEST).unlink(missing_ok=True)
        reporter.detail(recipe.in_words())
        if room.is_taken and not makes_room:
            # What was begun here by another recipe isn't told apart by its units alone.
            shutil.rmtree(directory / WORK, ignore_errors=True)
        _begin(directory, alone=labour.share is None)
        if not (room.is_taken and makes_room and labour.share is None):
            room.make()
        units = UnitStore(labour.place(directory))
        site = Site(directory, recipe, units, reporter, labour, is_begun, room.make)
        sources = sources_among(reads) if notes_places else []
        finished = work(site)
        room.make()
        labour.leave_the_rest()
        for stray in site.units.stray_files(finished.files.keys()):
            stray.unlink(missing_ok=True)
        if finished.is_all:
            remove_unlisted(directory, recipe, finished.files.keys())
        manifest = Manifest(
            recipe=recipe,
            content=total_content(finished.contents),
            files=finished.files,
            contents=finished.contents,
            statistics=finished.statistics,
        )
        write_note(directory, sources, aside=directory / _ASIDE / Path(MADE_FROM).name)
        manifest.write(directory, aside=directory / _ASIDE / MANIFEST)
        shutil.rmtree(directory / WORK, ignore_errors=True)
    return Completion(directory, manifest, was_up_to_date=False)


def look(
    recipe: Recipe,
    directory: Path,
    *,
    read_contents: ContentReader | None = None,
    reads: Sequence[Path] = (),
    force: bool = False,
) -> Completion | None:
    """Return the output if it is complete; None where `complete` would have work to do.

    No file of the output is touched. Raises what `complete` raises before it begins.
    """
    _refuse_place(directory, recipe, reads)
    if force:
        return None
    if manifest := _up_to_date(directory, recipe, read_contents, Silent()):
        return Completion(directory, manifest, was_up_to_date=True)
    if begun := recipe_at(directory):
        refuse_differences(str(directory), hindrances(begun, recipe))
    return None


def _refuse_place(directory: Path, recipe: Recipe, reads: Sequence[Path]) -> None:
    with refused_if_unusable(directory):
        refuse_foreign(directory)
        refuse_within_another(directory)
        refuse_own_source(directory, [*reads, *recipe.local_inputs])


def _stands_in_the_way(directory: Path, recipe: Recipe) -> bool:
    """Whether something finished or of another recipe is there: what is merely begun goes on."""
    begun = recipe_at(directory)
    return begun is None or bool(hindrances(begun, recipe)) or (directory / MANIFEST).exists()


def _begin(directory: Path, *, alone: bool) -> None:
    aside = directory / _ASIDE
    if alone:
        shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True, exist_ok=True)


@dataclass
class _Room:
    """The place of an output, taken or not by one that is to be replaced."""

    directory: Path
    recipe: Recipe
    is_taken: bool
    is_made: bool = False

    def make(self) -> None:
        """Remove what is in the way, and say what is made here from now on.

        Wherever this ends, on a full disk or by a kill, one recipe or the other says whose all is.
        """
        if self.is_made:
            return
        aside = self.directory / _ASIDE / unshared(RECIPE)
        write_json(aside, self.recipe.as_json())
        if self.is_taken:
            remove_ours(self.directory)
        publish(aside, self.directory / RECIPE)
        self.is_made = True


def _up_to_date(
    directory: Path, recipe: Recipe, read_contents: ContentReader | None, reporter: Reporter
) -> Manifest | None:
    """Return the manifest if it stands for `recipe`; None where there is none yet, or where what
    it stands for is to grow.
    """
    manifest = Manifest.read(directory)
    if manifest is None or manifest.recipe.grows_into(recipe):
        return None
    refuse_other(
        manifest,
        recipe,
        name=str(directory),
        directory=directory,
        read_contents=read_contents,
        reporter=reporter,
    )
    if fault := manifest.missing_or_resized(directory):
        raise OutputRefused(
            f"{directory} is damaged: {fault}.",
            hint="Put the file back, or make everything again with --force.",
        )
    return manifest


def _continue_or_refuse(directory: Path, recipe: Recipe, reporter: Reporter) -> bool:
    """Tell what is gone on with; return whether anything is."""
    begun = recipe_at(directory)
    if begun is None:
        return False
    refuse_differences(str(directory), hindrances(begun, recipe))
    for difference in (*begun.mends(recipe), *begun.grows_into(recipe)):
        reporter.notice(f"Going on with {difference}; what it doesn't touch is kept.")
    changed = set(begun.inputs) ^ set(recipe.inputs)
    if changed:
        paths = sorted({each.path for each in changed})
        reporter.notice(
            f"{len(paths):,} input file(s) changed since this output was begun, {paths[0]} among "
            "them: what was made from them is made again."
        )
    else:
        reporter.notice(f"Continuing {directory} where it stopped.")
    return True


def _sweep(directory: Path) -> None:
    """Remove the traces of a run that was killed between its manifest and its end."""
    if (directory / WORK).is_dir() or (directory / LOCK).exists():
        with locked(directory):
            shutil.rmtree(directory / WORK, ignore_errors=True)
