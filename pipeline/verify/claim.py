"""What a directory says of itself, read with nothing but `json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import BadInput

_MANIFEST, _RECIPE, _WORK = "manifest.json", "recipe.json", ".bertctl"
_MARKS = {_MANIFEST: "bertctl manifest", _RECIPE: "bertctl recipe"}


class Untold(Exception):
    """The manifest doesn't say what this version of bertctl would: the message names it."""


class _Told(dict[str, Any]):
    """A JSON object that is asked for what it may not hold."""

    def __missing__(self, name: str) -> Any:
        raise Untold(name)


@dataclass(frozen=True)
class Claim:
    """A finished directory and its manifest, as it stands there."""

    directory: Path
    manifest: Mapping[str, Any]

    @property
    def recipe(self) -> Mapping[str, Any]:
        """What it was made from."""
        return self.manifest["recipe"]

    @property
    def stage(self) -> str:
        """Which command made it."""
        return self.recipe["stage"]

    @property
    def what(self) -> Mapping[str, Any]:
        """The settings that decide its bytes."""
        return self.recipe["what"]

    @property
    def statistics(self) -> Mapping[str, Any]:
        """What is said to be in it."""
        return self.manifest["statistics"]

    @property
    def files(self) -> Mapping[str, Mapping[str, Any]]:
        """Size and SHA-256 of every file, by name."""
        return self.manifest["files"]


def is_ours(directory: Path) -> bool:
    """Whether a directory is, or was begun as, an output of bertctl's."""
    return (directory / _MANIFEST).exists() or _object(directory / _RECIPE) is not None


def read_claim(directory: Path) -> Claim:
    """Read the manifest of a finished directory.

    Raises:
        BadInput: there is no such directory, it isn't bertctl's, isn't finished, or its manifest is
            damaged.
    """
    if not directory.is_dir():
        found = "is a file" if directory.exists() else "doesn't exist"
        raise BadInput(
            f"{directory} {found}; expected a directory that bertctl made.",
            hint="`bertctl inspect` looks at single files.",
        )
    manifest = directory / _MANIFEST
    if manifest.exists():
        claimed = _object(manifest)
        if claimed is None or not _is_whole(claimed):
            raise BadInput(
                f"{manifest} is damaged: it isn't the manifest of a finished directory.",
                hint="Make the directory again: the command that made it, with --force.",
            )
        return Claim(directory, claimed)
    recipe = _object(directory / _RECIPE)
    if recipe is None:
        raise BadInput(
            f"{directory} has neither {_MANIFEST} nor {_RECIPE}: it isn't bertctl's.",
            hint="Name the --output of one of its commands, a checkpoint, or a model's directory.",
        )
    raise BadInput(
        f"{directory} isn't finished: `bertctl {recipe.get('stage')}` began it, and "
        f"{_how_far(directory)}.",
        hint="Run its command again: it goes on where it stopped. A checkpoint "
        "can be verified by itself.",
    )


def _object(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_text(encoding="utf-8"), object_hook=_Told)
    except (OSError, ValueError):
        return None
    if not isinstance(value, dict) or value.get("kind") != _MARKS[path.name]:
        return None
    return value


def _is_whole(manifest: Mapping[str, Any]) -> bool:
    kinds = {"recipe": dict, "files": dict, "statistics": dict, "contents": dict, "content": str}
    if not all(isinstance(manifest.get(name), kind) for name, kind in kinds.items()):
        return False
    recipe = manifest["recipe"]
    records = manifest["files"].values()
    return (
        recipe.keys() >= {"stage", "format_version", "earlier"}
        and isinstance(recipe.get("what"), dict)
        and all(isinstance(each, dict) and each.keys() >= {"size", "sha256"} for each in records)
    )


def _how_far(directory: Path) -> str:
    checkpoints = sorted((directory / "checkpoints").glob("step-*"))
    if checkpoints:
        return f"its last checkpoint is {checkpoints[-1].name}"
    units = sum(1 for _ in (directory / _WORK / "units").glob("*.json"))
    return f"{units:,} pieces of its work are done" if units else "none of its work is done"
