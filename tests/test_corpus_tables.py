"""CSV, TSV, Parquet and Arrow give the documents that the same records in JSON Lines give."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertctl.pipeline.corpus import tables
from bertctl.pipeline.corpus.settings import CorpusSettings
from bertctl.pipeline.errors import BadInput

from .corpus_files import PACKERS, documents_in, read_all

TEXT = st.lists(st.sampled_from([*'",\t\naé ', "\r\n", "中。", "\n\n"]), max_size=9).map("".join)
TEXTS = st.lists(TEXT, min_size=1, max_size=30)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("corpus")


def delimited(texts: list[str], separator: str, *, line_end: str = "\n") -> bytes:
    sink = io.StringIO()
    writer = csv.writer(sink, delimiter=separator, lineterminator=line_end)
    writer.writerows([["id", "text", "more"], *([n, text, "x"] for n, text in enumerate(texts))])
    return sink.getvalue().encode()


def write_arrow(path: Path, table: pa.Table, rows: int, *, stream: bool) -> None:
    new = pa.ipc.new_stream if stream else pa.ipc.new_file
    with pa.OSFile(str(path), "wb") as sink, new(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=rows)


def write_as(kind: str, folder: Path, texts: list[str], rows: int) -> Path:
    path = folder / {"stream": "t.arrow", "dictionary": "t.parquet"}.get(kind, f"t.{kind}")
    table = pa.table({"id": range(len(texts)), "text": texts, "more": ["x"] * len(texts)})
    match kind:
        case "csv":
            path.write_bytes(delimited(texts, ",", line_end="\r\n"))
        case "tsv":
            path.write_bytes(b"\xef\xbb\xbf" + delimited(texts, "\t"))
        case "parquet":
            pa.parquet.write_table(table, path, row_group_size=rows)
        case "dictionary":
            table = table.set_column(1, "text", table["text"].combine_chunks().dictionary_encode())
            pa.parquet.write_table(table, path, row_group_size=rows, use_dictionary=False)
        case "feather":
            pa.feather.write_feather(table, path, chunksize=rows)
        case _:
            write_arrow(path, table, rows, stream=kind == "stream")
    return path


KINDS = ["csv", "tsv", "parquet", "dictionary", "arrow", "stream", "feather"]


@pytest.mark.parametrize("kind", KINDS)
@given(
    texts=TEXTS,
    rows=st.integers(1, 9),
    chunk_bytes=st.integers(1, 900),
    max_bytes=st.integers(4, 99),
)
@settings(max_examples=25, deadline=None)
def test_every_format_gives_the_documents_of_json_lines(
    folder, kind, texts, rows, chunk_bytes, max_bytes
):
    corpus = CorpusSettings(max_document_bytes=max_bytes)
    jsonl = folder / "t.jsonl"
    jsonl.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    expected = documents_in(read_all(jsonl, corpus))
    path = write_as(kind, folder, texts, rows)
    pieces = read_all(path, corpus, chunk_bytes)
    assert documents_in(pieces) == expected
    assert sum(piece.source_bytes for piece in pieces) == path.stat().st_size


@pytest.mark.parametrize("separator", [",", "\t"])
@pytest.mark.parametrize("suffix", ["", *PACKERS])
def test_fields_in_quotes_go_over_lines_in_packed_files_too(tmp_path, separator, suffix):
    texts = [f'{n}, with\n\t“comma”, "quote"\nand line {n}' for n in range(5_000)]
    data = delimited(texts, separator)
    name = "t.csv" if separator == "," else "t.tsv"
    path = tmp_path / (f"{name}.{suffix}" if suffix else name)
    path.write_bytes(PACKERS[suffix](data) if suffix else data)
    found = documents_in(read_all(path, CorpusSettings(), 3_001))
    assert [document.text for document in found] == [text.replace("\t", "") for text in texts]


def stopped(path: Path, settings: CorpusSettings | None = None) -> str:
    with pytest.raises(BadInput) as error:
        read_all(path, settings or CorpusSettings())
    assert str(path) in error.value.message
    assert error.value.hint
    return error.value.message


def left(path: Path) -> tuple[list[str], int]:
    pieces = read_all(path, CorpusSettings(on_bad_input="skip"), 100)
    return [each.text for each in documents_in(pieces)], sum(each.num_skipped for each in pieces)


@pytest.mark.parametrize(
    ("row", "found"),
    [
        (b"7,two,3,4", "line 5: 4 fields where line 1 names 3"),
        (b"7", "line 5: 1 fields"),
        (b'7,"two"x,3', "line 5: a quoted field goes on"),
        (b"7,caf\xe9,3", "line 5 (byte 35): invalid UTF-8"),
        (b'7,"one\ncaf\xe9",3', "line 6 (byte 40): invalid UTF-8"),
        (b"7,\0,3", "line 5 (byte 32): a NUL byte"),
        (b"7,a\rb,3", "line 5: a carriage return"),
        (b"7," + b"x" * 3_000 + b",3", "line 5: a line of more than"),
    ],
)
def test_a_bad_row_stops_with_its_line_or_is_left_out(tmp_path, monkeypatch, row, found):
    monkeypatch.setattr(tables, "MAX_RECORD_BYTES", 1_000)
    good = b'6,"One,\nmore",x\n'
    path = tmp_path / "t.csv"
    path.write_bytes(b"id,text,more\n\n" + good + row + b"\n" + good)
    assert found in stopped(path)
    assert left(path) == (["One,\nmore"] * 2, 1)


def test_a_bad_name_of_a_column_leaves_the_rows_and_the_other_names(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"caf\xe9,text\n1,one\n2,text\n3,three\n")
    assert "line 1 (byte 3): invalid UTF-8" in stopped(path)
    assert left(path) == (["one", "text", "three"], 1)


def test_without_a_line_that_names_the_columns_no_row_takes_its_place(tmp_path):
    path = tmp_path / "t.csv"
    for first in (b'"te"xt,n', b'"te"xt,\xe9'):
        path.write_bytes(first + b"\ntext,1\nswallowed,2\n")
        pieces = read_all(path, CorpusSettings(on_bad_input="skip"))
        assert documents_in(pieces) == []
        assert "no row is read" in [str(each) for piece in pieces for each in piece.skipped][-1]


def test_a_quote_that_is_never_closed_is_said_where_it_opens(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_bytes(b'text\tn\ngood\t1\n"bad\t2\nswallowed\t3\n')
    assert "line 3: a quote is opened and not closed" in stopped(path)
    assert left(path) == (["good"], 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_column_is_named_with_those_there_are(tmp_path, kind):
    path = write_as(kind, tmp_path, ["a", "b"], 1)
    message = stopped(path, CorpusSettings(text_field="body"))
    assert "no field 'body' among the fields ('id', 'text', 'more')" in message


@pytest.mark.parametrize("kind", ["parquet", "no row group", "arrow", "feather"])
@pytest.mark.parametrize("chunk_bytes", [1 << 20, 100])
def test_a_file_without_rows_is_refused_or_counted_once(tmp_path, kind, chunk_bytes):
    path = tmp_path / {"no row group": "t.parquet"}.get(kind, f"t.{kind}")
    table = pa.table({"text": pa.array([], pa.string())})
    match kind:
        case "parquet":
            pa.parquet.write_table(table, path)
        case "no row group":
            pa.parquet.ParquetWriter(path, table.schema).close()
        case "feather":
            pa.feather.write_feather(table, path)
        case _:
            write_arrow(path, table, 1, stream=False)
    assert "the file holds no rows; expected text" in stopped(path)
    pieces = read_all(path, CorpusSettings(on_bad_input="skip"), chunk_bytes)
    assert documents_in(pieces) == []
    assert sum(piece.num_skipped for piece in pieces) == 1


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_rows_without_text_and_columns_of_something_else_are_faults(tmp_path, kind):
    path = tmp_path / f"t.{kind}"
    table = pa.table({"text": ["a", None, "c"], "n": [1, 2, 3]})
    bad = pa.array([b"x", b"\xff", b"z"]).view(pa.string())
    for name, each in (("null", table), ("utf8", table.set_column(0, "text", bad))):
        if kind == "parquet":
            pa.parquet.write_table(each, path)
        else:
            write_arrow(path, each, 2, stream=False)
        assert {"null": "no text (null)", "utf8": "invalid UTF-8"}[name] in stopped(path)
        assert ", row 2:" in stopped(path)
        assert left(path) == ({"null": ["a", "c"], "utf8": ["x", "z"]}[name], 1)
    assert "the column 'n' holds int64" in stopped(path, CorpusSettings(text_field="n"))


@pytest.mark.parametrize("kind", ["parquet", "dictionary", "arrow", "stream", "feather"])
def test_a_text_too_long_to_be_held_is_refused_and_the_next_ones_are_read(
    tmp_path, monkeypatch, kind
):
    monkeypatch.setattr("bertctl.pipeline.corpus.columnar.MAX_RECORD_BYTES", 300)
    texts = [*(f"{n} short" for n in range(60)), "long " * 61, "x" * 300, "é, the last"]
    path = write_as(kind, tmp_path, texts, 70)
    place = "record batches" if kind == "stream" else "record batch 1"
    place = "row group 1" if path.suffix == ".parquet" else place
    assert f"{place}, row 61: a text of more than" in stopped(path)
    assert left(path) == ([*texts[:60], *texts[61:]], 1)


@pytest.mark.parametrize("kind", ["parquet", "arrow", "stream", "feather"])
def test_a_damaged_columnar_file_is_refused_or_counted_once(tmp_path, kind):
    texts = [f"document {n}" for n in range(500)]
    path = write_as(kind, tmp_path, texts, 50)
    data = path.read_bytes()
    cannot = "can't be read as"
    for damaged, message in (
        (data[: len(data) // 2], cannot),
        (b"nothing of the kind" * 50, cannot),
        (b"", "0 bytes"),
    ):
        path.write_bytes(damaged)
        assert message in stopped(path)
        found, count = left(path)
        assert count == 1
        assert found == texts[: len(found)]


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
@pytest.mark.parametrize("chunk_bytes", [1 << 20, 400])
def test_a_damaged_group_is_named_and_alone_left_out_in_whatever_ranges(
    tmp_path, kind, chunk_bytes
):
    texts = [f"{n} is a number in group {n // 50}." for n in range(200)]
    path, table = tmp_path / f"t.{kind}", pa.table({"text": texts})
    if kind == "parquet":
        pa.parquet.write_table(table, path, row_group_size=50, use_dictionary=False)
        chunk = pa.parquet.ParquetFile(path).metadata.row_group(2).column(0)
        start, size = chunk.data_page_offset, chunk.total_compressed_size
    else:
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        with (
            pa.OSFile(str(path), "wb") as sink,
            pa.ipc.new_file(sink, table.schema, options=options) as writer,
        ):
            starts: list[int] = []
            for batch in table.to_batches(max_chunksize=50):
                starts.append(sink.tell())
                writer.write_batch(batch)
        start, size = starts[2], starts[3] - starts[2]
    data = bytearray(path.read_bytes())
    data[start + size // 2 : start + size] = b"\xff" * (size - size // 2)
    path.write_bytes(data)
    name = "row group 3" if kind == "parquet" else "record batch 3"
    assert f"{name}: can't be read as" in stopped(path)
    pieces = read_all(path, CorpusSettings(on_bad_input="skip"), chunk_bytes)
    assert [each.text for each in documents_in(pieces)] == texts[:100] + texts[150:]
    (described,) = [str(each) for piece in pieces for each in piece.skipped]
    assert name in described
    assert sum(piece.source_bytes for piece in pieces) == path.stat().st_size


def test_a_row_group_is_read_in_batches_by_one_source_only(tmp_path):
    path = tmp_path / "t.parquet"
    texts = [f"{n} " + "word " * 400 for n in range(20_000)]
    pa.parquet.write_table(pa.table({"text": texts}), path, row_group_size=15_000)
    pieces = read_all(path, CorpusSettings(), 1 << 16)
    assert [each.text for each in documents_in(pieces)] == [text.strip() for text in texts]
    assert max(piece.text_bytes for piece in pieces) < (1 << 16) + 3_000
