"""The recipe: everything that decides an output's bytes, and a way to compare two of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .files import canonical_json, fingerprint_of

_MARK = "bertctl recipe"


@dataclass(frozen=True)
class ListedInput:
    """One input file as the file system shows it: enough to see that nothing changed.

    The path is absolute.
    """

    path: str
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Difference:
    """One setting or input in which two recipes differ."""

    name: str
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.name}: {_show(self.old)} → {_show(self.new)}"


@dataclass(frozen=True)
class Recipe:
    """What one output directory is made from and how.

    `what` decides the bytes; `numerics` is recorded and may change, which a
    stage tells where it knows what became of `auto`; `earlier` maps a role such as
    `vocab` to the fingerprint of what stands there; `owns` lists the patterns, relative to the
    directory, of the files this stage writes: nothing else is ever removed. `mendable` names the
    settings in `what` that may change until the output is finished, because units made before the
    change are told apart by themselves. `growable` names the numbers in `what` that may be raised
    even then: what was finished is part of what will be.
    """

    stage: str
    format_version: int
    what: Mapping[str, Any]
    inputs: tuple[ListedInput, ...] = ()
    earlier: Mapping[str, str] = field(default_factory=dict)
    numerics: Mapping[str, Any] = field(default_factory=dict)
    owns: tuple[str, ...] = ()
    mendable: tuple[str, ...] = ()
    growable: tuple[str, ...] = ()

    @property
    def local_inputs(self) -> list[Path]:
        """The input files that this machine has under a path."""
        return [path for each in self.inputs if (path := Path(each.path)).is_absolute()]

    def fingerprint(self, content: str) -> str:
        """Return the identity of the output; `content` stands for the inputs' content.

        Paths, times, numerics and the order of inputs are left out on purpose.
        """
        return fingerprint_of(
            [self.stage, self.format_version, self.what, content, dict(self.earlier)]
        )

    def differences(self, other: Recipe) -> tuple[Difference, ...]:
        """List where `other` would make different bytes, the inputs' content aside."""
        if self.stage != other.stage:
            return (Difference("stage", self.stage, other.stage),)
        sides = [
            {
                "format version": each.format_version,
                **{_flag(name): value for name, value in each.what.items()},
                **{_flag(name): value[:12] for name, value in each.earlier.items()},
            }
            for each in (self, other)
        ]
        return tuple(_compare(*sides))

    def mends(self, other: Recipe) -> tuple[Difference, ...]:
        """List those of the differences that an unfinished output allows."""
        mendable = set(map(_flag, other.mendable))
        return tuple(each for each in self.differences(other) if each.name in mendable)

    def grows_into(self, other: Recipe) -> tuple[Difference, ...]:
        """List the differences where `other` is this recipe, only more of it; none otherwise."""
        growable = set(map(_flag, self.growable)) & set(map(_flag, other.growable))
        differences = self.differences(other)
        grows = all(each.name in growable and each.new > each.old for each in differences)
        return differences if grows and self.inputs == other.inputs else ()

    def in_words(self) -> str:
        """Describe the recipe, a line each for what it is made from and for every setting."""
        size = sum(each.size for each in self.inputs)
        lines = [f"{self.stage}, format {self.format_version}"]
        if self.inputs:
            lines.append(f"  {len(self.inputs):,} input files, {size:,} bytes")
        lines += [f"  {role}: {fingerprint[:12]}" for role, fingerprint in self.earlier.items()]
        settings = {**self.what, **self.numerics}
        lines += [f"  {_flag(name)} {_show(value)}" for name, value in settings.items()]
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """Return the content of `recipe.json`."""
        return {"kind": _MARK, **dataclasses.asdict(self)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any] | None) -> Recipe | None:
        """Read what `as_json` gave; None where it isn't a recipe this version understands."""
        if value is None or value.get("kind") != _MARK:
            return None
        fields = {name: part for name, part in value.items() if name != "kind"}
        try:
            fields["inputs"] = tuple(ListedInput(**each) for each in value["inputs"])
            for name in ("owns", "mendable", "growable"):
                fields[name] = tuple(value.get(name, ()))
            for name in ("what", "earlier", "numerics"):
                fields[name] = dict(value[name])
            return cls(**fields)
        except (KeyError, TypeError, ValueError, AttributeError):
            return None


def resolved(*groups: Any) -> dict[str, Any]:
    """Return settings dataclasses as one flat mapping of JSON values."""
    settings = {
        name: value for group in groups for name, value in dataclasses.asdict(group).items()
    }
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()
    }


def _compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterable[Difference]:
    for name in dict.fromkeys((*old, *new)):
        before, after = old.get(name), new.get(name)
        if canonical_json(before) != canonical_json(after):
            yield Difference(name, before, after)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _show(value: Any) -> str:
    return "(none)" if value is None else value if isinstance(value, str) else canonical_json(value)
