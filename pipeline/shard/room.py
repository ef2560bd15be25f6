"""How much disk a run will need, told before it begins: a full one should not cost its hours."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..corpus.formats import format_of
from ..corpus.uris import without_options
from ..errors import WorkFailed
from ..stage.engine import Site
from ..stage.recipe import ListedInput
from ..stage.units import WORK

_SHORT_ID_BYTES = 2
_WORTH_TELLING = 100e6
"""A smaller run that fills the disk has cost seconds, and goes on where it stopped."""


@dataclass(frozen=True)
class Need:
    """Bytes: at least so many, at most about so many."""

    least: float
    most: float

    def times(self, other: Need) -> Need:
        """Return the product, bound by bound."""
        return Need(self.least * other.least, self.most * other.most)

    def plus(self, other: Need) -> Need:
        """Return the sum, bound by bound."""
        return Need(self.least + other.least, self.most + other.most)


# Measured on en_wiki_starter and zh_tech_lctt, ids of two bytes: 0.49 and 0.74 bytes of tokens for
# each byte of text; 0.62 to 1.19 of shards, by --next-sentence and length (1.40 at 16 tokens).
_TOKENS = Need(0.4, 0.8)
_SHARDS = Need(0.55, 1.2)
_OF_PLAIN_TEXT = Need(0.95, 1)
_OF_RECORDS = Need(0, 1)
"""There may be other fields than the text's."""
_OF_COLUMNS = Need(0, 4)
_PACKED = Need(1, 5)
"""What becomes of a compressed byte."""


def check_room(site: Site, *, copies: int, id_bytes: int, scratch: Path | None) -> None:
    """Tell how much disk the run will need.

    What is there already, of a run that goes on, needs no room any more.

    Raises:
        WorkFailed: a disk has less free than the least that will be needed.
    """
    tokens, shards = estimate(site.recipe.inputs, copies=copies, id_bytes=id_bytes)
    kept = scratch or site.directory
    needs = {site.directory: shards}
    if _device(kept) == _device(site.directory):
        needs[site.directory] = shards.plus(tokens)
    else:
        needs[kept] = tokens
    for place, need in needs.items():
        there = _bytes_of(place)
        need = Need(max(need.least - there, 0), max(need.most - there, 0))
        free = shutil.disk_usage(_existing(place)).free
        told = f"{_size(need.least)} to {_size(need.most)} of disk"
        if need.most < _WORTH_TELLING:
            continue
        if need.least > free:
            raise WorkFailed(
                f"{place}: no space left for what is to come. It needs {told}; {_size(free)} are "
                "free.",
                hint="Free some space, write to another disk (--output, --scratch) or make fewer "
                "copies (--dupe-factor).",
            )
        if need.most > free:
            site.reporter.warn(
                f"{place} may be too small: it needs {told}; {_size(free)} are free."
            )
        else:
            site.reporter.notice(f"{place} needs {told}; {_size(free)} are free.")


def estimate(files: Iterable[ListedInput], *, copies: int, id_bytes: int) -> tuple[Need, Need]:
    """Return what the tokenised text and the shards of a corpus take, in bytes."""
    text = text_of(files)
    wide = id_bytes / _SHORT_ID_BYTES
    ids = Need(wide, wide)
    return text.times(_TOKENS).times(ids), text.times(_SHARDS).times(ids).times(
        Need(copies, copies)
    )


def text_of(files: Iterable[ListedInput]) -> Need:
    """Return how many bytes of text there are in a corpus, packed or among other fields."""
    text = Need(0, 0)
    for file in files:
        text = text.plus(_text_bytes(file))
    return text


def _text_bytes(file: ListedInput) -> Need:
    how = format_of(without_options(file.path))
    assert how is not None, "only readable files are listed"
    share = {"text": _OF_PLAIN_TEXT, "parquet": _OF_COLUMNS, "arrow": _OF_COLUMNS}.get(
        how.kind, _OF_RECORDS
    )
    text = share.times(Need(file.size, file.size))
    return text if how.compression is None else text.times(_PACKED)


def _bytes_of(directory: Path) -> int:
    """Return the size of what a run before has left there."""
    found: Sequence[Path] = [
        *directory.glob("*.arrow"),
        *(directory / WORK).rglob("*.arrow"),
    ]
    return sum(path.stat().st_size for path in found if path.is_file())


def _device(path: Path) -> int:
    return _existing(path).stat().st_dev


def _existing(path: Path) -> Path:
    return next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())


def _size(num_bytes: float) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9)):
        if num_bytes >= size:
            return f"{num_bytes / size:,.1f} {unit}"
    return f"{num_bytes / 1e6:,.1f} MB"
