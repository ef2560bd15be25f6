"""Whose an output directory is: what may be written there, and what may ever be removed."""

from __future__ import annotations

import errno
from collections.abc import Collection, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import OutputRefused
from .files import read_json, write_json
from .lock import LOCK
from .made_from import MADE_FROM
from .manifest import MANIFEST, RECIPE, Manifest
from .recipe import Recipe
from .units import WORK, unshared

SEEN_INPUTS = "log/inputs.json"
"""Where the engine remembers another listing of inputs that turned out to hold the same content."""


@contextmanager
def refused_if_unusable(directory: Path) -> Generator[None]:
    """Tell a user's mistake, such as a dangling link, from a disk that is full."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise
        raise OutputRefused(
            f"--output {directory} can't be used: {error.filename}: {error.strerror}.",
            hint="Give a directory that can be made and written to.",
        ) from error


def refuse_foreign(directory: Path) -> None:
    """Raise `OutputRefused` for a file, and for a directory with anything in it that isn't ours."""
    if directory.is_symlink():
        directory.stat()  # a link to nowhere, or to itself, says so
    if directory.exists() and not directory.is_dir():
        raise OutputRefused(f"--output {directory} is a file; expected a directory.")
    if not directory.is_dir() or recipe_at(directory) or Manifest.read(directory):
        return
    others = [path.name for path in directory.iterdir() if not _is_first_trace(path)]
    if others:
        raise OutputRefused(
            f"--output {directory} holds {sorted(others)[0]!r} and no recipe.json of bertctl's: it "
            "isn't ours to write to.",
            hint="Give a new or an empty directory. --force doesn't change this.",
        )


def refuse_within_another(directory: Path) -> None:
    """Raise `OutputRefused` where the directory would be made inside another output of ours.

    Whoever removes that one, or makes it anew, or a run that removes its old checkpoints, would
    take it along. What stands there already may be gone on with.
    """
    if recipe_at(directory):
        return
    for above in directory.resolve().parents:
        with suppress(PermissionError):  # nothing of ours that can't be read
            manifest = Manifest.read(above)
            owner = recipe_at(above) or (manifest and manifest.recipe)
            if owner is not None:
                raise OutputRefused(
                    f"--output {directory} is inside {above}, which `bertctl {owner.stage}` made; "
                    "expected a place outside it.",
                    hint=f"Give a directory beside it, such as "
                    f"{above.with_name(directory.name)}. --force doesn't change this.",
                )


def refuse_own_source(directory: Path, reads: Sequence[Path]) -> None:
    """Raise `OutputRefused` where the work would replace what it reads."""
    place = directory.resolve()
    for each in reads:
        source = each.resolve()
        if place == source or place in source.parents:
            raise OutputRefused(
                f"--output {directory} is, or holds, {each}, which this command reads.",
                hint="Give another --output. --force doesn't change this.",
            )


def _is_first_trace(path: Path) -> bool:
    """Whether a run that was killed before its recipe stood has left this."""
    return path.name.startswith(LOCK) or (
        path.name == WORK and path.is_dir() and {each.name for each in path.iterdir()} <= {"aside"}
    )


def remove_ours(directory: Path) -> None:
    """Remove the files that the directory's own recipe or manifest names, and nothing else.

    The recipe stays: until another is moved over it, it says whose the rest is, wherever this ends.
    """
    manifest = Manifest.read(directory)
    recipe = recipe_at(directory) or (manifest and manifest.recipe)
    if recipe is None:
        return
    names = (*(manifest.files if manifest else ()), *recipe.owns, SEEN_INPUTS, MADE_FROM)
    if outside := [name for name in names if Path(name).is_absolute() or ".." in Path(name).parts]:
        raise OutputRefused(
            f"{directory} says that {outside[0]!r} belongs to it, which is elsewhere: "
            f"{RECIPE} or {MANIFEST} isn't as bertctl wrote it.",
            hint="Give another --output.",
        )
    if recipe_at(directory) is None:
        aside = directory / WORK / "aside" / unshared(f"old-{RECIPE}")
        write_json(directory / RECIPE, recipe.as_json(), aside=aside)
    named = _matching(directory, names)
    # The manifest goes first: from here on the directory no longer claims to be complete.
    (directory / MANIFEST).unlink(missing_ok=True)
    for path in named:
        if path.is_file() or path.is_symlink():
            path.unlink()
    for path in sorted({path.parent for path in named}, reverse=True):
        while path != directory and path.is_dir() and not any(path.iterdir()):
            path.rmdir()
            path = path.parent


def remove_unlisted(directory: Path, recipe: Recipe, listed: Collection[str]) -> None:
    """Remove the files that the recipe's patterns match and that aren't listed."""
    for path in _matching(directory, recipe.owns) - {directory / name for name in listed}:
        if path.is_file() or path.is_symlink():
            path.unlink()


def _matching(directory: Path, names: Iterable[str]) -> set[Path]:
    return {path for name in names for path in directory.glob(name) if _is_within(directory, path)}


def _is_within(directory: Path, path: Path) -> bool:
    """Whether a path stands in the directory itself, and not behind a link out of it."""
    return path.parent.resolve().is_relative_to(directory.resolve())


def recipe_at(directory: Path) -> Recipe | None:
    """Return the recipe that a directory was begun with; None where it isn't ours."""
    return Recipe.from_json(read_json(directory / RECIPE))
