"""The manifest: written last, so that its presence alone means that an output is complete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .files import FileRecord, read_json, write_json
from .recipe import Recipe

MANIFEST = "manifest.json"
RECIPE = "recipe.json"
_MARK = "bertctl manifest"


@dataclass(frozen=True)
class Manifest:
    """A finished output: its recipe, what it was really made from, and every file in it.

    `contents` maps each input's path to the digest of its content, taken while it was read, and
    `content` stands for all of them together.
    """

    recipe: Recipe
    content: str
    files: Mapping[str, FileRecord]
    contents: Mapping[str, str] = field(default_factory=dict)
    statistics: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """The identity of this output, by which later stages know it."""
        return self.recipe.fingerprint(self.content)

    def missing_or_resized(self, directory: Path) -> str | None:
        """Name the first listed file that isn't there with its size, in words; None if all are."""
        return self.fault_of({name: _size_of(directory / name) for name in self.files})

    def fault_of(self, sizes: Mapping[str, int | None]) -> str | None:
        """Name the first listed file whose size isn't its own, in words; None if all are."""
        for name, record in self.files.items():
            size = sizes.get(name)
            if size is None:
                return f"{name} is missing"
            if size != record.size:
                return f"{name} has {size:,} bytes; {record.size:,} were written"
        return None

    def write(self, directory: Path, *, aside: Path) -> None:
        """Declare `directory` complete."""
        write_json(
            directory / MANIFEST,
            {
                "kind": _MARK,
                "fingerprint": self.fingerprint,
                "recipe": self.recipe.as_json(),
                "content": self.content,
                "contents": dict(self.contents),
                "files": {name: each.as_json() for name, each in sorted(self.files.items())},
                "statistics": self.statistics,
            },
            aside=aside,
        )

    @classmethod
    def read(cls, directory: Path) -> Manifest | None:
        """Read a directory's manifest; None where it has none."""
        return cls.from_json(read_json(directory / MANIFEST))

    @classmethod
    def from_json(cls, value: Mapping[str, Any] | None) -> Manifest | None:
        """Read what `write` wrote; None where it isn't a manifest this version understands."""
        if value is None or value.get("kind") != _MARK:
            return None
        recipe = Recipe.from_json(value.get("recipe"))
        if recipe is None:
            return None
        try:
            return cls(
                recipe=recipe,
                content=str(value["content"]),
                contents=dict(value["contents"]),
                files={name: FileRecord(**each) for name, each in value["files"].items()},
                statistics=dict(value["statistics"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            return None


def _size_of(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None
