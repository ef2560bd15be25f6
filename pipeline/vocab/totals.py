"""The tables of all pieces of a corpus added up into one: many at a time, as units, on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..stage.engine import Site
from ..stage.files import fingerprint_of
from ..stage.units import WORK, Unit, UnitBuilder, UnitStore
from .tables import Table, added_up, write_table

TABLES_AT_ONCE = 64
"""Tables added up in one go. A terabyte in pieces of 8 MB takes three rounds."""


@dataclass(frozen=True)
class _Sum:
    units: UnitStore
    name: str
    output: str | None
    tables: tuple[str, ...]
    key: str


def add_up(
    site: Site,
    units: Sequence[Unit],
    name: str,
    sides: Sequence[str],
    *,
    output: str | None = None,
) -> Unit:
    """Add up the tables of these units that are of one of the `sides`; return the sum's unit.

    Its file is `output`, or one of the stage's own; its figures are `words`, how many were counted,
    and `distinct_words`. A run that is killed goes on with the sums that are finished.
    """
    folders = {f"{WORK}/{side}" for side in sides}
    tables = [
        (path, record.sha256)
        for unit in units
        for path, record in unit.files.items()
        if path.rpartition("/")[0] in folders
    ]
    level = 0
    while True:
        groups = [
            tables[start : start + TABLES_AT_ONCE]
            for start in range(0, max(1, len(tables)), TABLES_AT_ONCE)
        ]
        is_last = len(groups) == 1
        sums = [
            _Sum(
                site.units,
                f"{name}-{level}-{number:05d}",
                output if is_last else None,
                tuple(path for path, _ in group),
                fingerprint_of([sha256 for _, sha256 in group]),
            )
            for number, group in enumerate(groups)
        ]
        made: dict[str, Unit] = {}
        with site.reporter.phase("add up words", total=len(tables), unit="tables") as progress:
            for each, unit in site.labour.run(_make, sums):
                made[each.name] = unit
                progress.advance(len(each.tables))
        if is_last:
            return made[sums[0].name]
        done = [made[each.name] for each in sums]
        tables = [(path, record.sha256) for unit in done for path, record in unit.files.items()]
        level += 1


def _make(each: _Sum) -> tuple[_Sum, Unit]:
    def make(builder: UnitBuilder) -> Mapping[str, Any]:
        tables = [Table(each.units.directory / path) for path in each.tables]
        path = builder.path(each.output or f"{WORK}/sums/{each.name}.arrow")
        words, distinct_words = write_table(path, added_up(tables))
        return {"words": words, "distinct_words": distinct_words}

    return each, each.units.build(each.name, each.key, make)
