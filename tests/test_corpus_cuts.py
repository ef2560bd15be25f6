"""However a text is cut into sources, pieces and blocks, the documents are the same."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bertctl.pipeline.corpus import boundaries
from bertctl.pipeline.corpus.boundaries import boundary_pattern, first_boundary
from bertctl.pipeline.corpus.documents import add_digests, content_digest
from bertctl.pipeline.corpus.handles import LocalFile
from bertctl.pipeline.corpus.listing import list_inputs
from bertctl.pipeline.corpus.settings import CorpusSettings
from bertctl.pipeline.corpus.sources import Piece, plan_sources, read_pieces

from .corpus_files import PACKERS, documents_in, read_all

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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("corpus")


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
def test_every_cut_gives_the_documents_of_the_whole_text(
    folder, text, layout, unwrap, chunk_bytes, bom
):
    unwrap = unwrap and layout != "line"
    corpus = CorpusSettings(documents=layout, unwrap=unwrap)
    data = (b"\xef\xbb\xbf" if bom else b"") + text.encode()
    if not data:
        return
    with small_blocks(1 + chunk_bytes % 7):
        path = folder / "t.txt"
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
    folder, text, layout, unwrap, max_bytes, sizes
):
    unwrap = unwrap and layout != "line"
    corpus = CorpusSettings(documents=layout, unwrap=unwrap, max_document_bytes=max_bytes)
    whole = CorpusSettings(documents=layout, unwrap=unwrap)
    if not text:
        return
    path = folder / "t.txt"
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
    (tmp_path / f"packed.txt.{suffix}").write_bytes(packed)
    pieces = read_all(tmp_path / f"packed.txt.{suffix}", CorpusSettings(), 7_001)
    assert documents_in(pieces) == documents_in(plain)
    assert add_digests(each.content for each in pieces) == add_digests(
        each.content for each in plain
    )
    assert sum(piece.source_bytes for piece in pieces) == len(packed)
    assert len(pieces) > 10
    # Many short documents end a piece before its bytes do.
    assert all(0 < piece.text_bytes < 7_001 + 100 for piece in pieces[:-1])


@given(
    texts=st.lists(TEXTS, min_size=1, max_size=8),
    chunk_bytes=st.integers(1, 60),
    max_bytes=st.integers(4, 40),
    escaped=st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_each_record_is_a_document_however_the_file_is_cut(
    folder, texts, chunk_bytes, max_bytes, escaped
):
    lines = [json.dumps({"n": 1, "body": text}, ensure_ascii=escaped) for text in texts]
    corpus = CorpusSettings(text_field="body")
    parts = CorpusSettings(text_field="body", max_document_bytes=max_bytes)
    path = folder / "t.jsonl"
    path.write_bytes("\r\n \n".join(lines).encode())
    whole = documents_in(read_all(path, corpus))
    cut = documents_in(read_all(path, parts))
    with small_blocks(1 + chunk_bytes % 9):
        assert documents_in(read_all(path, corpus, chunk_bytes)) == whole
        assert documents_in(read_all(path, parts, chunk_bytes)) == cut
    expected = ["\n".join(filter(None, map(str.strip, text.split("\n")))) for text in texts]
    assert [document.text for document in whole] == [text for text in expected if text]
    assert visible("".join(part.text for part in cut)) == visible("".join(expected))
    assert all(len(part.text.encode()) <= max_bytes for part in cut)


def test_wrapped_lines_of_a_record_are_joined_between_its_blank_lines(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text(
        json.dumps({"text": "\n One\ntwo. \n \n\n中\n文\n\nThree"}) + "\n", encoding="utf-8"
    )
    (document,) = documents_in(read_all(path, CorpusSettings(unwrap=True)))
    assert document.text == "One two.\n中文\nThree"


def test_a_wrapped_paragraph_that_is_too_long_is_cut_where_its_lines_ended(tmp_path):
    path = tmp_path / "t.txt"
    lines = [f"{n} red blue" for n in range(10, 30)]
    path.write_text("\n".join(lines), encoding="utf-8")
    documents = documents_in(read_all(path, CorpusSettings(unwrap=True, max_document_bytes=30)))
    assert [each.text for each in documents] == [
        f"{first} {second}" for first, second in zip(lines[::2], lines[1::2], strict=True)
    ]


def test_identity_and_digest_follow_the_content_and_nothing_else(tmp_path):
    long = "One sentence. " * 30
    texts = ["First.", long, "Second.\nThird.", "First.", long + "More."]
    corpus = CorpusSettings(max_document_bytes=100)
    for name, order in (("a", texts), ("b", texts[::-1])):
        (tmp_path / f"{name}.txt").write_text("\n\n".join(order), encoding="utf-8")
    pieces = read_all(tmp_path / "a.txt", corpus)
    other = read_all(tmp_path / "b.txt", corpus, chunk_bytes=10)
    assert corpus_digest(pieces) == corpus_digest(other) == content_digest(documents_in(other))
    assert Counter(documents_in(pieces)) == Counter(documents_in(other))
    heads = [each for each in documents_in(pieces) if each.part == 0]
    assert heads[0] == heads[3]
    assert len({each.identity for each in heads}) == 3  # two begin alike and share theirs
    assert all(0 <= each.identity < 2**64 for each in heads)
    assert content_digest(heads[:1]) != content_digest([heads[0], heads[3]])
    first, *rest = (each for each in documents_in(pieces) if each.part < 2)
    assert content_digest([first._replace(part=1)]) != content_digest([first])
    assert content_digest(rest) != content_digest([first, *rest])


@given(num_documents=st.integers(1, 50), chunk_bytes=st.integers(1, 300))
@settings(max_examples=60, deadline=None)
def test_the_first_documents_of_the_listing_are_the_same_for_any_cut(
    folder, num_documents, chunk_bytes
):
    corpus = CorpusSettings(max_documents=num_documents, max_document_bytes=16)
    corpus_folder = folder / "first"
    corpus_folder.mkdir(exist_ok=True)
    for name, count in (("b.txt", 7), ("a.jsonl", 5), ("c.txt.gz", 20)):
        texts = [f"{name} document {n}." * (1 + n % 3) for n in range(count)]
        data = "\n\n".join(
            json.dumps({"text": text}) if "jsonl" in name else text for text in texts
        ).encode()
        (corpus_folder / name).write_bytes(gzip.compress(data) if "gz" in name else data)
    few = documents_in(read_all(corpus_folder, corpus, chunk_bytes))
    all_of_them = documents_in(read_all(corpus_folder, CorpusSettings(max_document_bytes=16)))
    assert few == all_of_them[: len(few)]
    assert sum(document.part == 0 for document in few) == min(num_documents, 32)
    assert len(few) == len(all_of_them) or all_of_them[len(few)].part == 0


@given(
    text=st.lists(
        st.sampled_from(["a", "b" * 60, "\n", "\n\n", "\r\n", "\u3000" * 15]), max_size=20
    ),
    unwrap=st.booleans(),
    layout=st.sampled_from(["blank-line", "line"]),
)
@settings(max_examples=100, deadline=None)
def test_boundaries_never_go_back_and_neighbours_agree(folder, text, unwrap, layout):
    data = "".join(text).encode()
    size = len(data)
    pattern = boundary_pattern("text", CorpusSettings(unwrap=unwrap, documents=layout))
    path = folder / "t.txt"
    path.write_bytes(data)
    with LocalFile(path) as handle:
        found = [first_boundary(handle, at, size=size, pattern=pattern) for at in range(size + 1)]
        with mock.patch.object(boundaries, "_WINDOW_BYTES", 110):
            for at in range(size + 1):
                assert first_boundary(handle, at, size=size, pattern=pattern) == found[at]
                for end in range(at + 1, size + 1, 13):
                    inside = first_boundary(handle, at, size=size, pattern=pattern, before=end)
                    assert inside == found[at] or (inside is None and found[at] == found[end])
    assert found == sorted(found)
    assert all(boundary >= position for position, boundary in enumerate(found))
    assert all(boundary in (0, size) or data[boundary - 1] == 0x0A for boundary in found)


def test_no_character_beyond_the_table_of_the_boundaries_is_white_space():
    assert not any(chr(code).isspace() for code in range(0x3001, 0x110000))


def test_a_range_inside_one_document_is_empty_and_reads_little(tmp_path):
    path = tmp_path / "t.txt"
    path.write_text("word " * 100_000 + "\n\nnext", encoding="utf-8")
    sources = plan_sources(list_inputs([str(path)]), CorpusSettings(), 50_000)
    assert len(sources) == 11
    texts = [documents_in(list(read_pieces(source, CorpusSettings()))) for source in sources]
    assert [len(each) for each in texts] == [1, *[0] * 9, 1]
