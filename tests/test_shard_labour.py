"""Whoever does the work of `bertctl shard`, the bytes are the same."""

import os
import pickle
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bertctl.pipeline.corpus.settings import SentenceSettings
from bertctl.pipeline.errors import BadInput, ShareDone, WorkFailed
from bertctl.pipeline.project.values import value_of
from bertctl.pipeline.shard.bucketing import Plan, plan_buckets
from bertctl.pipeline.shard.request import ShardRequest
from bertctl.pipeline.shard.settings import InstanceSettings, ShardHow
from bertctl.pipeline.shard.stage import shard
from bertctl.pipeline.shard.tokenising import encoder_for
from bertctl.pipeline.stage.engine import Completion
from bertctl.pipeline.stage.report import Silent
from bertctl.pipeline.stage.settings import settings_of
from bertctl.pipeline.wordpiece.files import load_vocabulary
from bertctl.pipeline.wordpiece.vocabulary import Vocabulary

from .corpora import write_corpus, write_vocabulary
from .killing import bytes_of, committed_units

INSTANCES = InstanceSettings(
    max_seq_length=48, dupe_factor=2, num_shards=4, validation_fraction=0.1
)
SHARES = 5


@pytest.fixture
def request_of_all(tmp_path: Path) -> ShardRequest:
    return ShardRequest(
        inputs=(str(write_corpus(tmp_path / "corpus", files=8)),),
        vocab=write_vocabulary(tmp_path / "vocab.txt"),
        instances=INSTANCES,
        how=ShardHow(workers=1, chunk_megabytes=0.002),
    )


@pytest.fixture
def whole(request_of_all: ShardRequest, tmp_path: Path) -> dict[str, str]:
    return bytes_of(run(request_of_all, tmp_path / "whole").directory)


def run(request: ShardRequest, output: Path, **how: object) -> Completion:
    changed = replace(request, how=replace(request.how, **how))
    return shard(changed, output, reporter=Silent())


def test_array_tasks_in_random_order_and_finalize_give_the_same_bytes(
    request_of_all: ShardRequest, whole: dict[str, str], tmp_path: Path
) -> None:
    output = tmp_path / "array"
    order = random.Random(4)
    for _ in range(2):
        for number in order.sample(range(1, SHARES + 1), SHARES):
            with pytest.raises(ShareDone):
                run(request_of_all, output, task=f"{number}/{SHARES}")
    names = committed_units(output)
    assert sum(name.startswith("train-") for name in names) == INSTANCES.num_shards
    run(request_of_all, output, finalize=True)
    assert bytes_of(output) == whole


@pytest.mark.parametrize("task", ["0/5", "6/5", "2", "a/b", "1/0", "-1/3"])
def test_task_that_is_none_of_the_array_is_refused(
    request_of_all: ShardRequest, tmp_path: Path, task: str
) -> None:
    with pytest.raises(BadInput, match="--task"):
        run(request_of_all, tmp_path / "out", task=task)
    assert not (tmp_path / "out").exists()


def test_text_tokenised_once_serves_other_lengths_and_a_corpus_that_grew(
    request_of_all: ShardRequest, whole: dict[str, str], tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    kept = replace(request_of_all, how=replace(request_of_all.how, scratch=str(scratch)))
    assert bytes_of(run(kept, tmp_path / "first").directory) == whole
    times = times_of_tokens(scratch)
    longer = replace(kept, instances=replace(INSTANCES, max_seq_length=64))
    run(longer, tmp_path / "longer")
    assert times_of_tokens(scratch) == times
    (corpus,) = kept.inputs
    Path(corpus, "new.txt").write_text("A new one comes. It has two sentences.\n")
    run(kept, tmp_path / "grown")
    later = times_of_tokens(scratch)
    changed = [path for path in later if later[path] != times.get(path)]
    assert 0 < len(changed) < len(later) / 2
    alone = run(request_of_all, tmp_path / "grown alone")
    assert bytes_of(tmp_path / "grown") == bytes_of(alone.directory)
    assert not (tmp_path / "grown" / ".bertctl").exists()


def times_of_tokens(scratch: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in scratch.glob(".bertctl/tokens/*")}


def test_other_sentences_in_the_same_scratch_are_told_apart(
    request_of_all: ShardRequest, tmp_path: Path
) -> None:
    lines = replace(request_of_all, sentences=SentenceSettings(sentences="line"))
    for number, request in enumerate((request_of_all, lines, request_of_all)):
        run(request, tmp_path / f"with {number}", scratch=str(tmp_path / "scratch"))
        run(request, tmp_path / f"without {number}")
        assert bytes_of(tmp_path / f"with {number}") == bytes_of(tmp_path / f"without {number}")


def test_commands_that_share_a_scratch_take_no_text_from_each_other(
    request_of_all: ShardRequest,
    whole: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scratch = str(tmp_path / "scratch")
    # Both are small enough for one group, whose name was the same.
    ours = replace(request_of_all, how=replace(request_of_all.how, chunk_megabytes=1))
    others = replace(ours, inputs=(str(write_corpus(tmp_path / "others", files=3, seed=2)),))

    def after_others(*arguments: Any, **how: Any) -> Plan:
        monkeypatch.undo()
        run(others, tmp_path / "of others", scratch=scratch)
        return plan_buckets(*arguments, **how)

    monkeypatch.setattr("bertctl.pipeline.shard.run.plan_buckets", after_others)
    run(ours, tmp_path / "ours", scratch=scratch)
    assert bytes_of(tmp_path / "ours") == whole


def test_workers_started_elsewhere_find_what_is_named_from_here(
    request_of_all: ShardRequest,
    whole: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (elsewhere := tmp_path / "elsewhere").mkdir()

    def on_worker(call: Callable[[Any], Any], tasks: Sequence[Any], *, address: str) -> Any:
        for task in tasks:
            # A thread of its own has nothing in mind yet, as a worker that has just begun.
            with chdir(elsewhere), ThreadPoolExecutor(1) as worker:
                result = worker.submit(call, pickle.loads(pickle.dumps(task))).result()
            yield result

    monkeypatch.setattr("bertctl.pipeline.stage.cluster.run_on_cluster", on_worker)
    monkeypatch.chdir(tmp_path)
    here = replace(request_of_all, inputs=("corpus",), vocab=Path("vocab.txt"))
    how = {"scratch": "scratch", "executor": "dask", "dask": "tcp://127.0.0.1:9"}
    done = run(here, Path("out"), **how)
    assert done.name == "out"
    assert bytes_of(tmp_path / "out") == whole
    assert list((tmp_path / "scratch" / ".bertctl" / "tokens").iterdir())
    assert not list(elsewhere.iterdir())


@pytest.mark.parametrize(
    ("scratch", "match"),
    [
        ("", "name is empty; expected a directory"),
        ("s3://bucket/prefix", "expected a directory on this machine"),
        ("vocab.txt", r"vocab\.txt isn't a directory"),
        ("vocab.txt/deeper", r"vocab\.txt isn't a directory"),
    ],
)
def test_scratch_that_is_no_directory_is_refused_before_any_work(
    request_of_all: ShardRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scratch: str,
    match: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BadInput, match=f"--scratch.*{match}"):
        run(request_of_all, tmp_path / "out", scratch=scratch)
    (setting,) = (each for each in settings_of(ShardHow) if each.name == "scratch")
    with pytest.raises(BadInput, match=match):
        value_of(setting, scratch)
    assert sorted(tmp_path.rglob("*")) == before


def test_scratch_that_is_the_output_is_refused(
    request_of_all: ShardRequest, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match="--scratch"):
        run(request_of_all, tmp_path / "out", scratch=str(tmp_path / "out"))


def test_cluster_that_loses_a_worker_gives_the_same_bytes(
    request_of_all: ShardRequest, whole: dict[str, str], tmp_path: Path
) -> None:
    from distributed import LocalCluster

    output = tmp_path / "cluster"
    (corpus,) = request_of_all.inputs
    with LocalCluster(
        n_workers=2, threads_per_worker=2, processes=True, dashboard_address=None
    ) as cluster:
        command = [sys.executable, "-m", "bertctl", "shard", corpus, "-o", str(output)]
        command += ["--vocab", str(request_of_all.vocab), "--max-seq-length", "48"]
        command += ["--dupe-factor", "2", "--num-shards", "4", "--validation-fraction", "0.1"]
        command += ["--chunk-megabytes", "0.002"]
        command += ["--executor", "dask", "--dask", cluster.scheduler_address]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 60
        while len(committed_units(output)) < 3 and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        assert process.poll() is None, process.stderr and process.stderr.read()
        os.kill(cluster.workers[0].process.pid, signal.SIGKILL)
        kept = committed_units(output)
        assert len(kept) >= 3
        assert sum(name.startswith("train-") for name in kept) < 4
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert bytes_of(output) == whole


def test_worker_that_outlives_a_command_takes_no_ids_from_an_older_vocabulary(
    tmp_path: Path,
) -> None:
    place = tmp_path / "vocab.txt"
    place.write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\none\ntwo\n")
    first = Vocabulary.fingerprint(*load_vocabulary(place))
    assert encoder_for(place, first).encode_lines(b"one two\n")[0].tolist() == [5, 6]
    place.write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\ntwo\none\n")
    second = Vocabulary.fingerprint(*load_vocabulary(place))
    assert encoder_for(place, second).encode_lines(b"one two\n")[0].tolist() == [6, 5]
    with pytest.raises(WorkFailed, match="another vocabulary than when this command began"):
        encoder_for(place, first)
    assert encoder_for(place, second).encode_lines(b"one\n")[0].tolist() == [6]


def test_cluster_that_is_not_there_is_refused(
    request_of_all: ShardRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bertctl.pipeline.stage.cluster._SECONDS_TO_CONNECT", 0.5)
    with pytest.raises(BadInput, match="no scheduler answers"):
        run(request_of_all, tmp_path / "out", executor="dask", dask="tcp://127.0.0.1:9")
    with pytest.raises(BadInput, match="go together"):
        run(request_of_all, tmp_path / "out", executor="dask")
