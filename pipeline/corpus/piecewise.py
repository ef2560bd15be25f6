"""One pass over a corpus, piece by piece: every piece a unit that is committed and never redone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from ..errors import BadInput, WorkFailed
from ..stage.engine import Site, total_content
from ..stage.files import fingerprint_of
from ..stage.recipe import ListedInput
from ..stage.units import Unit, UnitBuilder, UnitStore
from ..stage.workers import run_tasks
from .documents import Document
from .settings import CorpusSettings
from .sources import Piece, Source, plan_sources, read_pieces

PieceMaker = Callable[[Sequence[Document], UnitBuilder, str], Mapping[str, Any]]
"""Makes a piece's files, the unit's name being the last argument; returns the unit's figures."""


@dataclass(frozen=True)
class CorpusPass:
    """What one pass left: the units of the pieces, and the content digest of every input file."""

    pieces: tuple[Unit, ...]
    contents: Mapping[str, str]

    def total(self, figure: str) -> int:
        """Add up one figure over all pieces."""
        return sum(unit.result[figure] for unit in self.pieces)


@dataclass(frozen=True)
class _SourceTask:
    units: UnitStore
    source: Source
    corpus: CorpusSettings
    chunk_bytes: int
    made_from: str
    make: PieceMaker

    @property
    def name(self) -> str:
        where = fingerprint_of([self.source.file.path, self.source.start])
        return f"source-{where[:16]}"

    @property
    def key(self) -> str:
        """What the units are made from; a file is known by path, size and time while work lasts.

        What to do with bad input is no part of it: where nothing is bad the text is the same.
        """
        reading = asdict(replace(self.corpus, on_bad_input="stop"))
        return fingerprint_of([asdict(self.source), reading, self.chunk_bytes, self.made_from])

    def find(self, name: str) -> Unit | None:
        """Return a piece's unit; one that left something out is none to whoever wants to stop."""
        unit = self.units.find(name, self.key)
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
    workers: int,
) -> CorpusPass:
    """Let `make` see every piece of the corpus once, in any number of processes.

    `made_from` stands for whatever decides, beside the text, what `make` makes of it.

    Raises:
        BadInput: an input can't be read, or the corpus holds no text.
    """
    files = site.recipe.inputs
    tasks = [
        _SourceTask(site.units, source, corpus, chunk_bytes, made_from, make)
        for source in plan_sources(files, corpus, chunk_bytes)
    ]
    by_file: dict[str, list[Unit]] = {each.path: [] for each in files}
    size = sum(each.size for each in files)
    with site.reporter.phase(phase, total=size, unit="B") as progress:
        for path, units in run_tasks(_run_source, tasks, workers=workers):
            by_file[path].extend(units)
            progress.advance(sum(unit.result["source_bytes"] for unit in units))
    done = CorpusPass(
        pieces=tuple(unit for units in by_file.values() for unit in units),
        contents={
            path: total_content({unit.name: unit.result["content"] for unit in units})
            for path, units in by_file.items()
        },
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
    return {path: total_content({path: f"{content:064x}"}) for path, content in contents.items()}


def _tell(site: Site, done: CorpusPass) -> None:
    if skipped := done.total("num_skipped"):
        first = next(unit.result["skipped"][0] for unit in done.pieces if unit.result["skipped"])
        site.reporter.warn(f"Left out {skipped:,} bad input(s), the first: {first}")
    if not done.total("num_documents"):
        raise BadInput(
            "The input holds no text at all.",
            hint="--documents says what ends a document, --text-field where records keep text.",
        )


def _run_source(task: _SourceTask) -> tuple[str, list[Unit]]:
    """Bring one source's units about; its own unit lists them, so that it is not read again."""
    for _ in range(2):
        whole = task.units.build(task.name, task.key, partial(_make_pieces, task))
        found = [task.find(name) for name in whole.result["pieces"]]
        units = [unit for unit in found if unit is not None]
        if len(units) == len(found):
            return task.source.file.path, units
        # A piece's file is gone, as scratch purgers take them, or holds less than is asked for now:
        # the source isn't done after all.
        task.units.forget(task.name)
    raise WorkFailed(f"Files of {task.units.work} vanish while they are needed.")


def _make_pieces(task: _SourceTask, _: UnitBuilder) -> dict[str, Any]:
    pieces = read_pieces(task.source, task.corpus, task.chunk_bytes)
    return {"pieces": [_run_piece(task, piece).name for piece in pieces]}


def _run_piece(task: _SourceTask, piece: Piece) -> Unit:
    name = f"{task.name}-{piece.index:05d}"

    def make(builder: UnitBuilder) -> Mapping[str, Any]:
        return {
            **task.make(piece.documents, builder, name),
            "num_documents": sum(each.part == 0 for each in piece.documents),
            "text_bytes": piece.text_bytes,
            "source_bytes": piece.source_bytes,
            "num_skipped": piece.num_skipped,
            "skipped": [str(each) for each in piece.skipped],
            "content": f"{piece.content:064x}",
        }

    return task.units.build(name, task.key, make)
