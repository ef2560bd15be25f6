import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertctl.pipeline.errors import BadInput
from bertctl.pipeline.finetune.reading.delimited import read_tab_separated
from bertctl.pipeline.finetune.reading.rows import read_table
from bertctl.pipeline.predict.reading import read_source
from bertctl.pipeline.predict.request import Source
from bertctl.pipeline.predict.settings import PredictHow
from bertctl.pipeline.predict.windows import windows


def read(source: Source, *, tagged: bool = False, **how: Any) -> list[dict[str, Any]]:
    """Return the rows of a source as mappings."""
    reading = read_source(source, PredictHow(**how), tagged=tagged)
    return [dict(record.values) for record in reading.records]


def place(source: Source, row: int, **how: Any) -> str:
    """Return where a row stands, counted from 0."""
    (table,) = windows(read_source(source, PredictHow(**how)))
    return table.place(row)


LINES = ["first", "second, with [a] comma", "", '"quoted" last']


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_lines_of_text_are_rows_blank_ones_too(tmp_path: Path, end: str, mark: str) -> None:
    file = tmp_path / "x.txt.gz"
    file.write_bytes(gzip.compress((mark + end.join(LINES)).encode()))
    assert read(file) == [{"text": line} for line in LINES]
    assert place(file, 2) == f"{file}, row 3 (line 3)"


def test_every_format_gives_the_same_rows(tmp_path: Path) -> None:
    texts = ["plain", 'a "quoted" one', '"opened and never closed', "with, commas", "日本語 line"]
    pairs = ["b", "c", "d", "e", "f"]
    records = [{"id": 1, "text": a, "other": b} for a, b in zip(texts, pairs, strict=True)]
    table = pa.Table.from_pylist(records)
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=3)
    pyarrow.feather.write_feather(table, tmp_path / "x.arrow", compression="uncompressed")
    lines = [json.dumps(each, ensure_ascii=False) for each in records]
    (tmp_path / "x.jsonl").write_text("\n\n".join(lines))
    quoted = ['1,"' + a.replace('"', '""') + f'",{b}' for a, b in zip(texts, pairs, strict=True)]
    (tmp_path / "x.csv").write_text("\n".join(["id,text,other", *quoted]))
    tabbed = [f"1\t{a}\t{b}" for a, b in zip(texts, pairs, strict=True)]
    (tmp_path / "x.tsv").write_text("\n".join(["id\ttext\tother", *tabbed]))
    for kind in ("parquet", "arrow", "jsonl", "csv", "tsv"):
        found = [(row["text"], row["other"]) for row in read(tmp_path / f"x.{kind}")]
        assert found == list(zip(texts, pairs, strict=True)), kind


def test_quoted_field_of_a_csv_file_may_hold_lines(tmp_path: Path) -> None:
    stream = io.BytesIO(b'text,label\n"one\ntwo",x\nthree,y\n')
    rows = read(stream, input_format="csv")
    assert [row["text"] for row in rows] == ["one\ntwo", "three"]
    stream.seek(0)
    assert place(stream, 1, input_format="csv") == "standard input, row 2 (line 4)"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.csv", b"text,b\n1,2\n3\n", "line 3: 1 instead of 2 fields"),
        ("x.csv", b'text,b\n"1,2\n', "line 2: a quote is opened here and never closed"),
        ("x.jsonl", b'{"text": "a"}\n{"text"\n', "line 2: not JSON"),
        ("x.jsonl", b'{"text": "a"}\n[1]\n', "line 2: JSON, but no object"),
        ("x.jsonl", b'{"text": "a", "text": "b"}\n', "the key 'text' stands twice"),
        ("x.json", b'{"data": [\n{"paragraphs": 3}]}', "has no list 'paragraphs'"),
        ("x.csv", b"text,text\na,b\n", "line 1: two columns are named 'text'"),
        ("x.csv", b"text,b\na\rb,2\n", "a carriage return within a field"),
        ("x.txt", b"a\0b\n", "line 1: a NUL byte"),
        ("x.txt", b"\xff\xfea\0", "is UTF-16"),
        ("x.txt", gzip.compress(b"a", mtime=0), "holds a gzip archive"),
        ("x.txt", b"fine\n\xff\n", "line 2: invalid UTF-8 .0xff"),
        ("x.txt.gz", b"\x1f\x8b12345678901234567890", "the archive is"),
        ("x.parquet", b"PAR1", "can't be read"),
        ("x.doc", b"", "has a suffix that is not read"),
    ],
)
def test_bad_input_is_named_with_its_place(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=said):
        read(tmp_path / name)


def test_files_are_read_as_fine_tuning_reads_them(tmp_path: Path) -> None:
    squad = {
        "data": [
            {
                "title": "t",
                "paragraphs": [
                    {"context": "a b", "qas": [{"id": "1", "question": "c"}]},
                    {"context": "d", "qas": [{"id": "2", "question": "e"}] * 2},
                ],
            }
        ]
    }
    (tmp_path / "long.json").write_text(json.dumps(squad, indent=1))
    (tmp_path / "short.json").write_text(json.dumps(squad))
    (tmp_path / "short.jsonl").write_text(json.dumps(squad))
    (tmp_path / "x.json").write_text('{"text": "a", "data": 1}\n\n{"text": "b"}\n')
    (tmp_path / "x.csv").write_text('a, b\r\n"x, y",z\r\n\r\n"1\n2",3\r\n')
    for name in ("long.json", "short.json", "short.jsonl", "x.json", "x.csv"):
        table = read_table(tmp_path / name)
        rows = zip(*table.columns.values(), strict=True)
        expected = [dict(zip(table.columns, row, strict=True)) for row in rows]
        assert [
            {**dict.fromkeys(table.columns), **row} for row in read(tmp_path / name)
        ] == expected


TAGGED = "-DOCSTART- O\n\n# a comment\n1 Ann B-PER\n2 sat O\n\n\n# O O\n1 Bo B-PER\n"


@pytest.mark.parametrize("separator", [" ", "\t"])
def test_tagged_files_are_read_as_fine_tuning_reads_them(tmp_path: Path, separator: str) -> None:
    file = tmp_path / "x.txt"
    file.write_text(TAGGED.replace(" ", separator).replace("#\ta\tc", "# a c"))
    table = read_table(file, kinds={".txt": "conll"})
    rows = zip(*table.columns.values(), strict=True)
    assert read(file, tagged=True) == [dict(zip(table.columns, row, strict=True)) for row in rows]
    assert read(file, input_format="txt")[0] == {"text": f"-DOCSTART-{separator}O"}


def test_sentence_of_another_shape_is_named_with_its_place() -> None:
    stream = io.BytesIO(b"a O\n\nb\n")
    with pytest.raises(BadInput, match="standard input, line 3: 1 instead of 2 fields"):
        read(stream, input_format="conll")


def test_tokens_need_no_tags() -> None:
    stream = io.BytesIO(b"Ann\nsat\n\nBo\n")
    assert read(stream, tagged=True, input_format="conll") == [{"1": ["Ann", "sat"]}, {"1": ["Bo"]}]


@given(st.text(alphabet='ab"\t\n\r', max_size=24))
def test_quotes_in_tsv_mean_what_they_mean_to_fine_tuning(content: str) -> None:
    text = "x\ty\n" + content.replace("\r", "")
    grid = read_tab_separated(text)
    expected = [dict(zip(grid.rows[0], row, strict=True)) for row in grid.rows[1:]]
    stream = io.BytesIO(text.encode())
    if grid.problem is None:
        assert read(stream, input_format="tsv") == expected
    else:
        with pytest.raises(BadInput, match=f"line {grid.problem_line}: "):
            read(stream, input_format="tsv")
