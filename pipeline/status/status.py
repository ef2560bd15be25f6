"""Outputs that were found, each with how it stands: complete, how far, stale, damaged, in use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, Literal

from ..stage.lock import holder_of
from ..stage.manifest import MANIFEST
from ..stage.recipe import Difference
from .finding import Output, find_outputs
from .inputs import InputChanges, changes_of
from .origins import Origins, Source
from .progress import Progress, progress_of

State = Literal["complete", "begun", "stale", "damaged"]

_ORDER = ("vocab", "shard", "pretrain", "finetune", "export")


@dataclass(frozen=True)
class Standing:
    """How one output stands.

    `state` says what it is worth by itself; `holder` who is at work on it, if anybody is. `stale`
    holds what it was made from that is no longer there as it was, old → new; `damage` says which
    file isn't; `progress` is None where it is complete.
    """

    output: Output
    state: State
    progress: Progress | None
    holder: str | None
    sources: tuple[Source, ...]
    inputs: InputChanges
    stale: tuple[str, ...]
    damage: str | None
    parent: Path | None
    """The output it is shown beneath: what it was made from last"""

    @property
    def directory(self) -> Path:
        """Where it stands."""
        return self.output.directory

    @property
    def size(self) -> int:
        """Bytes of all files in it, checkpoints and unfinished work included."""
        return sum(self.output.sizes.values())

    def as_json(self) -> dict[str, Any]:
        """Return the standing as it stands in a JSON object."""
        recipe, manifest = self.output.recipe, self.output.manifest
        return {
            "directory": str(self.directory),
            "stage": self.output.stage,
            "state": self.state,
            "progress": None if self.progress is None else self.progress.share,
            "phase": None if self.progress is None else self.progress.phase,
            "in_use_by": self.holder,
            "fingerprint": None if manifest is None else manifest.fingerprint,
            "made_from": [_source_json(each) for each in self.sources],
            "inputs": {
                "files": 0 if recipe is None else len(recipe.inputs),
                "bytes": 0 if recipe is None else sum(each.size for each in recipe.inputs),
                "touched": self.inputs.touched,
                "moved": self.inputs.moved,
            },
            "stale": list(self.stale),
            "damage": self.damage,
            "size_bytes": self.size,
            "made_at": self.output.made_at,
        }


@dataclass(frozen=True)
class Overview:
    """All outputs that were found, each after what it was made from."""

    standings: tuple[Standing, ...]
    unreadable: tuple[Path, ...]


def status(directories: Sequence[Path]) -> Overview:
    """Tell how the outputs in and below some directories stand, without reading their content.

    Raises:
        BadInput: one of them is no directory.
    """
    found = find_outputs(directories)
    origins = Origins(found.outputs)
    sources = {each.directory: origins.sources_of(each) for each in found.outputs}
    places = {each.directory: each for each in found.outputs}
    made_from = {place: _places_of(sources[place]) - {place} for place in places}
    standings: dict[Path, Standing] = {}
    for place in TopologicalSorter(made_from).static_order():
        standings[place] = _standing(places[place], sources[place], standings)
    return Overview(_as_tree(standings, sorted(places)), found.unreadable)


def _places_of(sources: Sequence[Source]) -> set[Path]:
    return {each.output.directory for each in sources if each.output is not None}


def _as_tree(standings: Mapping[Path, Standing], places: Sequence[Path]) -> tuple[Standing, ...]:
    """Order standings so that each follows what it is shown beneath, whatever else there is."""
    children: dict[Path | None, list[Path]] = {}
    for place in places:
        children.setdefault(standings[place].parent, []).append(place)
    ordered: list[Standing] = []
    waiting = children.get(None, [])[::-1]
    while waiting:
        place = waiting.pop()
        ordered.append(standings[place])
        waiting += children.get(place, [])[::-1]
    return tuple(ordered)


def _standing(
    output: Output, sources: tuple[Source, ...], standings: Mapping[Path, Standing]
) -> Standing:
    """Judge one output; `standings` has what it was made from."""
    inputs = changes_of(output)
    stale = [str(each) for each in _replaced(sources)]
    if output.manifest is not None:
        # An unfinished output takes changed input into account when it goes on.
        stale += [str(each) for each in inputs.changed]
    for each in sources:
        above = standings.get(each.output.directory) if each.output else None
        if above is not None and above.state in ("stale", "damaged"):
            stale.append(f"{each.role}: made from {above.directory}, which is {above.state}")
    damage = _damage(output)
    holder = _holder(output)
    progress = None
    if not output.claims_to_be_complete:
        made_from = [each.output for each in sources if each.output is not None]
        progress = progress_of(output, made_from, at_work=holder is not None)
    state: State = "complete" if progress is None else "begun"
    return Standing(
        output=output,
        state="damaged" if damage else "stale" if stale else state,
        progress=progress,
        holder=holder,
        sources=sources,
        inputs=inputs,
        stale=tuple(stale),
        damage=damage,
        parent=_parent(sources),
    )


def _parent(sources: Sequence[Source]) -> Path | None:
    """Return the output of the latest stage among those that something was made from."""
    found = [each.output for each in sources if each.output and each.output.stage in _ORDER]
    last = max(found, key=lambda each: _ORDER.index(each.stage), default=None)
    return None if last is None else last.directory


def _replaced(sources: Sequence[Source]) -> list[Difference]:
    """List what was made from that is nowhere here, while another of its kind was made since."""
    differences: list[Difference] = []
    for each in sources:
        if each.replaced_by is not None and (manifest := each.replaced_by.manifest):
            new = f"{manifest.fingerprint[:12]}, {each.replaced_by.directory} made since"
            if each.changes:
                new += f" with {'; '.join(map(str, each.changes))}"
            differences.append(Difference(each.role, each.fingerprint[:12], new))
    return differences


def _damage(output: Output) -> str | None:
    """Say which file isn't as it was written, by its size; None where none is."""
    if output.manifest is not None:
        return output.manifest.fault_of(output.sizes)
    if output.claims_to_be_complete:
        return f"{MANIFEST} isn't one that this version of bertctl wrote"
    if output.recipe is None:
        return "recipe.json isn't one that this version of bertctl wrote"
    return None


def _holder(output: Output) -> str | None:
    try:
        return holder_of(output.directory)
    except OSError:
        return None  # another user's, or a disk that is read-only: it can't be asked


def _source_json(source: Source) -> dict[str, Any]:
    return {
        "role": source.role,
        "fingerprint": source.fingerprint,
        "kind": "file" if source.is_file else "output",
        "directory": None if source.path is None else str(source.path),
        "random": source.random,
    }
