"""The second phase of sharding: the corpus dealt into buckets, each bucket written as shards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BadInput
from ..randomness import KeyedRandom
from ..stage.files import fingerprint_of
from ..stage.units import Unit, UnitBuilder, UnitStore
from .instances import ShardFigures, SpecialIds, schema_of, total_figures, write_instances
from .masking import MaskSettings
from .pairs import draw_pairs
from .settings import InstanceSettings
from .tokens import TokenisedDocuments, documents_in, gathered, is_below, open_tokenised

BUCKET_TEXT_BYTES = 32 << 20
_KEYS = 2**64
_FEWEST_DOCUMENTS = 64
"""In a bucket, so that a random B has many others to come from; held out, so that it says much."""
_FEWEST_IDENTITIES = 2
MetadataValue = str | int | float


@dataclass(frozen=True)
class Plan:
    """How the corpus is dealt: into how many buckets, and which documents are held out."""

    num_shards: int
    num_validation_shards: int
    validation_below: int
    validation_documents: int


@dataclass(frozen=True)
class BucketTask:
    """One bucket: a range of keys, to be written as one shard or as one in each copy."""

    units: UnitStore
    pieces: tuple[Path, ...]
    plan: Plan
    held_out: bool
    number: int
    settings: InstanceSettings
    special: SpecialIds
    masks: MaskSettings
    metadata: Mapping[str, MetadataValue]

    @property
    def split(self) -> str:
        """The first word of the shards' names."""
        return "validation" if self.held_out else "train"

    @property
    def of(self) -> int:
        """How many buckets this split is dealt into."""
        return self.plan.num_validation_shards if self.held_out else self.plan.num_shards

    @property
    def copies(self) -> int:
        """How many shards are made of the bucket."""
        return 1 if self.held_out else self.settings.dupe_factor

    @property
    def name(self) -> str:
        """The unit's name."""
        return f"{self.split}-{self.number:05d}"


def plan_buckets(
    pieces: Sequence[Path], settings: InstanceSettings, *, documents: int, text_bytes: int
) -> Plan:
    """Choose the number of shards and the documents held out, from the corpus and nothing else.

    Raises:
        BadInput: there are no two different documents, so that no B can be random.
    """
    validation = _validation_size(documents, settings.validation_fraction)
    below = _validation_threshold(pieces, settings.seed, validation, documents)
    held_out = _identities(pieces, below, held_out=True)
    if held_out.distinct < _FEWEST_IDENTITIES:
        below, held_out = 0, _Identities(0, 0)
    training = _identities(pieces, below, held_out=False)
    if training.distinct < _FEWEST_IDENTITIES:
        raise BadInput(
            f"The corpus has {documents:,} usable document(s), all alike; a random B must come "
            "from a different document, so at least two are needed.",
            hint="Documents end at a blank line; give --documents line or file if yours don't.",
        )
    share = held_out.documents / documents
    return Plan(
        num_shards=_num_shards(settings.num_shards, text_bytes * (1 - share), training.documents),
        num_validation_shards=_num_shards("auto", text_bytes * share, held_out.documents),
        validation_below=below,
        validation_documents=held_out.documents,
    )


def write_bucket(task: BucketTask) -> Unit:
    """Write one bucket's shards and return their unit."""

    def make(builder: UnitBuilder) -> Mapping[str, Any]:
        documents, own = _load(task)
        schema = schema_of(documents.ids.dtype, task.metadata)
        figures: dict[str, ShardFigures] = {}
        for copy in range(task.copies):
            key = (task.split, copy, task.number)
            random = KeyedRandom(task.settings.seed, "pairs", *key)
            pairs = draw_pairs(documents, task.settings, random, num_documents=own)
            number = copy * task.of + task.number
            name = shard_name(task.split, number, task.of * task.copies)
            figures[name] = write_instances(
                builder.path(name),
                documents.ids,
                pairs,
                task.special,
                task.masks,
                KeyedRandom(task.settings.seed, "masks", *key),
                schema,
            )
        rows = {name: each.instances for name, each in figures.items()}
        return {"figures": total_figures(figures.values()), "rows": rows, "documents": own}

    key = fingerprint_of([dict(task.metadata), asdict(task.plan), task.name])
    return task.units.build(task.name, key, make)


def shard_name(split: str, number: int, total: int) -> str:
    """Return the name of one shard's file."""
    return f"{split}-{number:05d}-of-{total:05d}.arrow"


def _load(task: BucketTask) -> tuple[TokenisedDocuments, int]:
    """Return the bucket's documents, then any borrowed to draw a random B from; and how many own.

    A bucket of fewer than two different documents borrows from the buckets numbered after it.
    """
    own = _bucket(task, task.number)
    documents = own
    for other in (*range(task.number + 1, task.of), *range(task.number)):
        if not len(own) or len(np.unique(documents.identities)) >= _FEWEST_IDENTITIES:
            break
        neighbour = _bucket(task, other)
        strangers = np.flatnonzero(~np.isin(neighbour.identities, own.identities))
        documents = _appended(documents, neighbour.reordered(strangers))
    return documents, len(own)


def _bucket(task: BucketTask, number: int) -> TokenisedDocuments:
    bounds = [each * _KEYS // task.of for each in (number, number + 1)]
    return gathered(
        [
            documents_in(
                open_tokenised(path),
                first_key=bounds[0],
                last_key=bounds[1] - 1,
                held_out=task.held_out,
                validation_below=task.plan.validation_below,
            )
            for path in task.pieces
        ]
    )


def _appended(first: TokenisedDocuments, second: TokenisedDocuments) -> TokenisedDocuments:
    return TokenisedDocuments(
        ids=np.concatenate([first.ids, second.ids]),
        sentence_ends=np.concatenate([first.sentence_ends, second.sentence_ends + len(first.ids)]),
        document_ends=np.concatenate(
            [first.document_ends, second.document_ends + len(first.sentence_ends)]
        ),
        identities=np.concatenate([first.identities, second.identities]),
        parts=np.concatenate([first.parts, second.parts]),
    )


def _validation_size(documents: int, fraction: float) -> int:
    if fraction == 0:
        return 0
    return max(round(fraction * documents), min(_FEWEST_DOCUMENTS, documents // 10))


def _validation_threshold(pieces: Sequence[Path], seed: int, wanted: int, documents: int) -> int:
    """Return the bound below which `wanted` of the documents' validation keys lie."""
    if wanted == 0:
        return 0
    # Keys are uniform: nearly always the smallest lie below a bound a few times the mean's.
    for bound in (min(_KEYS, 4 * (wanted + 16) * _KEYS // documents), _KEYS):
        keys = [each["validation_key"].to_numpy() for each in map(open_tokenised, pieces)]
        small = np.concatenate([each[is_below(each, bound)] for each in keys])
        if len(small) >= wanted:
            return int(np.partition(small, wanted - 1)[wanted - 1]) + 1
    return _KEYS


@dataclass(frozen=True)
class _Identities:
    documents: int
    distinct: int
    """Counted no further than two: more is never asked."""


def _identities(pieces: Sequence[Path], below: int, *, held_out: bool) -> _Identities:
    documents, ends = 0, set[int]()
    for some in _each_identities(pieces, below, held_out=held_out):
        documents += len(some)
        ends |= {int(some.min()), int(some.max())}
    return _Identities(documents, min(len(ends), _FEWEST_IDENTITIES))


def _each_identities(
    pieces: Sequence[Path], below: int, *, held_out: bool
) -> Iterator[np.ndarray[Any, Any]]:
    for piece in map(open_tokenised, pieces):
        chosen = is_below(piece["validation_key"].to_numpy(), below) == held_out
        if chosen.any():
            yield piece["identity"].to_numpy()[chosen]


def _num_shards(wanted: int | str, text_bytes: float, documents: int) -> int:
    if isinstance(wanted, int):
        return wanted
    by_size = -(-int(text_bytes) // BUCKET_TEXT_BYTES)
    return max(min(by_size, documents // _FEWEST_DOCUMENTS), min(documents, 1))
