"""A corpus in S3 is read as one on the disk is: the same files, documents, shards and faults."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from bertctl.pipeline.corpus import remote_files
from bertctl.pipeline.corpus.listing import list_inputs
from bertctl.pipeline.corpus.settings import CorpusSettings
from bertctl.pipeline.corpus.sources import plan_sources, read_pieces
from bertctl.pipeline.corpus.uris import is_uri, parse_uri
from bertctl.pipeline.errors import BadInput, WorkFailed
from bertctl.pipeline.shard.request import ShardRequest
from bertctl.pipeline.shard.settings import InstanceSettings, ShardHow
from bertctl.pipeline.shard.stage import shard
from bertctl.pipeline.stage.engine import Completion
from bertctl.pipeline.stage.recipe import Recipe
from bertctl.pipeline.stage.report import Silent

from .corpora import documents, write_corpus, write_vocabulary
from .corpus_files import PACKERS, documents_in, read_all
from .killing import bytes_of, committed_units, kill_when
from .s3_server import CREDENTIALS, S3Server, s3_server


@pytest.fixture(scope="module", autouse=True)
def credentials() -> Generator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def server() -> Generator[S3Server]:
    with s3_server() as server:
        yield server


def run(inputs: list[str], vocab: Path, output: Path, **how: Any) -> Completion:
    request = ShardRequest(
        inputs=tuple(inputs),
        vocab=vocab,
        instances=InstanceSettings(max_seq_length=48, dupe_factor=2, num_shards=3),
        how=ShardHow(**how),
    )
    return shard(request, output, reporter=Silent())


@pytest.mark.parametrize("kind", ["txt", "txt.gz", "parquet"])
def test_shards_of_a_corpus_in_s3_are_those_of_the_same_files_here(tmp_path, server, kind):
    corpus = tmp_path / "corpus"
    write_corpus(corpus, files=5, per_file=17)
    for path in sorted(corpus.glob("*.txt")):
        if kind == "txt.gz":
            path.with_suffix(".txt.gz").write_bytes(gzip.compress(path.read_bytes()))
        elif kind == "parquet":
            texts = path.read_text().split("\n\n")
            table = pa.table({"id": range(len(texts)), "text": texts})
            pa.parquet.write_table(table, path.with_suffix(".parquet"), row_group_size=3)
        if kind != "txt":
            path.unlink()
    prefix = f"same-{kind}"
    server.put_all(corpus, f"{prefix}/deep")
    vocab = write_vocabulary(tmp_path / "vocab.txt")
    here = run([str(corpus)], vocab, tmp_path / "here", workers=1)
    # Ranges of files, read by two workers that were forked after this process had listed them.
    there = run([server.uri(prefix)], vocab, tmp_path / "there", workers=2, chunk_megabytes=0.004)
    assert bytes_of(tmp_path / "here") == bytes_of(tmp_path / "there")
    assert here.manifest.fingerprint == there.manifest.fingerprint
    assert run([server.uri(prefix)], vocab, tmp_path / "there").was_up_to_date
    assert run([str(corpus)], vocab, tmp_path / "there").was_up_to_date


@pytest.mark.parametrize("suffix", ["", *PACKERS])
@pytest.mark.parametrize("block_bytes", [77, 4 << 20])
def test_every_byte_of_a_text_arrives_whatever_is_fetched_at_once(
    tmp_path, server, monkeypatch, suffix, block_bytes
):
    monkeypatch.setattr(remote_files, "_BLOCK_BYTES", block_bytes)
    data = "\n\n".join(documents(13, seed=6)).encode()
    name = f"t.txt.{suffix}" if suffix else "t.txt"
    path = tmp_path / name
    path.write_bytes(PACKERS[suffix](data) if suffix else data)
    server.put(f"bytes/{name}", path.read_bytes())
    for chunk_bytes in (700, 1 << 20):
        pieces = read_all(server.uri(f"bytes/{name}"), CorpusSettings(), chunk_bytes)
        assert documents_in(pieces) == documents_in(read_all(path, CorpusSettings()))
        assert sum(piece.source_bytes for piece in pieces) == path.stat().st_size


def names(server: S3Server, *inputs: str) -> list[str]:
    files = list_inputs([server.uri(each) for each in inputs])
    assert [file.path for file in files] == sorted(file.path for file in files)
    assert all(file.size == 5 and file.mtime_ns > 10**18 for file in files)
    return [parse_uri(file.path).path for file in files]


def test_prefixes_globs_and_files_are_found_as_on_a_disk(server):
    for name in ["b.txt", "a b%20c.jsonl.gz", "deep/er/c.TXT", "deep/d[1].ndjson"]:
        server.put(f"list/{name}", b"text\n")
    for name in [".hidden.txt", ".git/e.txt", "README.md", "f.parquet.gz", "out/vocab.txt"]:
        server.put(f"list/{name}", b"other")
    server.put("list/out/recipe.json", json.dumps(Recipe("vocab", 1, {}).as_json()).encode())
    read = [
        f"list/{each}"
        for each in ["a b%20c.jsonl.gz", "b.txt", "deep/d[1].ndjson", "deep/er/c.TXT"]
    ]
    assert names(server, "list") == names(server, "list/") == names(server, "list", "*/b.txt")
    assert names(server, "list") == read
    assert names(server, "list/**") == names(server, "list/**/*") == read
    assert names(server, "list/*.txt") == [read[1]]
    assert names(server, "list/d*") == names(server, "li*/deep") == read[2:]
    assert names(server, "list/**/[cd]*", "list/b.txt") == read[1:]
    assert names(server, "list/deep/d[1].ndjson") == [read[2]]
    assert names(server, "**/er/*") == [read[3]]


def refusal(uri: str) -> BadInput:
    with pytest.raises(BadInput) as error:
        list_inputs([uri])
    assert error.value.hint
    assert "Traceback" not in error.value.message
    return error.value


def test_what_cannot_be_listed_is_refused_with_its_uri_and_a_remedy(server):
    server.put("refused/notes.md", b"x")
    server.put("refused/empty.txt", b"")
    server.put("refused/odd?.txt", b"x")
    server.put("refused/all.tar.gz", b"x")
    for path, found in [
        ("refused/nowhere.txt", "doesn't exist"),
        ("refused/*.csv", "holds no file"),
        ("refused/notes.md", "suffix"),
        ("refused/all.tar.gz", "suffix"),
        ("refused/empty.txt", "0 bytes"),
        ("refused/o*", "question mark"),
    ]:
        error = refusal(server.uri(path))
        assert found in error.message, path
        assert path.rstrip("*") in error.message
    assert "Unpack" in refusal(server.uri("refused/all.tar.gz")).hint
    missing = refusal(server.uri("x.txt", bucket="no-such-bucket"))
    assert "s3://no-such-bucket/x.txt" in missing.message
    unknown = refusal(server.uri("x.txt") + "&nonsense=1")
    assert "nonsense" in unknown.message
    assert "xyz://" in refusal("xyz://place/x.txt").message


def test_a_server_that_is_not_there_is_said_so(server):
    error = refusal(server.uri("x.txt").replace(str(server.port), "1"))
    assert "s3://corpora/x.txt" in error.message
    assert "Could not connect" in error.message
    assert "network" in error.hint


def test_any_file_system_of_arrow_is_read_by_its_uri(tmp_path):
    corpus = write_corpus(tmp_path / "corpus", files=3)
    (corpus / ".hidden.txt").write_text("hidden")
    here = list_inputs([str(corpus)])
    there = list_inputs([f"file://{corpus}/*"])
    assert [file.path for file in there] == [f"file://{file.path}" for file in here]
    assert [(file.size, file.mtime_ns) for file in there] == [
        (file.size, file.mtime_ns) for file in here
    ]
    texts = documents_in(read_all(f"file://{corpus}", CorpusSettings(), 900))
    assert texts == documents_in(read_all(corpus, CorpusSettings()))


def test_denied_access_is_said_with_where_credentials_come_from():
    with s3_server(INITIAL_NO_AUTH_ACTION_COUNT="2") as strict:  # its bucket is made freely
        for path in ("x.txt", "folder/", "*.txt"):
            error = refusal(strict.uri(path))
            assert f"s3://corpora/{path.rstrip('/')}" in error.message
            assert "ACCESS_DENIED" in error.message
            assert "Request ID" not in error.message
            assert "AWS_ACCESS_KEY_ID" in error.hint


@pytest.mark.parametrize(
    "uri",
    [
        "s3://AKIA:sEcReT@bucket/x.txt",
        "s3://bucket/x.txt?region=eu-west-1&secret_key=sEcReT",
        "abfss://box:sEcReT@account.dfs.core.windows.net/x.txt",
        "s3://bucket/x.txt?session_token=sEcReT",
    ],
)
def test_a_secret_in_a_uri_is_refused_and_not_repeated(uri):
    error = refusal(uri)
    assert "sEcReT" not in error.message + error.hint
    assert "environment" in error.hint


def test_paths_are_told_from_uris():
    assert is_uri("s3://bucket/a/b.txt")
    assert is_uri("abfss://box@account.dfs.core.windows.net/x?credential_kind=cli")
    for path in ("a/b.txt", "/s3/b.txt", "./s3:/b", "C:\\texts\\a.txt", "s3:bucket", "a?b.txt"):
        assert not is_uri(path)
    uri = parse_uri("S3://bucket//a/b.txt/?region=x&scheme=http")
    assert (uri.scheme, uri.place, uri.path) == ("s3", "bucket", "a/b.txt")
    assert uri.with_path("c d.txt") == "s3://bucket/c d.txt?region=x&scheme=http"


@pytest.mark.parametrize("name", ["t.txt", "t.txt.gz", "t.parquet"])
def test_an_object_that_changes_while_it_is_read_is_refused(tmp_path, server, name):
    texts = [f"{n} one.\ntwo." for n in range(3_000)]
    path = tmp_path / name
    if name == "t.parquet":
        pa.parquet.write_table(pa.table({"text": texts}), path, row_group_size=200)
    else:
        data = "\n\n".join(texts).encode()
        path.write_bytes(gzip.compress(data) if name == "t.txt.gz" else data)
    data = path.read_bytes()
    server.put(f"changes/{name}", data)
    files = list_inputs([server.uri(f"changes/{name}")])
    (source,) = plan_sources(files, CorpusSettings())
    pieces = read_pieces(source, CorpusSettings(), 2_000)
    next(pieces)
    server.put(f"changes/{name}", data + b"\n")
    with pytest.raises(BadInput, match=r"changed while it was read"):
        list(pieces)
    with pytest.raises(BadInput, match="changed"):
        next(read_pieces(source, CorpusSettings()))
    server.file_system.delete_file(f"corpora/changes/{name}")
    with pytest.raises(BadInput, match=rf"changes/{name}.*not exist"):
        next(read_pieces(source, CorpusSettings()))


@pytest.mark.parametrize("policy", ["stop", "skip"])
@pytest.mark.parametrize("name", ["t.txt", "t.txt.zst", "t.parquet", "t.arrow"])
def test_a_network_that_fails_is_no_fault_of_the_input_and_nothing_is_skipped(
    tmp_path, server, monkeypatch, name, policy
):
    texts = [f"{n} one." + os.urandom(99).hex() for n in range(4_000)]
    path, table = tmp_path / name, pa.table({"text": texts})
    if name == "t.parquet":
        pa.parquet.write_table(table, path, row_group_size=200)
    elif name == "t.arrow":
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=100)
    else:
        data = "\n\n".join(texts).encode()
        path.write_bytes(PACKERS["zst"](data) if name == "t.txt.zst" else data)
    server.put(f"fails/{name}", path.read_bytes())
    corpus = CorpusSettings(on_bad_input=policy)
    monkeypatch.setattr(remote_files, "_BLOCK_BYTES", 1 << 16)
    monkeypatch.setattr("bertctl.pipeline.corpus.opening.BLOCK_BYTES", 1 << 16)
    monkeypatch.setattr("bertctl.pipeline.corpus.compression.BLOCK_BYTES", 1 << 16)
    opened: list[remote_files.RemoteFile] = []
    open_remote = remote_files.open_remote

    def recorded(path: str) -> remote_files.RemoteFile:
        opened.append(open_remote(path))
        return opened[-1]

    monkeypatch.setattr(remote_files, "open_remote", recorded)
    (source,) = plan_sources(list_inputs([server.uri(f"fails/{name}")]), corpus)
    pieces = read_pieces(source, corpus, 10_000)
    next(pieces)

    class Failing:
        def read_at(self, *_: object) -> bytes:
            raise OSError("AWS Error NETWORK_CONNECTION during GetObject operation: reset")

        def close(self) -> None:
            pass

    (handle,) = opened
    handle._file = Failing()
    with pytest.raises(WorkFailed, match=rf"fails/{name}.*NETWORK_CONNECTION") as error:
        list(pieces)
    assert error.value.exit_code == 1
    assert "again" in error.value.hint


@pytest.mark.slow
def test_a_server_that_goes_away_ends_the_command_with_1_and_keeps_what_is_finished(tmp_path):
    corpus = write_corpus(tmp_path / "corpus", files=60)
    output = tmp_path / "out"
    with s3_server() as brittle:
        brittle.put_all(corpus, "corpus")
        command = [sys.executable, "-m", "bertctl", "vocab", brittle.uri("corpus")]
        command += ["-o", str(output), "--workers", "1", "--chunk-megabytes", "0.01"]

        def reached() -> bool:
            if len(committed_units(output)) < 3:
                return False
            brittle.process.kill()
            return True

        # Whoever asks it whether the time has come ends the server; nobody signals the command.
        done = kill_when(command, reached, signal.SIGCONT)
    assert done.returncode == 1, done.stderr
    assert "Error: s3://corpora/corpus/" in done.stderr
    assert "run the same command again" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(committed_units(output)) >= 3
    assert not (output / "manifest.json").exists()


def test_the_command_says_it_in_two_lines_and_ends_with_2(tmp_path, server):
    vocab = write_vocabulary(tmp_path / "vocab.txt")
    command = [sys.executable, "-m", "bertctl", "shard", server.uri("nothing/here")]
    command += ["--vocab", str(vocab), "-o", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: s3://corpora/nothing/here")
    assert len(done.stderr.strip().split("\n")) == 2
    assert not (tmp_path / "out").exists()
