import bz2
import csv
import gzip
import io
import json
import lzma
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertctl.pipeline.errors import BadInput
from bertctl.pipeline.finetune.reading.delimited import read_grid, read_tab_separated
from bertctl.pipeline.finetune.reading.rows import Table, read_table

NASTY = [
    ("plain", "A"),
    ('with "quotes", commas and\ttabs', "B"),
    ("over\ntwo lines", "A"),
    ("\u2028 is no line end, nor is \x85", "B"),
]


def table_of(path: Path, content: str | bytes) -> Table:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(path)


def quoted(rows: list[tuple[str, ...]], delimiter: str, line_end: str) -> str:
    lines = [delimiter.join('"' + field.replace('"', '""') + '"' for field in row) for row in rows]
    return line_end.join(lines) + line_end


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize(("suffix", "delimiter"), [(".csv", ","), (".tsv", "\t")])
def test_quoted_fields_come_back_with_whatever_is_in_them(
    tmp_path: Path, suffix: str, delimiter: str, line_end: str
) -> None:
    text = quoted([("text", "label"), *NASTY], delimiter, line_end)
    table = table_of(tmp_path / f"a{suffix}", text)
    assert list(zip(table.columns["text"], table.columns["label"], strict=True)) == NASTY
    assert table.place(3).endswith("row 4 (line 6)")


def test_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    for suffix, text in ((".csv", "text,label\na,b\n"), (".jsonl", '{"text": "a", "label": "b"}')):
        table = table_of(tmp_path / f"a{suffix}", b"\xef\xbb\xbf" + text.encode())
        assert list(table.columns) == ["text", "label"]


def test_blank_lines_are_no_rows(tmp_path: Path) -> None:
    table = table_of(tmp_path / "a.csv", "\ntext,label\n\na,b\n\n\nc,d\n\n")
    assert table.columns == {"text": ("a", "c"), "label": ("b", "d")}
    assert table.lines == [4, 7]


def test_json_lines_keep_their_values_and_a_record_may_lack_a_field(tmp_path: Path) -> None:
    records = [{"text": "a", "label": 1}, {"text": "b\nc", "more": [True]}]
    table = table_of(tmp_path / "a.jsonl", "\n\n".join(map(json.dumps, records)))
    assert table.columns == {"text": ["a", "b\nc"], "label": [1, None], "more": [None, [True]]}
    assert table.lines == [1, 3]


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst"])
def test_packed_file_is_read_as_the_plain_one(tmp_path: Path, suffix: str) -> None:
    data = quoted([("text", "label"), *NASTY], ",", "\n").encode()
    packed = {
        ".gz": gzip.compress,
        ".bz2": bz2.compress,
        ".xz": lzma.compress,
        ".zst": lambda each: pa.Codec("zstd").compress(each, asbytes=True),
    }[suffix](data)
    plain = table_of(tmp_path / "a.csv", data)
    table = table_of(tmp_path / f"b.csv{suffix}", packed)
    assert table.columns == plain.columns
    with pytest.raises(BadInput, match=r"cut off|corrupt"):
        table_of(tmp_path / f"c.csv{suffix}", packed[: len(packed) // 2])


def test_fingerprint_is_of_content_and_format_not_of_the_name(tmp_path: Path) -> None:
    first = table_of(tmp_path / "a.csv", "text,label\na,b\n")
    assert table_of(tmp_path / "b.csv", "text,label\na,b\n").fingerprint == first.fingerprint
    assert table_of(tmp_path / "c.csv", "text,label\na,c\n").fingerprint != first.fingerprint
    assert table_of(tmp_path / "d.tsv", "text,label\na,b\n").fingerprint != first.fingerprint


FIELDS = st.text(st.sampled_from(list('ab ",\t\n')), max_size=6)


@given(st.integers(2, 4).flatmap(lambda n: st.lists(st.tuples(*[FIELDS] * n), max_size=5)))
def test_tab_separated_rows_with_all_fields_quoted_come_back(rows: list[tuple[str, ...]]) -> None:
    if not rows:
        return
    names = tuple(f"c{number}" for number in range(len(rows[0])))
    grid = read_tab_separated(quoted([names, *rows], "\t", "\n"))
    assert grid.problem is None
    assert [tuple(row) for row in grid.rows[1:]] == rows


WITHOUT_TABS = st.text(st.sampled_from(list('ab ",\n')), max_size=6)


@given(st.integers(2, 4).flatmap(lambda n: st.lists(st.tuples(*[WITHOUT_TABS] * n), min_size=1)))
def test_tab_separated_rows_quoted_where_needed_come_back(rows: list[tuple[str, ...]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, "excel-tab")
    writer.writerow([f"c{number}" for number in range(len(rows[0]))])
    writer.writerows(rows)
    grid = read_tab_separated(text.getvalue())
    assert grid.problem is None
    assert [tuple(row) for row in grid.rows[1:]] == rows


def test_tab_separated_rows_without_quoting_keep_their_quotes() -> None:
    text = 'text\tlabel\n"Yes\tA\nHe said "no"\tB\nplain\tA\n5" of rain, 6"\tB\n'
    grid = read_tab_separated(text)
    assert grid.problem is None
    assert [row[0] for row in grid.rows[1:]] == ['"Yes', 'He said "no"', "plain", '5" of rain, 6"']


def test_doubled_quotes_in_tab_separated_rows_are_single_ones() -> None:
    text = 'Sentiment\tText\nNegative\tSo bad.\nNegative\t"""Pulp Fiction"" was robbed."\n'
    assert read_tab_separated(text).rows[2][1] == '"Pulp Fiction" was robbed.'


def test_problem_in_tab_separated_rows_is_told_where_it_is() -> None:
    plain = read_tab_separated('text\tlabel\n"Yes\tA\nno\tB\nthree\tfields\there\n')
    assert (plain.problem_line, plain.problem) == (
        4,
        "3 instead of 2 fields, one for each column",
    )
    multi_line = read_tab_separated('text\tlabel\n"over\n\ntwo"\tA\nno\tB\nlabel lost\n')
    assert (multi_line.problem_line, multi_line.problem) == (
        6,
        "1 instead of 2 fields, one for each column",
    )


def test_fields_may_be_longer_than_the_csv_module_likes() -> None:
    grid = read_grid(f"text,label\n{'a' * 200_000},b\n", ",")
    assert grid.problem is None
    assert len(grid.rows[1][0]) == 200_000


BAD = {
    "missing.csv": (None, "can't be read"),
    "empty.csv": (b"", "is empty"),
    "empty.csv.gz": (gzip.compress(b""), "is empty"),
    "blank.csv": (b"\n\n", "only blank lines"),
    "names.csv": (b"text,label\n", "holds no rows"),
    "notes.docx": (b"text", "suffix that is not read"),
    "plain.csv": (gzip.compress(b"text,label\na,b\n"), "holds a gzip archive"),
    "utf16.csv": ("text,label\na,b\n".encode("utf-16"), "is UTF-16"),
    "latin1.csv": (b"text,label\na,b\nd\xe9j\xe0 vu,b\n", r"line 3 \(byte 16\).*0xe9"),
    "binary.tsv": (b"text\tlabel\na\tb\n\0\0\tb\n", "line 3: a NUL byte"),
    "short.csv": (b"text,label\na,b\nc\n", "line 3: 1 instead of 2 fields"),
    "long.csv": (b"text,label\na,b\n\nc, d,e\n", "line 4: 3 instead of 2 fields"),
    "open.csv": (b'text,label\na,b\n"c,d\ne,f\n', "line 3: a quote is opened here and never"),
    "after.csv": (b'text,label\n"a" b,c\n', "line 2: a quoted field goes on after its closing"),
    "twice.csv": (b"text,label,text\na,b,c\n", "two columns are named 'text'"),
    "bad.jsonl": (b'{"text": "a"}\n{"text": a}\n', "line 2: not JSON"),
    "list.json": (b'[{"text": "a"},\n{"text": "b"}]\n', "line 1: not JSON"),
    "number.jsonl": (b'{"text": "a"}\n\n7\n', "line 3: JSON, but no object"),
}


@pytest.mark.parametrize("name", BAD)
def test_unreadable_file_is_refused_with_its_place(tmp_path: Path, name: str) -> None:
    content, expected = BAD[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=expected) as refused:
        read_table(tmp_path / name)
    assert name in refused.value.message
    assert refused.value.exit_code == 2


def test_directory_in_place_of_a_file_is_named_as_one(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is a directory; expected one file"):
        read_table(tmp_path)
