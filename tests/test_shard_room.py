import shutil
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest

from bertctl.pipeline.errors import WorkFailed
from bertctl.pipeline.shard import room
from bertctl.pipeline.shard.request import ShardRequest
from bertctl.pipeline.shard.settings import InstanceSettings, ShardHow
from bertctl.pipeline.shard.stage import shard
from bertctl.pipeline.stage.recipe import ListedInput

from .corpora import write_corpus, write_vocabulary
from .test_shard_stage import Recording

Usage = namedtuple("Usage", "total used free")
INSTANCES = InstanceSettings(max_seq_length=48, dupe_factor=3)


@pytest.fixture(autouse=True)
def every_run_is_worth_telling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_WORTH_TELLING", 0)


def run(tmp_path: Path, *, free: float, monkeypatch: pytest.MonkeyPatch) -> Recording:
    corpus = write_corpus(tmp_path / "corpus", files=5, per_file=40)
    text_bytes = sum(path.stat().st_size for path in corpus.iterdir())
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, free * text_bytes))
    request = ShardRequest(
        inputs=(str(corpus),),
        vocab=write_vocabulary(tmp_path / "vocab.txt"),
        instances=INSTANCES,
        how=ShardHow(workers=1),
    )
    reporter = Recording()
    shard(request, tmp_path / "out", reporter=reporter)
    return reporter


def test_disk_that_can_not_hold_the_least_is_refused_before_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(WorkFailed, match="no space left for what is to come") as refused:
        run(tmp_path, free=1, monkeypatch=monkeypatch)
    assert "--dupe-factor" in refused.value.hint
    assert not list((tmp_path / "out").rglob("*.arrow"))


def test_disk_that_may_be_too_small_is_warned_of_and_one_that_is_not_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warned = run(tmp_path, free=3, monkeypatch=monkeypatch)
    assert any("may be too small" in each for each in warned.warnings)
    shutil.rmtree(tmp_path / "out")
    told = run(tmp_path, free=90, monkeypatch=monkeypatch)
    assert any(" of disk; " in each for each in told.notices)
    assert not any("disk" in each for each in told.warnings)


def test_what_is_there_already_needs_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path, free=90, monkeypatch=monkeypatch)
    (tmp_path / "out" / "manifest.json").unlink()
    run(tmp_path, free=1, monkeypatch=monkeypatch)


@pytest.mark.parametrize("mode", ["random", "order", "none"])
@pytest.mark.parametrize("length", [48, 200])
def test_estimate_holds_what_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, length: int
) -> None:
    monkeypatch.setitem(globals(), "INSTANCES", replace(
        INSTANCES, next_sentence=mode, max_seq_length=length
    ))  # fmt: skip
    run(tmp_path, free=90, monkeypatch=monkeypatch)
    files = [
        ListedInput(str(path), path.stat().st_size, 0) for path in (tmp_path / "corpus").iterdir()
    ]
    _, shards = room.estimate(files, copies=3, id_bytes=2)
    written = sum(path.stat().st_size for path in (tmp_path / "out").glob("*.arrow"))
    assert shards.least < written < shards.most


def test_compressed_text_and_records_may_be_much_or_little() -> None:
    def text_of(name: str) -> tuple[float, float]:
        tokens, _ = room.estimate([ListedInput(name, 1000, 0)], copies=1, id_bytes=2)
        return tokens.least, tokens.most

    assert text_of("a.txt.gz")[1] > 2 * text_of("a.txt")[1]
    assert text_of("a.jsonl")[0] == 0
    assert text_of("a.parquet")[1] > text_of("a.jsonl")[1]
