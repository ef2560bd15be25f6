"""Every fault in every format and packing: said with its place, or left out; nothing else lost."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import signal
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from bertctl.pipeline.corpus.documents import Document
from bertctl.pipeline.corpus.grouping import group_sources
from bertctl.pipeline.corpus.handles import LocalFile
from bertctl.pipeline.corpus.listing import list_inputs
from bertctl.pipeline.corpus.piecewise import pass_over
from bertctl.pipeline.corpus.settings import CorpusSettings
from bertctl.pipeline.corpus.sources import plan_sources, read_pieces
from bertctl.pipeline.errors import BadInput
from bertctl.pipeline.stage.engine import Site
from bertctl.pipeline.stage.labour import Labour
from bertctl.pipeline.stage.recipe import Recipe
from bertctl.pipeline.stage.report import Silent
from bertctl.pipeline.stage.units import UnitBuilder, UnitStore

from .corpora import documents, write_corpus
from .corpus_files import PACKERS, documents_in, read_all

STOP, SKIP = CorpusSettings(), CorpusSettings(on_bad_input="skip")
KINDS = ["txt", "jsonl", "csv", "tsv"]
PACKINGS = ["", *PACKERS]
GOOD = [f"The good line number {n}." for n in range(40)]


def stream(kind: str, rows: Sequence[bytes]) -> bytes:
    """Write texts, of any bytes, as the documents of a file of this kind."""
    match kind:
        case "txt":
            return b"\n\n".join(rows) + b"\n"
        case "jsonl":
            return b"".join(b'{"n": 1, "text": "' + row + b'"}\n' for row in rows)
        case _:
            separator = b"\t" if kind == "tsv" else b","
            return b"".join(b"1" + separator + row + b"\n" for row in (b"text", *rows))


def write(folder: Path, kind: str, packing: str, data: bytes) -> Path:
    path = folder / (f"t.{kind}.{packing}" if packing else f"t.{kind}")
    path.write_bytes(PACKERS[packing](data) if packing else data)
    return path


def refusal(path: Path, corpus: CorpusSettings = STOP) -> BadInput:
    with pytest.raises(BadInput) as error:
        read_all(path, corpus)
    assert str(path) in error.value.message
    assert error.value.hint
    return error.value


def left(path: Path) -> tuple[list[str], int, list[str]]:
    """Texts that stand, the number of faults and their descriptions."""
    pieces = read_all(path, SKIP)
    return (
        [document.text for document in documents_in(pieces)],
        sum(piece.num_skipped for piece in pieces),
        [str(each) for piece in pieces for each in piece.skipped],
    )


BAD_LINES = {
    "as in Latin-1 or Windows-1252": ("Le café est fermé.".encode("latin-1"), "WINDOWS-1252"),
    "GBK": ("这是中文文本，很长。".encode("gb18030"), "GB18030"),
    "half of a pair that only UTF-16 has": (b"half \xed\xa0\xbd a pair", "Write the file again"),
    "among others that are valid": ("中文的文本".encode()[:-2] + b"x", "Mend the line"),
    "a NUL byte": (b"one\0two", "Leave this file out"),
    "as in UTF-16": ("Hello there".encode("utf-16-le"), "UTF-16LE"),
}


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("found", BAD_LINES)
def test_a_line_that_is_no_utf8_is_named_with_its_encoding_and_alone_left_out(
    tmp_path, found, kind, packing
):
    bad, remedy = BAD_LINES[found]
    rows = [row.encode() for row in GOOD]
    head = rows[:23]
    before = stream(kind, head).count(b"\n") + (kind == "txt")
    path = write(tmp_path, kind, packing, stream(kind, [*head, bad, *rows[23:]]))
    error = refusal(path)
    assert found in error.message
    assert f"line {before + 1} " in error.message
    assert ("unpacked byte" if packing else "(byte") in error.message
    assert remedy in error.hint
    texts, count, (described,) = left(path)
    assert (texts, count) == (GOOD, 1)
    assert found in described


def tar(data: bytes) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        member = tarfile.TarInfo("inner.txt")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return sink.getvalue()


def zipped(data: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("inner.txt", data)
    return sink.getvalue()


def parquet(_: bytes) -> bytes:
    sink = io.BytesIO()
    pa.parquet.write_table(pa.table({"text": ["a"]}), sink)
    return sink.getvalue()


WRONG_WHOLES: dict[str, Callable[[bytes], bytes]] = {
    "holds a gzip archive": gzip.compress,
    "holds a xz archive": lzma.compress,
    "holds a bzip2 archive": bz2.compress,
    "holds a Zstandard archive": PACKERS["zst"],
    "holds a zip archive": zipped,
    "holds a tar archive": tar,
    "holds Parquet": parquet,
    "holds a PDF document": lambda _: b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    "holds a PNG image": lambda _: b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "is UTF-16 or UTF-32": lambda data: data.decode().encode("utf-16"),
    "is UTF-16 or UTF-32 ": lambda data: data.decode().encode("utf-32"),
}


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("found", WRONG_WHOLES)
def test_a_file_that_holds_something_else_is_named_for_what_it_is(tmp_path, found, kind, packing):
    data = stream(kind, [row.encode() for row in GOOD])
    path = write(tmp_path, kind, packing, WRONG_WHOLES[found](data))
    assert f"the {'archive' if packing else 'file'} {found}" in refusal(path).message
    assert left(path)[:2] == ([], 1)


@pytest.mark.parametrize("packing", PACKERS)
@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_that_is_cut_off_anywhere_gives_its_whole_lines_and_one_fault(
    tmp_path, kind, packing
):
    rows = [f"{n} {os.urandom(30).hex()}" for n in range(3_000)]
    whole = write(tmp_path, kind, packing, stream(kind, [row.encode() for row in rows]))
    data = whole.read_bytes()
    for end in (1, 9, len(data) // 3, len(data) - 2):
        path = tmp_path / f"{end}-{whole.name}"
        path.write_bytes(data[:end])
        message = refusal(path).message
        assert "archive is" in message
        assert f"of {end:,}" in message
        texts, count, _ = left(path)
        assert texts == rows[: len(texts)]
        assert count == 1


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("kind", [*KINDS, "parquet", "arrow", "feather"])
def test_a_file_of_no_bytes_is_refused_before_work_or_counted(tmp_path, kind, packing):
    if packing and kind not in KINDS:
        pytest.skip("not packed as a whole")
    path = tmp_path / (f"t.{kind}.{packing}" if packing else f"t.{kind}")
    path.touch()
    assert "is empty (0 bytes)" in refusal(path).message
    texts, count, (described,) = left(path)
    assert (texts, count) == ([], 1)
    assert "0 bytes" in described
    path.unlink()
    with pytest.raises(BadInput, match=rf"t\.{kind}.* doesn't exist"):
        list_inputs([str(path)])


@pytest.mark.parametrize("packing", PACKERS)
@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_of_no_bytes_is_a_fault(tmp_path, kind, packing):
    path = write(tmp_path, kind, packing, b"")
    assert "the archive holds nothing" in refusal(path).message
    assert left(path)[:2] == ([], 1)


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("kind", ["jsonl", "csv", "tsv"])
def test_a_record_without_the_field_is_a_fault_in_packed_files_too(tmp_path, kind, packing):
    if kind == "jsonl":
        lines = [json.dumps({"text": row}) for row in GOOD]
        data = "\n".join([*lines[:7], '{"body": "x"}', "no JSON", *lines[7:]])
        path = write(tmp_path, kind, packing, data.encode())
        assert "line 8: no field 'text'" in refusal(path).message
        assert left(path)[:2] == (GOOD, 2)
    else:
        sink = io.StringIO()
        separator = "\t" if kind == "tsv" else ","
        csv.writer(sink, delimiter=separator).writerows([["id", "body"], ["1", "x"], ["2", "y"]])
        path = write(tmp_path, kind, packing, sink.getvalue().encode())
        assert "line 1: no field 'text' among the fields ('id', 'body')" in refusal(path).message
        assert left(path)[:2] == ([], 1)


@pytest.mark.parametrize("name", ["all.tar.gz", "all.tgz", "all.zip", "all.tar", "all.txt.tar.xz"])
def test_a_packed_directory_is_refused_with_the_advice_to_unpack_it(tmp_path, name):
    (tmp_path / name).write_bytes(gzip.compress(tar(b"text")))
    with pytest.raises(BadInput, match="suffix that is not read") as error:
        list_inputs([str(tmp_path / name)])
    assert "Unpack it first" in error.value.hint


@pytest.mark.parametrize("corpus", [STOP, SKIP])
@pytest.mark.parametrize("name", ["t.jsonl", "t.csv", "t.parquet", "t.arrow", "t.tsv.zst"])
def test_a_file_of_any_kind_that_changes_while_it_is_read_is_refused(tmp_path, corpus, name):
    texts = [f"{n} one. And two." for n in range(4_000)]
    kind, _, packing = name.removeprefix("t.").partition(".")
    path, table = tmp_path / name, pa.table({"text": texts})
    if kind == "parquet":
        pa.parquet.write_table(table, path, row_group_size=70)
    elif kind == "arrow":
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=70)
    else:
        path = write(tmp_path, kind, packing, stream(kind, [each.encode() for each in texts]))
    (source,) = plan_sources(list_inputs([str(path)]), corpus)
    pieces = read_pieces(source, corpus, 5_000)
    next(pieces)
    with path.open("ab") as file:
        file.write(b"one more line\n")
    with pytest.raises(BadInput, match="changed while it was read"):
        list(pieces)


def test_a_disk_that_can_not_be_read_names_the_file(tmp_path, monkeypatch):
    path = write(tmp_path, "txt", "", b"Some text.\n")

    def fail(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(LocalFile, "read", fail)
    with pytest.raises(OSError, match="Input/output") as error:
        read_all(path, SKIP)
    assert error.value.filename == str(path)


@dataclass(frozen=True)
class KilledOnce:
    """A maker of pieces whose first process to come to the fifth piece is killed there."""

    folder: Path

    def __call__(
        self, documents: Sequence[Document], builder: UnitBuilder, name: str
    ) -> dict[str, Any]:
        done = len(list((self.folder / ".bertctl" / "kept").glob("*")))
        flag = self.folder / "killed"
        if done >= 4 and not flag.exists():
            flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        text = "\0".join(each.text for each in documents)
        builder.path(f".bertctl/kept/{name}").write_text(text)
        return {}


def test_a_worker_that_is_killed_loses_no_document_and_doubles_none(tmp_path):
    corpus = write_corpus(tmp_path / "corpus", files=30, per_file=7)
    output = tmp_path / "out"
    output.mkdir()
    files = list_inputs([str(corpus)])
    assert len(group_sources(plan_sources(files, STOP, 12_000), 12_000)) >= 10
    site = Site(output, Recipe("toy", 1, {}, files), UnitStore(output), Silent(), Labour(2))
    done = pass_over(
        site,
        STOP,
        KilledOnce(output),
        phase="keep",
        made_from="this",
        chunk_bytes=12_000,
    )
    assert (output / "killed").exists()
    kept = [path for unit in done.pieces for path in unit.files]
    assert len(set(kept)) == len(kept)
    texts = [text for path in kept for text in (output / path).read_text().split("\0")]
    expected = [document.text for file in files for document in documents_of(file.path)]
    assert Counter(texts) == Counter(expected)
    assert done.total("num_documents") == 30 * 7


def documents_of(path: str) -> list[Document]:
    return documents_in(read_all(path, STOP))


def test_every_large_file_whose_format_allows_it_is_split_among_workers(tmp_path):
    texts = documents(160, seed=2)
    table = pa.table({"text": texts})
    paths = [
        write(tmp_path, kind, packing, stream(kind, [t.encode() for t in flat(texts)]))
        for kind in KINDS
        for packing in ("", "gz")
    ]
    paths += [tmp_path / name for name in ("t.parquet", "t.arrow", "stream.arrow")]
    pa.parquet.write_table(table, paths[-3], row_group_size=9, compression="none")
    for path, new in ((paths[-2], pa.ipc.new_file), (paths[-1], pa.ipc.new_stream)):
        with pa.OSFile(str(path), "wb") as sink, new(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=9)
    readers = {}
    for path in paths:
        sources = plan_sources(list_inputs([str(path)]), STOP, 10_000)
        read = [
            sum(len(piece.documents) for piece in read_pieces(source, STOP, 10_000))
            for source in sources
        ]
        assert sum(read) == 160
        readers[path.name] = sum(count > 0 for count in read)
    split = {name for name, count in readers.items() if count > 3}
    assert split == {"t.txt", "t.jsonl", "t.parquet", "t.arrow"}
    assert {readers[name] for name in readers.keys() - split} == {1}


def flat(texts: Sequence[str]) -> Generator[str]:
    """Yield the texts on one line each, so that every kind can hold them as they are."""
    yield from (text.replace("\n", " ") for text in texts)
