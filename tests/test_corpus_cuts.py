"""However a text is cut into sources, pieces and blocks, the documents are the same."""

from __future__ import annotations

import bz2
import gzip
import lzma
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bertctl.pipeline.corpus.documents import Document, add_digests, content_digest
from bertctl.pipeline.corpus.listing import list_inputs
from bertctl.pipeline.corpus.settings import CorpusSettings
from bertctl.pipeline.corpus.sources import Piece, plan_sources, read_pieces

# Little text goes a long way when it is made of what cuts can go wrong at.
ALPHABET = [
    "a",
    "b. ",
    "\n",
    "\n\n",
    "\r\n",
    " ",
    "\t",
    "é",
    "中",
    "。",
    "😀",
    "　",
    "\u2028",
    "\x85",
]
TEXTS = st.lists(st.sampled_from(ALPHABET), max_size=40).map("".join)
LAYOUTS = st.sampled_from(["blank-line", "line", "file"])


def zstandard(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


PACKERS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstandard}


def read_all(path: Path | str, corpus: CorpusSettings, chunk_bytes: int = 1 << 20) -> list[Piece]:
    return [
        piece
        for source in plan_sources(list_inputs([str(path)]), corpus, chunk_bytes)
        for piece in read_pieces(source, corpus, chunk_bytes)
    ]


def documents_in(pieces: list[Piece]) -> list[Document]:
    return [document for piece in pieces for document in piece.documents]


def corpus_digest(pieces: list[Piece]) -> int:
    return add_digests(piece.content for piece in pieces)


def small_blocks(size: int) -> mock._patch:  # type: ignore[type-arg]
    return mock.patch.multiple("bertctl.pipeline.corpus.opening", BLOCK_BYTES=size)


def reference_documents(text: str, documents: str, *, unwrap: bool) -> list[str]:
    """The rules of the three layouts, written a second time and without any thought of size."""
    lines = [line.strip() for line in text.removeprefix("\ufeff").split("\n")]
    if documents == "line":
        return [line for line in lines if line]
    blocks: list[list[str]] = [[]]
    for line in lines:
        blocks[-1].append(line) if line else blocks.append([])
    if not unwrap:
        groups = ["\n".join(block) for block in blocks if block]
        return groups if documents == "blank-line" else ["\n".join(groups)] if groups else []
    # An empty block stands between two blank lines.
    result: list[list[str]] = [[]]
    for place, block in enumerate(blocks):
        if block:
            result[-1].append(wrapped(block))
        elif documents == "blank-line" and place > 0:
            result.append([])
    return ["\n".join(paragraphs) for paragraphs in result if paragraphs]


def wrapped(lines: list[str]) -> str:
    joined = lines[0]
    for line in lines[1:]:
        joined += ("" if joined[-1] in "中。" and line[0] in "中。" else " ") + line
    return joined


@given(
    text=TEXTS,
    layout=LAYOUTS,
    unwrap=st.booleans(),
    chunk_bytes=st.integers(1, 70),
    bom=st.booleans(),
)
@settings(max_examples=400, deadline=None)
@example(text="a\n \n\n\t\nb\n", layout="blank-line", unwrap=True, chunk_bytes=1, bom=False)
def test_every_cut_gives_the_documents_of_the_whole_text(text, layout, unwrap, chunk_bytes, bom):
    unwrap = unwrap and layout != "line"
    corpus = CorpusSettings(documents=layout, unwrap=unwrap)
    data = (b"\xef\xbb\xbf" if bom else b"") + text.encode()
    if not data:
        return
    with TemporaryDirectory() as folder, small_blocks(1 + chunk_bytes % 7):
        path = Path(folder) / "t.txt"
        path.write_bytes(data)
        pieces = read_all(path, corpus, chunk_bytes)
    assert [each.text for each in documents_in(pieces)] == reference_documents(
        text, layout, unwrap=unwrap
    )
    assert sum(piece.source_bytes for piece in pieces) == len(data)
    assert all(piece.content == content_digest(piece.documents) for piece in pieces)
    assert all(
        piece.text_bytes == sum(len(each.text.encode()) for each in piece.documents)
        for piece in pieces
    )


@given(
    text=TEXTS,
    layout=LAYOUTS,
    unwrap=st.booleans(),
    max_bytes=st.integers(4, 30),
    sizes=st.tuples(st.integers(1, 50), st.integers(1, 9)),
)
@settings(max_examples=400, deadline=None)
def test_parts_of_long_documents_do_not_depend_on_how_the_file_was_cut(
    text, layout, unwrap, max_bytes, sizes
):
    unwrap = unwrap and layout != "line"
    corpus = CorpusSettings(documents=layout, unwrap=unwrap, max_document_bytes=max_bytes)
    whole = CorpusSettings(documents=layout, unwrap=unwrap)
    if not text:
        return
    with TemporaryDirectory() as folder:
        path = Path(folder) / "t.txt"
        path.write_bytes(text.encode())
        plain = documents_in(read_all(path, corpus))
        chunk_bytes, block_bytes = sizes
        with small_blocks(block_bytes):
            assert documents_in(read_all(path, corpus, chunk_bytes)) == plain
        uncut = documents_in(read_all(path, whole))
    assert all(len(each.text.encode()) <= max_bytes for each in plain)
    assert all(line and line == line.strip() for each in plain for line in each.text.split("\n"))
    starts = [place for place, each in enumerate(plain) if each.part == 0] + [len(plain)]
    parts = [plain[start:end] for start, end in pairwise(starts)]
    assert [visible("".join(part.text for part in each)) for each in parts] == [
        visible(each.text) for each in uncut
    ]
    for each in parts:
        assert [part.part for part in each] == list(range(len(each)))
        assert len({part.identity for part in each}) == 1


def visible(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize("suffix", PACKERS)
def test_a_compressed_file_gives_the_documents_of_the_plain_one(tmp_path, suffix):
    text = "".join(f"Line {n}. 中文{n}。\n" + "\n" * (n % 3 == 0) for n in range(20_000))
    (tmp_path / "plain.txt").write_text(text, encoding="utf-8")
    plain = read_all(tmp_path / "plain.txt", CorpusSettings(), 7_001)
    # Two archives one after the other in a file are one text, cut here in the middle of a line.
    half = len(text.encode()) // 2
    pack = PACKERS[suffix]
    packed = pack(text.encode()[:half]) + pack(text.encode()[half:])
    (tmp_path / f"packed.txt{suffix}").write_bytes(packed)
    pieces = read_all(tmp_path / f"packed.txt{suffix}", CorpusSettings(), 7_001)
    assert documents_in(pieces) == documents_in(plain)
    assert add_digests(each.content for each in pieces) == add_digests(
        each.content for each in plain
    )
    assert sum(piece.source_bytes for piece in pieces) == len(packed)
    assert len(pieces) > 10
    assert all(7_001 <= piece.text_bytes < 7_001 + 100 for piece in pieces[:-1])
