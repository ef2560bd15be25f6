"""One pass over a corpus, piece by piece: every piece a unit that is committed and never redone.

Such a piece is a batch of `grouping`: the text of many small files, or part of a large one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from ..errors import BadInput, WorkFailed
from ..stage.engine import Site, total_content
from ..stage.files import fingerprint_of
from ..stage.recipe import ListedInput
from ..stage.units import Unit, UnitBuilder, UnitStore
from .documents import Document
from .grouping import Batch, Group, group_sources, read_batches
from .settings import CorpusSettings
from .sources import plan_sources, read_pieces

PieceMaker = Callable[[Sequence[Document], UnitBuilder, str], Mapping[str, Any]]
"""Makes a piece's files, the unit's name being the last argument; returns the unit's figures."""

_DESCRIBED = 10
"""Faults that a unit describes; the others are counted."""


@dataclass(frozen=True)
class CorpusPass:
    """What one pass left: the units of the pieces, and the content digest of every input file."""

    pieces: tuple[Unit, ...]
    contents: Mapping[str, str]
    directory: Path
    """What the pieces' files are relative to."""

    @property
    def paths(self) -> list[Path]:
        """The files of all pieces."""
        return [self.directory / name for unit in self.pieces for name in unit.files]

    def total(self, figure: str) -> int:
        """Add up one figure over all pieces."""
        return sum(unit.result[figure] for unit in self.pieces)


@dataclass(frozen=True)
class _GroupTask:
    units: UnitStore
    group: Group
    corpus: CorpusSettings
    chunk_bytes: int
    made_from: str
    make: PieceMaker

    @property
    def name(self) -> str:
        """Unlike that of any other group, be it one of another corpus in the same scratch, and of
        the same one made into something else: nobody's files ever stand for another's.
        """
        return f"{self.group.name}-{self.key[:16]}"

    @property
    def key(self) -> str:
        """What the units are made from; a file is known by path, size and time while work lasts."""
        return self._key

    @cached_property
    def _key(self) -> str:
        # What to do with bad input is no part of it: where nothing is bad the text is the same.
        reading = asdict(replace(self.corpus, on_bad_input="stop"))
        sources = [asdict(source) for source in self.group.sources]
        return fingerprint_of([sources, reading, self.chunk_bytes, self.made_from])

    def find(self, name: str, key: str) -> Unit | None:
        """Return a piece's unit; one that left something out is none to whoever wants to stop."""
        unit = self.units.find(name, key)
        if unit is None or (unit.result["num_skipped"] and self.corpus.on_bad_input == "stop"):
            self.units.forget(name)
            return None
        return unit


def pass_over(
    site: Site,
    corpus: CorpusSettings,
    make: PieceMaker,
    *,
    phase: str,
    made_from: str,
    chunk_bytes: int,
    kept_in: Path | None = None,
) -> CorpusPass:
    """Let `make` see every piece of the corpus once, whoever does the work.

    `made_from` stands for whatever decides, beside the text, what `make` makes of it. What was made
    goes when the output is finished; in a directory `kept_in` it stays, for other outputs as well.

    Raises:
        BadInput: an input can't be read, or the corpus holds no text.
    """
    files = site.recipe.inputs
    groups = group_sources(plan_sources(files, corpus, chunk_bytes), chunk_bytes)
    store = site.units if kept_in is None else UnitStore(site.labour.place(kept_in))
    tasks = [_GroupTask(store, group, corpus, chunk_bytes, made_from, make) for group in groups]
    made: dict[str, list[Unit]] = {task.name: [] for task in tasks}
    contents = {each.path: 0 for each in files}
    size = sum(each.size for each in files)
    seen: set[str] = set()
    num_documents = 0
    with site.reporter.phase(phase, total=size, unit="B") as progress:
        for name, units in site.labour.run(_run_group, tasks):
            made[name] = units
            for unit in units:
                for path, content in unit.result["contents"].items():
                    contents[path] += int(content, 16)
                seen.update(unit.result["contents"])
                num_documents += unit.result["num_documents"]
            progress.advance(
                sum(unit.result["source_bytes"] for unit in units),
                files=f"{len(seen):,} of {len(files):,}",
                documents=num_documents,
            )
    done = CorpusPass(
        pieces=tuple(unit for units in made.values() for unit in units),
        contents={path: _in_hex(content) for path, content in contents.items()},
        directory=store.directory,
    )
    _tell(site, done)
    return done


def read_contents(
    changed: Sequence[ListedInput], *, corpus: CorpusSettings, listed: Sequence[ListedInput]
) -> dict[str, str]:
    """Digest the content of the changed among the listed files again, as a pass over them would."""
    # Which documents are the first N is a question to all files together.
    files = changed if corpus.max_documents is None else listed
    contents = {each.path: 0 for each in files}
    for source in plan_sources(files, corpus):
        for piece in read_pieces(source, corpus):
            contents[source.file.path] += piece.content
    return {path: _in_hex(content) for path, content in contents.items()}


def _in_hex(content: int) -> str:
    return total_content({"": f"{content:x}"})


def _tell(site: Site, done: CorpusPass) -> None:
    if skipped := done.total("num_skipped"):
        first = next(unit.result["skipped"][0] for unit in done.pieces if unit.result["skipped"])
        site.reporter.warn(f"Left out {skipped:,} bad input(s), the first: {first}")
    if not done.total("num_documents"):
        raise BadInput(
            "The input holds no text at all.",
            hint="--documents says what ends a document, --text-field where records keep text.",
        )


def _run_group(task: _GroupTask) -> tuple[str, list[Unit]]:
    """Bring one group's units about; its own unit lists them, so that it is not read again."""
    name, key = task.name, task.key
    for _ in range(2):
        whole = task.units.build(name, key, partial(_make_pieces, task, key))
        found = [task.find(each, key) for each in whole.result["pieces"]]
        units = [unit for unit in found if unit is not None]
        if len(units) == len(found):
            return name, units
        # A piece's file is gone, as scratch purgers take them, or holds less than is asked for now:
        # the group isn't done after all.
        task.units.forget(name)
    raise WorkFailed(f"Files of {task.units.work} vanish while they are needed.")


def _make_pieces(task: _GroupTask, key: str, _: UnitBuilder) -> dict[str, Any]:
    batches = read_batches(task.group.sources, task.corpus, task.chunk_bytes)
    return {"pieces": [_run_batch(task, key, *each).name for each in enumerate(batches)]}


def _run_batch(task: _GroupTask, key: str, number: int, batch: Batch) -> Unit:
    name = f"{task.name}-{number:05d}"

    def make(builder: UnitBuilder) -> Mapping[str, Any]:
        return {**task.make(batch.documents, builder, name), **_figures(batch)}

    return task.units.build(name, key, make)


def _figures(batch: Batch) -> dict[str, Any]:
    pieces = [piece for _, piece in batch.pieces]
    contents: dict[str, int] = {}
    for path, piece in batch.pieces:
        contents[path] = contents.get(path, 0) + piece.content
    return {
        "num_documents": sum(each.part == 0 for each in batch.documents),
        "text_bytes": sum(piece.text_bytes for piece in pieces),
        "source_bytes": sum(piece.source_bytes for piece in pieces),
        "num_skipped": sum(piece.num_skipped for piece in pieces),
        "skipped": [str(each) for piece in pieces for each in piece.skipped][:_DESCRIBED],
        "contents": {path: _in_hex(content) for path, content in contents.items()},
    }
