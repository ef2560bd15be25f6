"""Files, directories and globs, turned into the list of input files: nothing is opened.

Runs for every up-to-date answer, so it needs the standard library only, except for URIs.
"""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from ..errors import BadInput
from ..stage.files import read_json
from ..stage.manifest import RECIPE
from ..stage.recipe import ListedInput, Recipe
from .formats import check_suffix, format_of, what_is_read
from .uris import is_uri


def list_inputs(
    inputs: Sequence[str], *, on_bad_input: Literal["stop", "skip"] = "stop"
) -> tuple[ListedInput, ...]:
    """List the files that `inputs` name, ordered by path and each of them once.

    A directory is searched through; of it and of a glob only files with a known suffix are taken,
    and nothing hidden. Empty files are refused, or with "skip" listed, to be reported when read.
    Raises `BadInput` for what is missing, holds nothing to read, or is named but can't be read.
    """
    if "" in inputs:
        raise BadInput(
            "An input's name is empty; expected a file, a directory or a glob.",
            hint="Is a shell variable not set? The current directory is a dot.",
        )
    if not inputs:
        raise BadInput("No input is named.", hint=_readable_hint())
    local = {path for each in inputs if not is_uri(each) for path in _files_of(each)}
    listing: dict[tuple[int, int], ListedInput] = {}
    for path in sorted(local):
        inode, file = _look_at(path)
        listing.setdefault(inode, file)
    remote = {file for each in inputs if is_uri(each) for file in _remote_files_of(each)}
    files = sorted((*listing.values(), *remote), key=lambda file: file.path)
    if on_bad_input == "stop":
        for file in files:
            if file.size == 0:
                raise BadInput(
                    f"{file.path} is empty (0 bytes); expected text.",
                    hint="Remove it, or leave such files out with --on-bad-input skip.",
                )
    return tuple(files)


def _remote_files_of(named: str) -> list[ListedInput]:
    # Arrow takes its time to import: a corpus that lies here doesn't need it to be listed.
    from .remote_files import list_remote

    found = list_remote(named)
    if not found:
        raise BadInput(
            f"{named} doesn't exist or holds no file that can be read.", hint=_readable_hint()
        )
    return found


def _files_of(named: str) -> Iterable[str]:
    path = _absolute(named)
    if Path(path).is_dir():
        return _at_least_one(_walk(path, set()), f"The directory {named}")
    if os.path.lexists(path):
        check_suffix(named, path)
        return (path,)
    if glob.has_magic(named):
        return _at_least_one(_expand(named), f"The glob {named}")
    raise BadInput(
        f"{named} doesn't exist; expected a file, a directory or a glob.",
        hint="Check the spelling; a path is taken from the current directory.",
    )


def _absolute(path: str) -> str:
    # Without resolving links: people find the file again under the name they gave.
    return os.path.abspath(path)  # noqa: PTH100


def _expand(pattern: str) -> Iterator[str]:
    for path in map(_absolute, glob.iglob(pattern, recursive=True)):  # noqa: PTH207
        if Path(path).is_dir():
            # `**` names a directory and its files too; the listing counts a file once.
            yield from _walk(path, set())
        elif format_of(path) is not None:
            yield path


def _walk(directory: str, seen: set[Path]) -> Iterator[str]:
    place = Path(directory).resolve()
    if place in seen:  # a link back up
        return
    seen.add(place)
    if (place / RECIPE).is_file() and Recipe.from_json(read_json(place / RECIPE)):
        return  # an output of ours within the corpus is no part of it
    try:
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
    except OSError as error:
        raise BadInput(
            f"{directory} can't be listed: {error.strerror}.", hint="Check its permissions."
        ) from error
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if Path(entry.path).is_dir():
            yield from _walk(entry.path, seen)
        elif format_of(entry.name) is not None:
            yield entry.path


def _at_least_one(paths: Iterable[str], named: str) -> list[str]:
    found = list(paths)
    if not found:
        raise BadInput(f"{named} holds no file that can be read.", hint=_readable_hint())
    return found


def _look_at(path: str) -> tuple[tuple[int, int], ListedInput]:
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise BadInput(
            f"{path!r}: the file's name can't be written down in UTF-8.", hint="Rename the file."
        ) from error
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError as error:
        raise BadInput(
            f"{path} can't be read: {error.strerror}.", hint="Mend it or leave it out."
        ) from error
    if not stat.S_ISREG(found.st_mode):
        raise BadInput(
            f"{path} isn't a regular file; expected one that can be read again.",
            hint="Write a pipe's output to a file first.",
        )
    file = ListedInput(path, found.st_size, found.st_mtime_ns)
    return (found.st_dev, found.st_ino), file


def _readable_hint() -> str:
    return f"Name files, directories or globs; read are {what_is_read()}."
