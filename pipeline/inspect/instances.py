"""Shards in, a few of their instances out, as tokens a person can read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..errors import BadInput
from ..randomness import KeyedRandom
from ..wordpiece.files import VOCAB_FILE, load_vocabulary
from ..wordpiece.vocabulary import CONTINUATION, MASK
from .settings import InspectHow

Fate = Literal["plain", "masked", "random", "kept"]

_HEXADECIMAL = re.compile(r"[0-9a-fA-F]{16}")
_WIDE_FROM = "\u2e80"
"""Chinese and Japanese, which put no spaces between words, stand behind it."""


@dataclass(frozen=True)
class Token:
    """One token: what it shows, what it was, and whether it is joined to the one before it."""

    shown: str
    original: str
    fate: Fate
    joined: bool


@dataclass(frozen=True)
class Segment:
    """A or B, without special tokens; `document` in hex."""

    name: str
    document: str
    tokens: tuple[Token, ...]

    @property
    def original(self) -> str:
        """The text before anything was hidden."""
        return "".join(
            ("" if each.joined else " ")
            + (each.original.removeprefix(CONTINUATION) if each.joined else each.original)
            for each in self.tokens
        ).strip()


@dataclass(frozen=True)
class Instance:
    """One row of a shard; `label` is what B is, in words, or None where there is no B."""

    file: str
    row: int
    length: int
    label: str | None
    segments: tuple[Segment, ...]

    def count(self, fate: Fate) -> int:
        """Return how many tokens met this fate."""
        return sum(each.fate == fate for one in self.segments for each in one.tokens)

    def as_json(self) -> dict[str, Any]:
        """Return the instance as it stands in a JSON object."""
        return asdict(self)


def read_instances(path: Path, how: InspectHow) -> Iterator[Instance]:
    """Yield the rows asked for, or some drawn at random over all shards of a directory.

    Raises:
        BadInput: there is no such row, no vocabulary beside the shards, or a damaged file.
    """
    files = [path] if path.is_file() else sorted(path.glob("*-of-*.arrow"))
    directory = path.parent if path.is_file() else path
    if not files:
        raise BadInput(
            f"{path} holds no finished shard yet.", hint="Run its command again: it goes on."
        )
    texts = load_vocabulary(directory / VOCAB_FILE)[0].tokens
    ends = np.cumsum([_open(file).num_rows for file in files])
    total = int(ends[-1])
    for row in _chosen(path, files, total, how):
        if row >= total:
            raise BadInput(f"--row {row:,}: {path} has the rows 0 to {total - 1:,}.")
        number = int(np.searchsorted(ends, row, "right"))
        within = row - (int(ends[number - 1]) if number else 0)
        yield _instance(files[number], within, texts)


def _chosen(path: Path, files: Sequence[Path], total: int, how: InspectHow) -> Sequence[int]:
    if how.document is None:
        return how.row or _drawn(total, how)
    if how.row:
        raise BadInput(
            "--row and --document both say what is shown; expected one of them.",
            hint="Leave one out.",
        )
    document = _document_id(how.document)
    found = np.flatnonzero(np.concatenate([_made_from(document, _open(file)) for file in files]))
    if not len(found):
        raise BadInput(
            f"--document {how.document}: no instance in {path} was made from it.",
            hint="Give it as it was told: all 16 hexadecimal digits, or the decimal number.",
        )
    return found[: how.number].tolist()


def _document_id(text: str) -> int:
    """Read a document's identity; 16 digits are hexadecimal, also where they are all decimal.

    Raises:
        BadInput: it isn't one.
    """
    if _HEXADECIMAL.fullmatch(text):
        return int(text, 16)
    if text.isdecimal() and int(text) < 2**64:
        return int(text)
    raise BadInput(
        f"--document is {text!r}; expected 16 hexadecimal digits, or a decimal number below 2^64.",
        hint="As an error names it, or `bertctl inspect SHARDS` shows it.",
    )


def _made_from(document: int, batch: pa.RecordBatch) -> npt.NDArray[np.bool_]:
    """Tell of each row whether A or B is of a document, (rows,)."""
    return np.logical_or.reduce(
        [
            batch[name].to_numpy(zero_copy_only=False) == np.uint64(document)
            for name in ("document_a", "document_b")
            if name in batch.schema.names
        ]
    )


def _drawn(total: int, how: InspectHow) -> list[int]:
    """Return different rows, in order; fewer where fewer are there."""
    draws = KeyedRandom(how.seed, "inspect").uniform(4 * how.number + 16) * total
    rows = draws.astype(np.int64).tolist()
    return sorted(list(dict.fromkeys(rows))[: how.number]) if total else []


def _open(file: Path) -> pa.RecordBatch:
    try:
        return pa.ipc.open_file(pa.memory_map(str(file))).get_batch(0)
    except (pa.ArrowInvalid, OSError) as error:
        raise BadInput(
            f"{file} can't be read: it isn't a whole Arrow file.",
            hint=f"`bertctl verify {file.parent}` tells which files are damaged.",
        ) from error


def _instance(file: Path, row: int, texts: Sequence[str]) -> Instance:
    batch = _open(file).slice(row, 1)
    values = {name: batch[name][0].as_py() for name in batch.schema.names}
    ids = values["input_ids"]
    originals = dict(zip(values["masked_lm_positions"], values["masked_lm_ids"], strict=True))
    a_length = values["segment_a_length"]
    places = {"A": (1, a_length - 1), "B": (a_length, len(ids) - 1)}
    try:
        segments = tuple(
            Segment(
                name,
                f"{values[f'document_{name.lower()}']:016x}",
                tuple(_tokens(ids, originals, start, stop, texts)),
            )
            for name, (start, stop) in places.items()
            if name == "A" or a_length < len(ids)
        )
    except IndexError as error:
        raise BadInput(
            f"{file}, row {row:,}: an id that {VOCAB_FILE} beside it doesn't have.",
            hint=f"`bertctl verify {file.parent}` tells what else is wrong.",
        ) from error
    return Instance(file.name, row, len(ids), _label(values), segments)


def _label(values: dict[str, Any]) -> str | None:
    label = values.get("next_sentence_label")
    if label is None:
        return None
    swapped = values["document_a"] == values["document_b"]
    return "B follows A" if label == 0 else "A follows B" if swapped else "B is random"


def _tokens(
    ids: Sequence[int], originals: dict[int, int], start: int, stop: int, texts: Sequence[str]
) -> Iterator[Token]:
    tokens = [_token(ids[at], originals.get(at), texts) for at in range(start, stop)]
    yield from tokens[:1]
    for before, token in pairwise(tokens):
        wide = before.original[-1] >= _WIDE_FROM and token.original[0] >= _WIDE_FROM
        joined = token.original.startswith(CONTINUATION) or wide
        yield Token(token.shown, token.original, token.fate, joined)


def _token(shown: int, original: int | None, texts: Sequence[str]) -> Token:
    text = texts[shown]
    if original is None:
        return Token(text, text, "plain", joined=False)
    fate: Fate = "masked" if text == MASK else "kept" if shown == original else "random"
    return Token(text, texts[original], fate, joined=False)
