"""Whether what stands somewhere is what a recipe asks for; if not, every difference by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from ..errors import OutputRefused
from .files import fingerprint_of, read_json, write_json
from .manifest import Manifest
from .ownership import SEEN_INPUTS
from .recipe import Difference, ListedInput, Recipe
from .report import Reporter

_CONTENT_BITS = 256

ContentReader = Callable[[Sequence[ListedInput]], Mapping[str, str]]


def total_content(contents: Mapping[str, str]) -> str:
    """Add up the content digests of files, as documents add up to them: in no particular order."""
    total = sum(int(each, 16) for each in contents.values())
    return f"{total % 2**_CONTENT_BITS:064x}"


def hindrances(begun: Recipe, recipe: Recipe) -> list[Difference]:
    """List why what was begun can't be finished by `recipe`."""
    mends = (*begun.mends(recipe), *begun.grows_into(recipe))
    return [each for each in begun.differences(recipe) if each not in mends]


def refuse_other(
    manifest: Manifest,
    recipe: Recipe,
    *,
    name: str,
    directory: Path,
    read_contents: ContentReader | None,
    reporter: Reporter,
) -> None:
    """Raise `OutputRefused` where the finished output called `name` isn't what `recipe` makes.

    A listing of the inputs that turned out to hold the same is remembered in `directory`.
    """
    differences = list(manifest.recipe.differences(recipe))
    if not differences:
        differences += _changed_inputs(directory, manifest, recipe, read_contents, reporter)
    refuse_differences(name, differences)


def refuse_differences(name: str, differences: Sequence[Difference]) -> None:
    """Raise `OutputRefused` if there are any."""
    if differences:
        raise OutputRefused(
            f"{name} was made by another recipe:\n"
            + "\n".join(f"  {each}" for each in differences),
            hint="Give another --output to keep both, or --force to replace what is there.",
        )


def _changed_inputs(
    directory: Path,
    manifest: Manifest,
    recipe: Recipe,
    read_contents: ContentReader | None,
    reporter: Reporter,
) -> list[Difference]:
    old, new = set(manifest.recipe.inputs), set(recipe.inputs)
    listing = fingerprint_of([asdict(each) for each in sorted(new, key=lambda each: each.path)])
    seen = directory / SEEN_INPUTS
    if old == new or (read_json(seen) or {}).get("same") == [listing, manifest.content]:
        return []
    contents = {each.path: manifest.contents[each.path] for each in old & new}
    if read_contents is not None:
        reporter.notice("Input files were moved or touched: reading whether they changed.")
        contents.update(read_contents(sorted(new - old, key=lambda each: each.path)))
    if total_content(contents) == manifest.content:
        with suppress(OSError):  # it would be read again next time
            seen.parent.mkdir(exist_ok=True)
            write_json(seen, {"same": [listing, manifest.content]})
        return []
    before = {each.path: _describe(each) for each in old}
    after = {each.path: _describe(each) for each in new}
    return [
        Difference(f"input {path}", before.get(path), after.get(path))
        for path in sorted({each.path for each in old ^ new})
    ]


def _describe(listed: ListedInput) -> str:
    return f"{listed.size:,} bytes"
