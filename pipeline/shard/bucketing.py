"""The second phase of sharding: the corpus dealt into buckets, each bucket written as shards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BadInput
from ..randomness import KeyedRandom
from ..stage.files import fingerprint_of
from ..stage.units import Unit, UnitBuilder, UnitStore
from .holding_out import Split, census, choose_split
from .instances import ShardFigures, SpecialIds, schema_of, total_figures, write_instances
from .masking import MaskSettings
from .pairs import draw_pairs
from .sentence_order import draw_ordered_pairs
from .settings import MOST_SHARDS, InstanceSettings
from .single_segments import draw_single_segments
from .tokens import (
    Flags,
    TokenisedDocuments,
    concatenated,
    documents_in,
    gathered,
    open_tokenised,
    rows_between,
)

BUCKET_TEXT_BYTES = 32 << 20
_KEYS = 2**64
_FEWEST_DOCUMENTS = 64
"""In a bucket, so that a random B has many others to come from."""
_FEWEST_IDENTITIES = 2
_DRAW = {"random": draw_pairs, "order": draw_ordered_pairs, "none": draw_single_segments}
MetadataValue = str | int | float


@dataclass(frozen=True)
class Plan:
    """How the corpus is dealt: into how many buckets, and which documents are held out."""

    num_shards: int
    num_validation_shards: int
    split: Split
    validation_documents: int


@dataclass(frozen=True)
class BucketTask:
    """One bucket: a range of keys, to be written as one shard or as one in each copy.

    `is_continuation`: (V,) whether a token of the vocabulary continues a word.
    """

    units: UnitStore
    pieces: tuple[Path, ...]
    plan: Plan
    held_out: bool
    number: int
    settings: InstanceSettings
    special: SpecialIds
    masks: MaskSettings
    is_continuation: Flags
    metadata: Mapping[str, MetadataValue]

    @property
    def split(self) -> str:
        """The first word of its shards' names."""
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

    @property
    def key(self) -> str:
        """What the unit is made from."""
        return fingerprint_of([dict(self.metadata), asdict(self.plan), self.name])


def plan_buckets(
    pieces: Sequence[Path], settings: InstanceSettings, *, documents: int, text_bytes: int
) -> Plan:
    """Choose the number of shards and the documents held out, from the corpus and nothing else.

    Raises:
        BadInput: B is to be random, and there are no two different documents.
    """
    fewest = _FEWEST_IDENTITIES if settings.next_sentence == "random" else 1
    split = choose_split(
        pieces, documents=documents, fraction=settings.validation_fraction, fewest=fewest
    )
    held_out = census(pieces, split, held_out=True)
    training = census(pieces, split, held_out=False)
    if training.different < fewest:
        raise BadInput(
            f"The corpus has {documents:,} usable documents that are all alike, or only one; a "
            "random B must come from a different document, so at least two are needed.",
            hint="Documents end at a blank line; give --documents line or file if yours don't, or "
            "do without random pairs: --next-sentence order or none.",
        )
    share = held_out.documents / documents
    text = text_bytes * (1 - share)
    return Plan(
        num_shards=_num_shards(
            settings.num_shards, text, training.documents, copies=settings.dupe_factor
        ),
        num_validation_shards=_num_shards("auto", text_bytes * share, held_out.documents, copies=1),
        split=split,
        validation_documents=held_out.documents,
    )


def write_bucket(task: BucketTask) -> Unit:
    """Write one bucket's shards and return their unit."""

    def make(builder: UnitBuilder) -> Mapping[str, Any]:
        documents, own = _load(task)
        mode = task.settings.next_sentence
        if task.masks.whole_words or mode != "random":
            documents = documents.with_words(task.is_continuation)
        schema = schema_of(documents.ids.dtype, task.metadata, with_label=mode != "none")
        figures: dict[str, ShardFigures] = {}
        for copy in range(task.copies):
            key = (task.split, copy, task.number)
            random = KeyedRandom(task.settings.seed, "pairs", *key)
            pairs = _DRAW[mode](documents, task.settings, random, num_documents=own)
            number = copy * task.of + task.number
            name = shard_name(task.split, number, task.of * task.copies)
            figures[name] = write_instances(
                builder.path(name),
                documents,
                pairs,
                task.special,
                task.masks,
                KeyedRandom(task.settings.seed, "masks", *key),
                schema,
            )
        rows = {name: each.instances for name, each in figures.items()}
        # Counted before there are pairs, so that nobody's pairs can leave a document out unseen.
        dealt = {
            "documents": own,
            "different_documents": len(np.unique(documents.identities[:own])),
        }
        return {"figures": {**total_figures(figures.values()), **dealt}, "rows": rows}

    return task.units.build(task.name, task.key, make)


def shard_name(split: str, number: int, total: int) -> str:
    """Return the name of one shard's file."""
    return f"{split}-{number:05d}-of-{total:05d}.arrow"


def _load(task: BucketTask) -> tuple[TokenisedDocuments, int]:
    """Return the bucket's documents, then any borrowed to draw a random B from; and how many own.

    A bucket of fewer than two different documents borrows from the buckets numbered after it.
    """
    own = _bucket(task, task.number)
    documents = own
    if task.settings.next_sentence != "random":
        return own, len(own)
    for other in (*range(task.number + 1, task.of), *range(task.number)):
        if not len(own) or len(np.unique(documents.identities)) >= _FEWEST_IDENTITIES:
            break
        neighbour = _bucket(task, other)
        strangers = np.flatnonzero(~np.isin(neighbour.identities, own.identities))
        documents = concatenated([documents, neighbour.reordered(strangers)])
    return documents, len(own)


def _bucket(task: BucketTask, number: int) -> TokenisedDocuments:
    bounds = [each * _KEYS // task.of for each in (number, number + 1)]
    parts: list[TokenisedDocuments] = []
    for path in task.pieces:
        rows = rows_between(open_tokenised(path), bounds[0], bounds[1] - 1)
        if rows.num_rows or not parts:
            chosen = task.plan.split.is_held_out(rows) == task.held_out
            parts.append(documents_in(rows, chosen))
    return gathered(parts)


def _num_shards(wanted: int | str, text_bytes: float, documents: int, *, copies: int) -> int:
    if isinstance(wanted, int):
        return wanted
    by_size = -(-int(text_bytes) // BUCKET_TEXT_BYTES)
    # Books, or parts of a longer document, would fill the memory before there are so many of them.
    by_memory = -(-int(text_bytes) // (BUCKET_TEXT_BYTES * 5 // 4))
    num_shards = max(by_memory, min(by_size, documents // _FEWEST_DOCUMENTS), 1)
    return min(num_shards, documents, MOST_SHARDS // copies)
