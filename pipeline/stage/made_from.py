"""A note beside an output: which outputs it was made from, where they stood, and their settings.

No recipe or manifest knows of it, and nothing goes by it: fingerprints say that an earlier stage is
another one now, the note tells `bertctl status` which of its settings is, and a model card in which
language its text is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .files import read_json, write_json
from .manifest import Manifest
from .recipe import Difference, Recipe

MADE_FROM = "log/made-from.json"


@dataclass(frozen=True)
class NotedSource:
    """A complete output that something was made from, as it was then."""

    place: Path
    """Where it stood, absolute"""
    fingerprint: str
    content: str
    """Of its inputs"""
    recipe: Recipe
    """Without its listing of inputs, which may be long"""

    def changes_to(self, now: Manifest) -> tuple[Difference, ...]:
        """List what of it is otherwise in the output that stands for `now`."""
        differences = self.recipe.differences(now.recipe)
        if self.content != now.content:
            differences += (
                Difference("content of its input", self.content[:12], now.content[:12]),
            )
        return differences


def sources_among(reads: Sequence[Path]) -> list[NotedSource]:
    """Return those of the directories that are complete outputs of ours."""
    sources: list[NotedSource] = []
    for each in reads:
        with suppress(OSError):
            manifest = Manifest.read(each)
            if manifest is not None:
                made = manifest.recipe
                recipe = Recipe(made.stage, made.format_version, made.what, earlier=made.earlier)
                place = each.resolve()
                sources.append(NotedSource(place, manifest.fingerprint, manifest.content, recipe))
    return sources


def write_note(directory: Path, sources: Sequence[NotedSource], *, aside: Path) -> None:
    """Write down what `directory` was made from; without any, nothing."""
    if sources:
        (directory / MADE_FROM).parent.mkdir(exist_ok=True)
        notes: list[dict[str, Any]] = [
            {
                "place": str(each.place),
                "fingerprint": each.fingerprint,
                "content": each.content,
                "recipe": each.recipe.as_json(),
            }
            for each in sources
        ]
        write_json(directory / MADE_FROM, {"sources": notes}, aside=aside)


def read_note(directory: Path) -> list[NotedSource]:
    """Return what `directory` was made from; nothing where no such note is."""
    with suppress(OSError, KeyError, TypeError, AttributeError):
        return [
            NotedSource(Path(each["place"]), each["fingerprint"], each["content"], recipe)
            for each in (read_json(directory / MADE_FROM) or {})["sources"]
            if (recipe := Recipe.from_json(each["recipe"])) is not None
        ]
    return []
