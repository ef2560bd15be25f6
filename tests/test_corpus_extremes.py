"""Corpora and machines at their worst: nothing is lost, nothing doubled, memory stays bounded."""

from __future__ import annotations

import gzip
import json
import resource
import subprocess
import sys
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from bertctl.pipeline.corpus.settings import CorpusSettings
from bertctl.pipeline.shard import bucketing
from bertctl.pipeline.shard.request import ShardRequest
from bertctl.pipeline.shard.settings import InstanceSettings, ShardHow
from bertctl.pipeline.shard.stage import shard
from bertctl.pipeline.stage.report import Silent

from .corpora import documents, write_corpus, write_vocabulary
from .killing import bytes_of

WHOLE = InstanceSettings(max_seq_length=8_192, short_seq_prob=0, dupe_factor=1)
"""Instances longer than any part of a document: no sentence is cut to fit."""


def run(inputs: Path, output: Path, **changes: Any) -> dict[str, Any]:
    request = ShardRequest(
        inputs=(str(inputs),),
        vocab=write_vocabulary(output.with_suffix(".vocab.txt")),
        corpus=changes.pop("corpus", CorpusSettings()),
        instances=replace(WHOLE, **changes.pop("instances", {})),
        how=ShardHow(**{"workers": 2, **changes}),
    )
    return dict(shard(request, output, reporter=Silent()).manifest.statistics)


def words_in(output: Path, vocab: Sequence[str]) -> Counter[str]:
    """Count the words of the text that stands in the shards, each sentence as often as it does."""
    words: Counter[str] = Counter()
    for path in sorted(output.glob("*.arrow")):
        with pa.memory_map(str(path)) as source:
            rows = pa.ipc.open_file(source).read_all().to_pylist()
        for row in rows:
            ids = list(row["input_ids"])
            hidden = zip(row["masked_lm_positions"], row["masked_lm_ids"], strict=True)
            for position, original in hidden:
                ids[position] = original
            a = row["segment_a_length"]
            kept = ids[1 : a - 1] + (ids[a:-1] if row["next_sentence_label"] == 0 else [])
            words.update(" ".join(vocab[i] for i in kept).replace(" ##", "").split())
    return words


def words_of(text: str) -> Counter[str]:
    return Counter(text.lower().replace(".", " .").split())


@pytest.mark.parametrize("layout", ["lines", "one line"])
def test_a_document_that_is_nine_tenths_of_the_corpus_and_many_buckets_long_is_there_once(
    tmp_path, monkeypatch, layout
):
    monkeypatch.setattr(bucketing, "BUCKET_TEXT_BYTES", 20_000)
    giant = "\n".join(documents(700, seed=5))
    if layout == "one line":
        giant = giant.replace("\n", " ")
    others = documents(130, seed=6)
    text = "\n\n".join([*others[:70], giant, *others[70:]])
    assert len(giant) > 0.8 * len(text)
    (tmp_path / "all.txt").write_text(text)
    parts = CorpusSettings(max_document_bytes=8_192)
    figures = run(tmp_path / "all.txt", tmp_path / "out", corpus=parts, chunk_megabytes=0.05)
    vocab = (tmp_path / "out" / "vocab.txt").read_text().split("\n")
    assert words_in(tmp_path / "out", vocab) == words_of(text)
    assert len(figures["rows"]) > 2
    biggest = max(figures["rows"].values())
    assert biggest < 0.7 * sum(figures["rows"].values())


def test_a_few_documents_longer_than_many_buckets_are_dealt_by_their_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(bucketing, "BUCKET_TEXT_BYTES", 20_000)
    texts = ["\n".join(documents(count, seed=count)) for count in (400, 3, 2)]
    text = "\n\n".join(texts)
    (tmp_path / "all.txt").write_text(text)
    parts = CorpusSettings(max_document_bytes=8_192)
    figures = run(
        tmp_path / "all.txt",
        tmp_path / "out",
        corpus=parts,
        instances={"validation_fraction": 0.0},
    )
    assert len(figures["rows"]) >= len(text) / 25_000
    vocab = (tmp_path / "out" / "vocab.txt").read_text().split("\n")
    assert words_in(tmp_path / "out", vocab) == words_of(text)


def test_a_file_that_is_mended_after_bad_input_is_there_once(tmp_path):
    corpus = write_corpus(tmp_path / "corpus", files=20, per_file=5)
    bad = corpus / "10.txt"
    good = bad.read_bytes()
    bad.write_bytes(good[:300] + b"\xff" + good[300:])
    command = [sys.executable, "-m", "bertctl", "shard", str(corpus), "-o", str(tmp_path / "out")]
    command += ["--vocab", str(write_vocabulary(tmp_path / "out.vocab.txt")), "--dupe-factor", "1"]
    command += ["--max-seq-length", "8192", "--short-seq-prob", "0", "--chunk-megabytes", "0.03"]
    stopped = subprocess.run(command, capture_output=True, text=True)
    assert stopped.returncode == 2
    assert f"{bad}, line" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    bad.write_bytes(good)
    assert subprocess.run(command, capture_output=True).returncode == 0
    text = " ".join(path.read_text() for path in corpus.glob("*.txt"))
    vocab = (tmp_path / "out" / "vocab.txt").read_text().split("\n")
    assert words_in(tmp_path / "out", vocab) == words_of(text)


@contextmanager
def small_disk(place: Path, size: str) -> Generator[None]:
    """Mount a file system of a few MB, where that is allowed."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(place)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("stage", ["vocab", "shard"])
def test_a_full_disk_ends_with_1_and_its_name_and_more_room_lets_the_same_command_go_on(
    tmp_path, stage, workers
):
    corpus = write_corpus(tmp_path / "corpus", files=16, per_file=60)
    disk = tmp_path / "disk"
    flags = ["--workers", str(workers), "--chunk-megabytes", "0.05", "-q"]
    if stage == "shard":
        flags += ["--vocab", str(write_vocabulary(tmp_path / "vocab.txt"))]
        flags += ["--max-seq-length", "64", "--num-shards", "4"]
    command = [sys.executable, "-m", "bertctl", stage, str(corpus), *flags, "-o"]
    sizes = {"vocab": ["60k", "200k"], "shard": ["60k", "500k", "2m"]}[stage]
    with small_disk(disk, sizes[0]):
        for size in sizes:
            subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)
            full = subprocess.run([*command, str(disk / "out")], capture_output=True, text=True)
            assert full.returncode == 1, full.stderr
            assert f"Error: {disk}/out" in full.stderr
            assert "No space left on device" in full.stderr
            assert "run the same command again" in full.stderr
            assert "Traceback" not in full.stderr
            assert not (disk / "out" / "manifest.json").exists()
        kept = len(list((disk / "out" / ".bertctl" / "units").glob("*.json")))
        assert kept > 4
        subprocess.run(["mount", "-o", "remount,size=40m", str(disk)], check=True)
        subprocess.run([*command, str(disk / "out")], check=True, capture_output=True)
        subprocess.run([*command, str(tmp_path / "whole")], check=True, capture_output=True)
        assert bytes_of(disk / "out") == bytes_of(tmp_path / "whole")


@pytest.mark.parametrize("most_bytes", [900, 90_000])
def test_files_that_may_not_grow_end_the_command_as_a_full_disk_does(tmp_path, most_bytes):
    """The same where nobody may mount anything."""
    corpus = write_corpus(tmp_path / "corpus", files=16, per_file=60)
    command = [sys.executable, "-m", "bertctl", "shard", str(corpus), "--num-shards", "2", "-q"]
    command += ["--vocab", str(write_vocabulary(tmp_path / "vocab.txt")), "--workers", "2", "-o"]

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

    output = tmp_path / "out"
    full = subprocess.run([*command, str(output)], capture_output=True, text=True, preexec_fn=limit)
    assert full.returncode == 1, full.stderr
    assert f"Error: {output}" in full.stderr
    assert "File too large" in full.stderr
    assert not (output / "manifest.json").exists()
    for each in (output, tmp_path / "whole"):
        subprocess.run([*command, str(each)], check=True, capture_output=True)
    assert bytes_of(output) == bytes_of(tmp_path / "whole")


MEASURED = """
import resource, subprocess, sys
done = subprocess.run([sys.executable, "-m", "bertctl", *sys.argv[1:]])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
sys.exit(done.returncode)
"""


def peak_memory(*arguments: str) -> tuple[int, int, str]:
    """Run a command; return its exit code, its largest process's peak in bytes, and its stderr."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *arguments], capture_output=True, text=True
    )
    return done.returncode, int(done.stdout.strip().split("\n")[-1]), done.stderr


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ["t.txt", "t.txt.gz", "t.jsonl", "t.csv"])
@pytest.mark.parametrize("stage", ["vocab", "shard"])
def test_a_line_of_a_gigabyte_takes_no_more_memory_than_any_text(tmp_path, name, stage):
    sentences = " ".join(documents(2_000, seed=9)).replace("\n", " ").encode() + b" "
    path = tmp_path / name
    first = b"One short document. It has two sentences.\n\nAnother one. It has two, too.\n\n"
    if name == "t.jsonl":
        first = b'{"text": "One short document."}\n{"text": '
    elif name == "t.csv":
        first = b'text\n"One short document."\n"Another one."\n'
    with gzip.open(path, "wb", 1) if name.endswith("gz") else path.open("wb") as file:
        file.write(first)
        for _ in range((1 << 30) // len(sentences) + 1):
            file.write(sentences)
    flags = ["--workers", "1", "-q", "-o", str(tmp_path / "out")]
    if stage == "shard":
        flags += ["--vocab", str(write_vocabulary(tmp_path / "vocab.txt")), "--dupe-factor", "1"]
    code, peak, said = peak_memory(stage, str(path), *flags)
    if "txt" in name:
        assert code == 0, said
        statistics = json.loads((tmp_path / "out" / "manifest.json").read_text())["statistics"]
        assert statistics["text_bytes"] > (1 << 30) - (1 << 20)
    else:  # a record is parsed in one go, so that there is a limit to it
        assert code == 2, said
        assert "more than 32 MiB" in said
    assert peak < 600e6
