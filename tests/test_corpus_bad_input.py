"""What is wrong with a corpus is said with its place, or left out, counted and described."""

from __future__ import annotations

import gzip
import json
import os
from itertools import islice
from pathlib import Path

import pytest

from bertctl.pipeline.corpus import records
from bertctl.pipeline.corpus.listing import list_inputs
from bertctl.pipeline.corpus.settings import CorpusSettings
from bertctl.pipeline.corpus.sources import plan_sources, read_pieces
from bertctl.pipeline.errors import BadInput

from .corpus_files import PACKERS, read_all

STOP, SKIP = CorpusSettings(), CorpusSettings(on_bad_input="skip")


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def refusal(path: Path, settings: CorpusSettings = STOP, chunk_bytes: int = 1 << 20) -> BadInput:
    with pytest.raises(BadInput) as error:
        read_all(path, settings, chunk_bytes)
    assert str(path) in error.value.message
    assert error.value.hint
    return error.value


def left(path: Path, settings: CorpusSettings = SKIP) -> tuple[list[str], int, list[str]]:
    """Texts that stand, the number of faults, and their descriptions."""
    pieces = read_all(path, settings)
    return (
        [document.text for piece in pieces for document in piece.documents],
        sum(piece.num_skipped for piece in pieces),
        [f"{each.place}: {each.reason}" for piece in pieces for each in piece.skipped],
    )


def test_invalid_utf8_is_found_by_line_and_byte_in_any_range_of_the_file(tmp_path, monkeypatch):
    data = b"One.\nTwo.\n\n" * 40 + b"caf\xe9\n\n" + b"Three.\n\n" * 40
    path = write(tmp_path / "a.txt", data)
    for chunk_bytes, block_bytes in ((1 << 20, 1 << 20), (1 << 20, 9), (50, 90), (7, 3)):
        monkeypatch.setattr("bertctl.pipeline.corpus.opening.BLOCK_BYTES", block_bytes)
        message = refusal(path, chunk_bytes=chunk_bytes).message
        assert "line 121 (byte 443): invalid UTF-8 (byte 0xe9" in message
    texts, count, (reason,) = left(path)
    assert texts == ["One.\nTwo."] * 40 + ["Three."] * 40
    assert count == 1
    assert "line 121" in reason


def test_nul_bytes_and_other_encodings_are_told_from_text(tmp_path):
    assert (
        "line 2 (byte 5): a NUL byte" in refusal(write(tmp_path / "a.txt", b"One\nT\0wo\n")).message
    )
    for codec in ("utf-16", "utf-32"):
        error = refusal(write(tmp_path / "b.txt", "Hello.\n".encode(codec)))
        assert "UTF-16 or UTF-32" in error.message
        assert "iconv" in error.hint
    for name, pack in PACKERS.items():
        path = write(tmp_path / "c.txt", pack(b"Hello.\n"))
        assert "archive" in refusal(path).message
        path = write(tmp_path / f"d.txt.{name}", pack(gzip.compress(b"Hello.\n")))
        assert "holds a gzip archive" in refusal(path).message
        assert left(path)[:2] == ([], 1)


def test_every_bad_line_is_counted_and_the_first_few_are_described(tmp_path):
    path = write(tmp_path / "a.txt", b"good\n\n" + b"\xff\n" * 70_000 + b"\nalso good\n")
    texts, count, described = left(path)
    assert texts == ["good", "also good"]
    assert count == 70_000
    assert 1 <= len(described) < 30


BAD_RECORDS = {
    "not JSON": b'{"text": "a}',
    "not JSON (more after": b'{"text": "a"} {}',
    "a JSON array": b'["text"]',
    "a JSON number": b"7",
    "no field 'text' among the fields ('body', 'id')": b'{"body": "a", "id": 7}',
    "among the fields (none)": b"{}",
    "a JSON number in the field 'text'": b'{"text": 7}',
    "a JSON null in the field 'text'": b'{"text": null}',
    "a JSON true or false in": b'{"text": true}',
    "half a surrogate pair (U+D83D)": b'{"text": "a\\ud83d"}',
    "invalid UTF-8": b'{"text": "\xff"}',
    "NUL": b'{"text": "\0"}',
    "can't be read": b"[" * 100_000,
    "can't be read (Exceeds": b'{"text": "a", "id": ' + b"1" * 5_000 + b"}",
}


@pytest.mark.parametrize("found", BAD_RECORDS)
def test_a_bad_record_stops_with_its_line_or_is_left_out(tmp_path, found):
    good = [b'{"text": "One.\\nTwo."}', b"", b'{"id": 3, "text": "Three \\ud83d\\ude00"}']
    path = write(tmp_path / "a.jsonl", b"\n".join([*good, BAD_RECORDS[found], *good]))
    message = refusal(path).message
    assert found in message
    assert ", line 4" in message
    texts, count, (reason,) = left(path)
    assert texts == ["One.\nTwo.", "Three 😀"] * 2
    assert count == 1
    assert found in reason


def test_the_missing_field_is_named_with_the_setting_that_mends_it(tmp_path):
    path = write(tmp_path / "a.jsonl", b'{"body": "Hello."}\n')
    assert "--text-field" in refusal(path).hint
    assert left(path, CorpusSettings(text_field="body"))[0] == ["Hello."]


def test_a_record_too_long_to_be_parsed_is_refused_and_the_next_ones_are_read(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(records, "MAX_RECORD_BYTES", 300)
    monkeypatch.setattr("bertctl.pipeline.corpus.reading.MAX_RECORD_BYTES", 300)
    lines = [json.dumps({"text": text}) for text in ("One.", "x" * 5_000, "Two.")]
    path = write(tmp_path / "a.jsonl", "\n".join(lines).encode())
    assert ", line 2" in refusal(path).message
    texts, count, _ = left(path)
    assert (texts, count) == (["One.", "Two."], 1)


@pytest.mark.parametrize("rest", ["Next.", "other " * 300])
@pytest.mark.parametrize(("layout", "ends"), [("blank-line", "\n\n"), ("line", "\n")])
def test_a_bad_end_of_a_long_line_takes_nothing_of_the_next_line_along(
    tmp_path, layout, ends, rest
):
    skip = CorpusSettings(documents=layout, on_bad_input="skip", max_document_bytes=1024)
    rest = ends + rest + ends
    good = write(tmp_path / "good.txt", ("word. " * 200 + rest).encode())
    bad = write(tmp_path / "bad.txt", b"word. " * 200 + b"\xff" + rest.encode())
    documents = [document for piece in read_all(good, skip) for document in piece.documents]
    for chunk_bytes in (1 << 20, 100):
        pieces = read_all(bad, skip, chunk_bytes)
        found = [document for piece in pieces for document in piece.documents]
        # Of the long line its first part stands, the second one is left out.
        assert [(each.part, each.text) for each in found if "word" not in each.text] == [
            (each.part, each.text) for each in documents if "word" not in each.text
        ]
        assert sum(piece.num_skipped for piece in pieces) == 1


def test_the_record_after_a_bad_end_of_a_long_one_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "MAX_RECORD_BYTES", 300)
    monkeypatch.setattr("bertctl.pipeline.corpus.reading.MAX_RECORD_BYTES", 300)
    long = b'{"text": "' + b"x" * 350
    lines = [b'{"text": "One."}', long + b'\xff"}', b'{"text": "Two."}', b'{"text": "Three."}']
    texts, count, _ = left(write(tmp_path / "a.jsonl", b"\n".join(lines)))
    assert (texts, count) == (["One.", "Two.", "Three."], 2)


@pytest.mark.parametrize("suffix", PACKERS)
def test_what_comes_before_the_damage_of_an_archive_stands(tmp_path, suffix):
    lines = [f"{n} {os.urandom(40).hex()}" for n in range(13_000)]
    packed = PACKERS[suffix](("\n\n".join(lines) + "\n").encode())
    for end in (3, len(packed) // 2, len(packed) - 1):
        path = write(tmp_path / f"{end}.txt.{suffix}", packed[:end])
        assert "archive" in refusal(path).message
        texts, count, _ = left(path)
        assert count == 1
        assert texts == lines[: len(texts)]
    assert len(texts) > 7_000  # bzip2 loses a block of 900 KB
    # Zstandard without its optional checksum shows only damage that a block's head is in.
    corrupt = packed[: len(packed) // 2] + b"\xff" * 150_000 + packed[len(packed) // 2 + 150_000 :]
    path = write(tmp_path / f"corrupt.txt.{suffix}", corrupt)
    assert "archive" in refusal(path).message
    path = write(tmp_path / f"trailing.txt.{suffix}", packed + b"trailing garbage")
    assert "archive" in refusal(path).message
    assert left(path)[0] == lines


@pytest.mark.parametrize("suffix", PACKERS)
def test_padding_after_an_archive_is_no_damage(tmp_path, suffix):
    if suffix == "zst":
        pytest.skip("Zstandard has frames to skip instead of padding")
    packed = PACKERS[suffix](b"Hello.\n")
    path = write(tmp_path / f"a.txt.{suffix}", packed + b"\0" * 512 + packed + b"\0" * 4)
    assert left(path, STOP)[0] == ["Hello.\nHello."]


def test_empty_files_and_archives_of_nothing_are_refused_or_counted(tmp_path):
    for name in ("a.txt", "a.jsonl", "a.txt.gz", "a.txt.zst"):
        path = write(tmp_path / name, b"")
        assert "0 bytes" in refusal(path).message
        assert left(path)[:2] == ([], 1)
    for name, pack in PACKERS.items():
        path = write(tmp_path / f"b.txt.{name}", pack(b""))
        assert "holds nothing" in refusal(path).message
        assert left(path)[:2] == ([], 1)


@pytest.mark.parametrize("settings", [STOP, SKIP])
@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, settings, name):
    text = b"One.\n\n" * 5_000
    path = write(tmp_path / name, gzip.compress(text) if name.endswith("gz") else text)
    files = list_inputs([str(path)])
    (source,) = plan_sources(files, settings)
    number = len(list(read_pieces(source, settings, 1_000)))
    pieces = read_pieces(source, settings, 1_000)
    next(pieces)
    os.utime(path, ns=(7, 7))
    handed_out = list(islice(pieces, number - 2))
    with pytest.raises(BadInput, match="changed while it was read"):
        next(pieces)  # the last one
    assert len(handed_out) == number - 2
    with pytest.raises(BadInput, match="changed"):
        next(read_pieces(source, settings))
    path.unlink()
    with pytest.raises(BadInput, match="can't be opened"):
        next(read_pieces(source, settings))
