"""Files, directories and globs become one list, whatever the order they are named in."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bertctl.pipeline.corpus.formats import Format, format_of
from bertctl.pipeline.corpus.listing import list_inputs
from bertctl.pipeline.errors import BadInput


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    for name in [
        "b.txt",
        "a.jsonl.gz",
        "deep/er/c.TXT",
        "deep/d.ndjson",
        ".hidden.txt",
        ".git/e.txt",
        "README.md",
        "archive.gz",
        "f.parquet.gz",
    ]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


READ = ["a.jsonl.gz", "b.txt", "deep/d.ndjson", "deep/er/c.TXT"]


def names(root: Path, *inputs: str | Path) -> list[str]:
    return [
        str(Path(file.path).relative_to(root))
        for file in list_inputs([str(each) for each in inputs])
    ]


def test_a_directory_gives_its_readable_files_in_order(corpus):
    assert names(corpus, corpus) == READ
    file = list_inputs([str(corpus)])[1]
    found = (corpus / "b.txt").stat()
    assert (file.size, file.mtime_ns) == (found.st_size, found.st_mtime_ns)


def test_the_order_of_inputs_and_naming_a_file_twice_make_no_difference(corpus, monkeypatch):
    inputs = [corpus / "b.txt", corpus / "deep", corpus / "*.gz"]
    assert names(corpus, *inputs) == READ
    assert names(corpus, *reversed(inputs)) == READ
    (corpus / "link.txt").symlink_to(corpus / "b.txt")
    (corpus / "deep" / "loop").symlink_to(corpus, target_is_directory=True)
    monkeypatch.chdir(corpus)
    assert names(corpus, ".", "b.txt", "./b.txt", "deep/../link.txt") == READ


def test_globs_reach_into_directories_and_leave_other_files_out(corpus, monkeypatch):
    monkeypatch.chdir(corpus)
    assert names(corpus, "**/*") == READ
    assert names(corpus, "de*") == READ[2:]
    assert names(corpus, "[ab].*") == READ[:2]
    Path("odd[1].txt").write_text("a name that is there is not a glob")
    assert names(corpus, "odd[1].txt") == ["odd[1].txt"]


@pytest.mark.parametrize(
    ("named", "found"),
    [
        ("nowhere.txt", "doesn't exist"),
        ("*.csv.zip", "holds no file"),
        ("nothing", "holds no file"),
        ("README.md", ".txt, .jsonl"),
        ("empty.txt", "0 bytes"),
        ("gone.txt", "No such file"),
        ("pipe.txt", "regular file"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_name_and_a_remedy(corpus, named, found):
    (corpus / "nothing").mkdir()
    (corpus / "nothing" / "notes.md").write_text("x")
    (corpus / "empty.txt").touch()
    (corpus / "gone.txt").symlink_to(corpus / "nowhere.txt")
    os.mkfifo(corpus / "pipe.txt")
    with pytest.raises(BadInput, match=named.replace("*", r"\*")) as error:
        list_inputs([str(corpus / named)])
    assert found in error.value.message
    assert error.value.hint


def test_an_empty_file_is_listed_where_bad_input_is_skipped(corpus):
    (corpus / "empty.txt").touch()
    with pytest.raises(BadInput, match=r"empty\.txt"):
        list_inputs([str(corpus)])
    listing = list_inputs([str(corpus)], on_bad_input="skip")
    assert [file.size for file in listing].count(0) == 1


def test_no_input_is_refused():
    with pytest.raises(BadInput, match="No input"):
        list_inputs([])


def test_suffixes_say_what_a_file_holds():
    assert format_of("a.b.txt") == Format("text", None)
    assert format_of("/x.gz/A.NDJSON.ZST") == Format("jsonl", "zst")
    for other in ("a", ".txt", "a.gz", "a.txt.gz.gz", "a.tar.gz", "a.txt.lz4", "a.md"):
        assert format_of(other) is None, other


def test_listing_and_settings_load_nothing_heavy():
    program = (
        "import sys, bertctl.pipeline.corpus.listing, bertctl.pipeline.corpus.settings;"
        "print(sorted({'numpy', 'pyarrow', 'torch', 'tokenizers', 'sentencex'} & set(sys.modules)))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == "[]"
