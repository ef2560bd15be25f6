"""Tokenised documents at rest: one sorted Arrow file per piece of the corpus.

Rows are documents ordered by bucket key, so that any number of buckets are ranges of rows: the
number of shards can be chosen after the corpus has been read once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..randomness import mixed

Ids = npt.NDArray[np.unsignedinteger]
Keys = npt.NDArray[np.uint64]
Offsets = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True)
class TokenisedDocuments:
    """D documents of S sentences of T tokens in all, flat.

    `ids`: (T,) uint16 or uint32; `sentence_ends`: (S,) offsets into `ids`; `document_ends`: (D,)
    offsets into the sentences; `identities`: (D,) what the documents are recognised by, the same
    for copies and parts of one; `parts`: (D,) the number of the part of a document cut in several;
    `digests`: (D,) what tells parts of the same number apart, where long documents begin alike;
    `continues`: (T,) bool, whether a token continues the word before it, where that is asked for.
    No sentence is empty and no document is.
    """

    ids: Ids
    sentence_ends: Offsets
    document_ends: Offsets
    identities: Keys
    parts: npt.NDArray[np.uint32]
    digests: Keys
    continues: Flags | None = None

    def __len__(self) -> int:
        return len(self.identities)

    @property
    def token_ends(self) -> Offsets:
        """(D,) offsets into `ids`: where each document ends."""
        return self.sentence_ends[self.document_ends - 1]

    def bucket_keys(self, seed: int) -> Keys:
        """Return (D,) keys whose order is the shuffled order of the corpus."""
        own = mixed(self.identities, seed, "bucket")
        return np.where(self.parts == 0, own, mixed(own ^ self.parts, seed, "part"))

    def validation_keys(self, seed: int) -> Keys:
        """Return (D,) keys of which the smallest are held out: parts and duplicates together."""
        return mixed(self.identities, seed, "validation")

    def reordered(self, order: npt.NDArray[np.int64]) -> TokenisedDocuments:
        """Return the documents `order` names, in that order."""
        sentence_starts = np.concatenate(([0], self.document_ends))
        token_starts = np.concatenate(([0], self.sentence_ends))
        first, last = sentence_starts[:-1][order], sentence_starts[1:][order]
        lengths = np.diff(token_starts)
        starts, stops = token_starts[first], token_starts[last]
        continues = self.continues
        return TokenisedDocuments(
            ids=_joined(self.ids, starts, stops),
            sentence_ends=np.cumsum(_joined(lengths, first, last)),
            document_ends=np.cumsum(last - first),
            identities=self.identities[order],
            parts=self.parts[order],
            digests=self.digests[order],
            continues=None if continues is None else _joined(continues, starts, stops),
        )

    def with_words(self, is_continuation: Flags) -> TokenisedDocuments:
        """Return the documents with `continues`, by their tokens unless it is there already.

        `is_continuation`: (V,) whether a token of the vocabulary continues a word.
        """
        if self.continues is not None:
            return self
        return replace(self, continues=is_continuation.take(self.ids))

    def write(self, path: Path, seed: int) -> None:
        """Write the documents to an Arrow file, in the order of their bucket keys."""
        keys = self.bucket_keys(seed)
        order = np.lexsort((self.parts, self.identities, keys))
        table = self.reordered(order)
        sentences = pa.LargeListArray.from_arrays(
            np.concatenate(([0], table.sentence_ends)), pa.array(table.ids)
        )
        columns = {
            "bucket_key": keys[order],
            "validation_key": table.validation_keys(seed),
            "identity": table.identities,
            "part": table.parts,
            "digest": table.digests,
            "sentences": pa.LargeListArray.from_arrays(
                np.concatenate(([0], table.document_ends)), sentences
            ),
        }
        if table.continues is not None:
            columns["continues"] = pa.LargeListArray.from_arrays(
                np.concatenate(([0], table.token_ends)), pa.array(table.continues)
            )
        batch = pa.record_batch(columns)
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
            writer.write_batch(batch)


def open_tokenised(path: Path) -> pa.RecordBatch:
    """Map a file that `write` made into memory; nothing is read before it is needed."""
    return pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)


def rows_between(batch: pa.RecordBatch, first_key: int, last_key: int) -> pa.RecordBatch:
    """Return the rows with a bucket key in [first_key, last_key], found without reading others."""
    keys = batch["bucket_key"].to_numpy()
    start = int(np.searchsorted(keys, np.uint64(first_key), "left"))
    stop = int(np.searchsorted(keys, np.uint64(last_key), "right"))
    return batch.slice(start, stop - start)


def documents_in(rows: pa.RecordBatch, chosen: npt.NDArray[np.bool_]) -> TokenisedDocuments:
    """Return the documents of the chosen rows; `chosen`: (rows,).

    They are copies: what is looked at in a mapped file stays in memory until nobody holds it, and
    a bucket looks into every file of a corpus.
    """
    documents = rows["sentences"]
    document_offsets = documents.offsets.to_numpy().astype(np.int64)
    sentences = documents.values
    sentence_offsets = sentences.offsets.to_numpy()[: document_offsets[-1] + 1].astype(np.int64)
    sentence_offsets = sentence_offsets[document_offsets[0] :]
    ids = sentences.values.to_numpy()[sentence_offsets[0] : sentence_offsets[-1]]
    found = TokenisedDocuments(
        ids=ids.copy(),
        sentence_ends=sentence_offsets[1:] - sentence_offsets[0],
        document_ends=document_offsets[1:] - document_offsets[0],
        identities=rows["identity"].to_numpy().copy(),
        parts=rows["part"].to_numpy().copy(),
        digests=rows["digest"].to_numpy().copy(),
        continues=_flags(rows["continues"]) if "continues" in rows.schema.names else None,
    )
    return found if chosen.all() else found.reordered(np.flatnonzero(chosen))


def gathered(parts: list[TokenisedDocuments]) -> TokenisedDocuments:
    """Join documents from many places, ordered by identity: copies and parts stand together."""
    together = concatenated([each for each in parts if len(each)] or parts[:1])
    return together.reordered(np.lexsort((together.digests, together.parts, together.identities)))


def concatenated(parts: Sequence[TokenisedDocuments]) -> TokenisedDocuments:
    """Join documents, one part after another."""
    tokens = np.cumsum([0, *(len(each.ids) for each in parts)])
    sentences = np.cumsum([0, *(len(each.sentence_ends) for each in parts)])
    continues = [each.continues for each in parts if each.continues is not None]
    assert len(continues) in (0, len(parts))
    return TokenisedDocuments(
        ids=np.concatenate([each.ids for each in parts]),
        sentence_ends=np.concatenate(
            [each.sentence_ends + start for each, start in zip(parts, tokens, strict=False)]
        ),
        document_ends=np.concatenate(
            [each.document_ends + start for each, start in zip(parts, sentences, strict=False)]
        ),
        identities=np.concatenate([each.identities for each in parts]),
        parts=np.concatenate([each.parts for each in parts]),
        digests=np.concatenate([each.digests for each in parts]),
        continues=np.concatenate(continues) if continues else None,
    )


def _flags(column: pa.LargeListArray) -> Flags:
    """Return the flat values of some rows; bits in the file, bytes here."""
    offsets = column.offsets.to_numpy()
    flags = column.values.slice(offsets[0], offsets[-1] - offsets[0])
    return flags.to_numpy(zero_copy_only=False)


def _joined(values: npt.NDArray[Number], starts: Offsets, stops: Offsets) -> npt.NDArray[Number]:
    """Concatenate values[start:stop] for every pair: long runs, so a copy each is the fast way."""
    pieces = [values[a:b] for a, b in zip(starts.tolist(), stops.tolist(), strict=True)]
    return np.concatenate(pieces) if pieces else values[:0]
