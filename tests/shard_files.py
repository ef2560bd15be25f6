"""Small shards made directly, for tests that need rows and no corpus."""

from pathlib import Path

import numpy as np

from bertctl.pipeline.randomness import KeyedRandom
from bertctl.pipeline.shard.instances import SpecialIds, schema_of, write_instances
from bertctl.pipeline.shard.masking import MaskSettings
from bertctl.pipeline.shard.pairs import draw_pairs
from bertctl.pipeline.shard.settings import InstanceSettings
from bertctl.pipeline.shard.tokens import TokenisedDocuments

CLS_ID, SEP_ID, MASK_ID, VOCAB_SIZE = 2, 3, 4, 90


def write_shard(path: Path, *, documents: int = 20, seed: int = 1) -> TokenisedDocuments:
    random = np.random.default_rng(seed)
    counts = random.integers(2, 12, documents)
    lengths = random.integers(1, 14, counts.sum())
    tokenised = TokenisedDocuments(
        ids=random.integers(5, VOCAB_SIZE, lengths.sum()).astype(np.uint16),
        sentence_ends=np.cumsum(lengths),
        document_ends=np.cumsum(counts),
        identities=np.arange(100 * seed, 100 * seed + documents, dtype=np.uint64),
        parts=np.zeros(documents, np.uint32),
        digests=np.zeros(documents, np.uint64),
    )
    masks = MaskSettings(0.15, None, MASK_ID, np.arange(5, VOCAB_SIZE, dtype=np.uint16))
    pairs = draw_pairs(tokenised, InstanceSettings(max_seq_length=40), KeyedRandom(seed, "pairs"))
    write_instances(
        path,
        tokenised,
        pairs,
        SpecialIds(CLS_ID, SEP_ID),
        masks,
        KeyedRandom(seed, "masks"),
        schema_of(np.uint16, {"vocab_size": VOCAB_SIZE}),
    )
    return tokenised


def make_documents(
    *, documents: int, seed: int = 3, sentences: int = 9, with_words: bool = False
) -> TokenisedDocuments:
    """Documents whose every token is different, so that a token tells where it came from."""
    random = np.random.default_rng(seed)
    counts = random.integers(1, 2 * sentences, documents)
    lengths = random.integers(1, 25, counts.sum())
    return TokenisedDocuments(
        ids=np.arange(lengths.sum(), dtype=np.uint32),
        sentence_ends=np.cumsum(lengths),
        document_ends=np.cumsum(counts),
        identities=np.sort(random.integers(0, 2**63, documents).astype(np.uint64)),
        parts=np.zeros(documents, np.uint32),
        digests=np.zeros(documents, np.uint64),
        continues=random.random(lengths.sum()) < 0.3 if with_words else None,
    )


def document_of(documents: TokenisedDocuments, token: np.ndarray) -> np.ndarray:
    token_ends = documents.sentence_ends[documents.document_ends - 1]
    return np.searchsorted(token_ends, token, "right")
