"""`bertctl status`: the outputs below a directory as a tree, each with how it stands."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence, Set
from pathlib import Path
from typing import Any

import click

from ..pipeline.status.origins import Source
from ..pipeline.status.status import Standing, status
from .console import Console
from .options import Here, looking_options

_COLOURS = {"complete": "green", "begun": "yellow", "stale": "yellow", "damaged": "red"}
_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
_WIDE = 1000
"""Columns of a pipe or a file: nothing is folded there."""
_CHANGES_SHOWN = 4


@click.command(
    "status", epilog="Example: bertctl status\n\nExample: bertctl status runs/ /data/shards"
)
@click.argument("directories", nargs=-1, type=Here(), metavar="[DIR]...")
@looking_options
def command(directories: tuple[Path, ...], **values: Any) -> None:
    """Show which outputs there are, what they were made from and how they stand.

    All that is in and below DIR, the current directory without one, as a tree: what was made from
    something stands beneath it. Each is complete, or so far; stale, where what it was made from is
    no longer as it was; damaged, where a file is missing or has another size; in use, where
    somebody is writing to it. No file's content is read: `bertctl verify` does that.
    """
    console = Console.of(values)
    overview = status(directories or (Path(),))
    for each in overview.unreadable:
        console.warn(f"{each} can't be looked into.")
    if values["as_json"]:
        found = [each.as_json() for each in overview.standings]
        click.echo(json.dumps({"directories": found}, ensure_ascii=False))
    elif values["quiet"]:
        for each in overview.standings:
            for reason in _reasons(each):
                console.warn(f"{each.directory} is {each.state}: {reason}.")
    elif not overview.standings:
        where = ", ".join(map(str, directories)) or "this directory"
        click.echo(f"No output of bertctl's in or below {where}.")
    else:
        colour = False if values["plain"] or os.environ.get("NO_COLOR") else None
        for line in _lines(overview.standings, time.time()):
            click.echo(line, color=colour)


def _lines(standings: Sequence[Standing], now: float) -> Iterator[str]:
    """Yield the tree, and under each output what is to be said of it."""
    guides, above = _guides(standings), _ancestors(standings)
    names = [f"{guides[each.directory][0]}{each.directory}" for each in standings]
    cells = [
        (each.output.stage, _state(each), size_in_words(each.size), age(now - each.output.made_at))
        for each in standings
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    name_width = max(map(len, names))
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else _WIDE
    is_narrow = name_width + sum(widths) + 2 * len(widths) > columns
    for each, name, (stage, state, size, made) in zip(standings, names, cells, strict=True):
        below = guides[each.directory][1]
        styled = click.style(state.ljust(widths[1]), fg=_colour(each), bold=each.state == "damaged")
        told = f"{stage:{widths[0]}}  {styled}  {size:>{widths[2]}}  {made:>{widths[3]}}"
        if is_narrow:
            yield name
            yield f"{below}  {told}"
        else:
            yield f"{name:{name_width}}  {told}"
        for note in _notes(each, above[each.directory]):
            yield below + click.style(f"  {note}", dim=True)


def _guides(standings: Sequence[Standing]) -> dict[Path, tuple[str, str]]:
    """Return what stands before an output's name, and before the lines that follow it."""
    last: dict[Path | None, Path] = {each.parent: each.directory for each in standings}
    guides: dict[Path, tuple[str, str]] = {}
    for each in standings:
        if each.parent is None:
            guides[each.directory] = ("", "")
            continue
        above = guides[each.parent][1]
        is_last = last[each.parent] == each.directory
        guides[each.directory] = (
            above + ("└─ " if is_last else "├─ "),
            above + ("   " if is_last else "│  "),
        )
    has_children = {each.parent for each in standings}
    return {
        place: (own, below + ("│" if place in has_children else " "))
        for place, (own, below) in guides.items()
    }


def _state(standing: Standing) -> str:
    words: list[str] = [standing.state]
    if standing.progress is not None and standing.progress.share is not None:
        # Not all until it is all.
        share = f"{int(100 * standing.progress.share)} %"
        words = [share] if standing.state == "begun" else [*words, share]
    return ", ".join([*words, *(["in use"] if standing.holder else [])])


def _colour(standing: Standing) -> str:
    return "cyan" if standing.holder else _COLOURS[standing.state]


def _ancestors(standings: Sequence[Standing]) -> dict[Path, set[Path]]:
    """Return the outputs that each is shown beneath."""
    above: dict[Path, set[Path]] = {}
    for each in standings:
        above[each.directory] = set() if each.parent is None else above[each.parent] | {each.parent}
    return above


def _notes(standing: Standing, above: Set[Path]) -> Iterator[str]:
    """Yield what is to be said of an output, but not that it is made from what stands `above`."""
    if standing.progress is not None and standing.progress.phase:
        yield standing.progress.phase
    recipe = standing.output.recipe
    if recipe is not None and recipe.inputs:
        total = sum(each.size for each in recipe.inputs)
        yield f"from {_files(len(recipe.inputs))}, {size_in_words(total)}"
    for each in standing.sources:
        if each.path is not None:
            if each.path not in above:
                yield f"{each.role}: {each.path}"
        elif not each.is_file and each.replaced_by is None:
            yield _absent(each)
    changes = standing.inputs
    if changes.moved:
        yield "its input files are no longer where they were: moved, perhaps"
    if changes.touched:
        yield f"{_files(changes.touched)} touched since, of the same size: the same, perhaps"
    if standing.holder:
        yield f"in use by {standing.holder}"
    reasons = list(_reasons(standing))
    yield from reasons[:_CHANGES_SHOWN]
    if len(reasons) > _CHANGES_SHOWN:
        yield f"… and {len(reasons) - _CHANGES_SHOWN:,} more changes"


def _absent(source: Source) -> str:
    if source.random is not None:
        return f"{source.role}: {source.random}"
    return f"{source.role}: {source.fingerprint[:12]}, not found here"


def _reasons(standing: Standing) -> Iterator[str]:
    if standing.damage:
        yield standing.damage
    yield from standing.stale


def _files(count: int) -> str:
    return f"{count:,} input file" + ("" if count == 1 else "s")


def size_in_words(size: float) -> str:
    """Return bytes as people write them: 37.1 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"


def age(seconds: float) -> str:
    """Return how long ago something was, in its largest unit: 3 h, 12 d."""
    unit, length = next((each for each in _UNITS if seconds >= each[1]), _UNITS[-1])
    return f"{max(0, int(seconds / length))} {unit}"
