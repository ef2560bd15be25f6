"""An output in S3 is what it would be on a disk: the same bytes, answers, refusals and faults."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any, NoReturn

import pyarrow.fs as pafs
import pytest

from bertctl.pipeline.corpus.uris import Uri, parse_uri
from bertctl.pipeline.elsewhere import prefix as prefix_module
from bertctl.pipeline.elsewhere.output import directory_for
from bertctl.pipeline.errors import BadInput, OutputRefused, ShareDone, WorkFailed
from bertctl.pipeline.shard import stage as stage_module
from bertctl.pipeline.shard.request import ShardRequest
from bertctl.pipeline.shard.settings import InstanceSettings, ShardHow
from bertctl.pipeline.shard.stage import shard
from bertctl.pipeline.stage.engine import Completion
from bertctl.pipeline.stage.recipe import Recipe
from bertctl.pipeline.stage.report import Silent
from bertctl.pipeline.vocab.request import VocabRequest
from bertctl.pipeline.vocab.settings import VocabHow, VocabSettings
from bertctl.pipeline.vocab.stage import compare, vocab

from .corpora import write_corpus, write_vocabulary
from .killing import bytes_of, kill_when
from .s3_server import BUCKET, CREDENTIALS, S3Server, s3_server


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


class Stage:
    """`shard` on a small corpus, with an output under a prefix of its own."""

    def __init__(self, tmp_path: Path, server: S3Server) -> None:
        self.server = server
        self.corpus = write_corpus(tmp_path / "corpus", files=3, per_file=11)
        self.vocab = write_vocabulary(tmp_path / "vocab.txt")
        self.scratch = tmp_path / "scratch"
        self.path = f"out/{tmp_path.name}"
        self.uri = parse_uri(server.uri(self.path))

    @property
    def here(self) -> Path:
        return directory_for(self.uri, str(self.scratch))

    def __call__(
        self,
        output: Path | Uri | None = None,
        *,
        seed: int = 7,
        num_shards: int = 3,
        force: bool = False,
        **how: Any,
    ) -> Completion:
        request = ShardRequest(
            inputs=(str(self.corpus),),
            vocab=self.vocab,
            instances=InstanceSettings(
                max_seq_length=48, dupe_factor=2, num_shards=num_shards, seed=seed
            ),
            how=ShardHow(workers=1, scratch=str(self.scratch), **how),
        )
        return shard(request, output or self.uri, reporter=Silent(), force=force)

    def objects(self) -> dict[str, bytes]:
        return objects(self.server, self.path)


@pytest.fixture
def stage(tmp_path: Path, server: S3Server) -> Stage:
    return Stage(tmp_path, server)


def objects(server: S3Server, path: str) -> dict[str, bytes]:
    """Return every object below a path, folders' own markers aside."""
    base = f"{BUCKET}/{path}"
    below = pafs.FileSelector(base, recursive=True, allow_not_found=True)
    found: dict[str, bytes] = {}
    for each in server.file_system.get_file_info(below):
        if each.type == pafs.FileType.File:
            with server.file_system.open_input_file(each.path) as file:
                found[each.path.removeprefix(f"{base}/")] = file.read()
    return found


def files_of(directory: Path) -> dict[str, bytes]:
    """Return the files of a complete directory: what its manifest lists, itself and the recipe."""
    names = [*bytes_of(directory), "manifest.json", "recipe.json"]
    return {name: (directory / name).read_bytes() for name in names}


def delete(server: S3Server, path: str, *, folder: bool = False) -> None:
    system = server.file_system
    (system.delete_dir if folder else system.delete_file)(f"{BUCKET}/{path}")


def refusal(call, kind: type[Exception] = OutputRefused):
    with pytest.raises(kind) as error:
        call()
    assert error.value.hint
    return error.value


def never(*_: object, **__: object) -> NoReturn:
    raise AssertionError("the work isn't done again")


def test_shards_put_elsewhere_are_those_of_a_directory_and_nothing_else_is_there(stage, tmp_path):
    done = stage()
    stage(tmp_path / "here")
    assert bytes_of(stage.here) == bytes_of(tmp_path / "here")
    assert stage.objects() == files_of(stage.here)
    assert (stage.here / "recipe.json").read_bytes() == (tmp_path / "here/recipe.json").read_bytes()
    assert not done.was_up_to_date
    assert done.name == f"s3://{BUCKET}/{stage.path}"
    assert done.directory == stage.here


def test_a_vocabulary_put_elsewhere_is_that_of_a_directory(tmp_path, server):
    corpus = write_corpus(tmp_path / "corpus", files=3, per_file=170)

    def run(output: Path | Uri, scratch: Path | None) -> Completion:
        request = VocabRequest(
            inputs=(str(corpus),),
            vocab=VocabSettings(vocab_size=150),
            how=VocabHow(workers=1, scratch=None if scratch is None else str(scratch)),
        )
        return vocab(request, output, reporter=Silent())

    there = parse_uri(server.uri("vocab/english"))
    run(tmp_path / "here", None)
    done = run(there, tmp_path / "scratch")
    assert objects(server, "vocab/english") == files_of(tmp_path / "here")
    assert run(there, tmp_path / "another").was_up_to_date
    other = write_vocabulary(tmp_path / "vocab.txt")
    assert compare(done, other)
    error = refusal(lambda: compare(run(there, tmp_path / "another"), other), BadInput)
    assert "held_out.arrow" in error.message


def test_what_is_complete_there_is_up_to_date_also_without_its_copy_here(stage):
    stage()
    before = stage.objects()
    assert stage().was_up_to_date
    stage.scratch.rename(stage.scratch.with_name("gone"))
    assert stage().was_up_to_date
    (stage.corpus / "0.txt").touch()
    assert stage().was_up_to_date
    assert not stage.here.exists()
    assert stage.objects() == before


def test_another_recipe_is_refused_with_its_differences_and_replaced_with_force(stage, tmp_path):
    stage()
    before = stage.objects()
    stage.server.put(f"{stage.path}/notes/mine.txt", b"keep")
    error = refusal(lambda: stage(seed=8))
    assert "--seed: 7 → 8" in error.message
    assert f"s3://{BUCKET}/{stage.path}" in error.message
    assert {**before, "notes/mine.txt": b"keep"} == stage.objects()
    stage(seed=8, force=True)
    stage(tmp_path / "here", seed=8)
    assert stage.objects() == {**files_of(tmp_path / "here"), "notes/mine.txt": b"keep"}
    assert stage(seed=8).was_up_to_date


def test_changed_input_is_refused_where_a_complete_output_is(stage):
    stage()
    (stage.corpus / "more.txt").write_text("One more.\nAnd another.\n")
    error = refusal(stage)
    assert "more.txt" in error.message


@pytest.mark.parametrize("force", [False, True])
def test_somebody_elses_objects_are_refused_before_anything_is_made(stage, force):
    stage.server.put(f"{stage.path}/theirs/model.bin", b"x")
    error = refusal(lambda: stage(force=force))
    assert "theirs/model.bin" in error.message
    assert "isn't ours" in error.message
    assert stage.objects() == {"theirs/model.bin": b"x"}
    assert not stage.scratch.exists()


def test_an_object_of_another_size_or_none_is_found_and_mended_with_force(stage):
    stage()
    before = stage.objects()
    name = "train-00001-of-00006.arrow"
    stage.server.put(f"{stage.path}/{name}", before[name][:-1])
    error = refusal(stage)
    assert f"{name} has {len(before[name]) - 1:,} bytes" in error.message
    delete(stage.server, f"{stage.path}/{name}")
    assert f"{name} is missing" in refusal(stage).message
    inode = (stage.here / name).stat().st_ino
    assert not stage(force=True).was_up_to_date
    assert stage.objects() == before
    assert (stage.here / name).stat().st_ino == inode, "what is complete here isn't made again"


def test_force_makes_again_what_is_complete_in_both_places(stage):
    stage()
    before = stage.objects()
    inode = (stage.here / "vocab.txt").stat().st_ino
    (stage.here / "vocab.txt").with_name("held").hardlink_to(stage.here / "vocab.txt")
    stage(force=True)
    assert stage.objects() == before
    assert (stage.here / "vocab.txt").stat().st_ino != inode


def test_an_upload_that_fails_goes_on_without_doing_the_work_again(stage, monkeypatch):
    sent: list[str] = []
    upload = prefix_module.Prefix.upload

    def failing(self, name, file):
        if len(sent) == 3:
            raise BadInput(f"{self.name_of(name)}: NETWORK_CONNECTION.", hint="Check the network.")
        sent.append(name)
        return upload(self, name, file)

    monkeypatch.setattr("bertctl.pipeline.elsewhere.publishing._UPLOADS", 1)
    monkeypatch.setattr(prefix_module.Prefix, "upload", failing)
    error = refusal(stage, WorkFailed)
    assert error.exit_code == 1
    assert str(stage.here) in error.hint
    assert set(stage.objects()) == {*sent, "recipe.json", ".bertctl/manifest.json"}
    first, sent[:] = list(sent), [""] * 99
    stage.server.put(f"{stage.path}/{first[1]}", b"cut")
    monkeypatch.setattr(stage_module, "_work", never)
    stage(force=True)  # which, too, replaces nothing that was merely begun
    assert stage.objects() == files_of(stage.here)
    assert first[0] not in sent
    assert first[1] in sent


def test_objects_of_an_upload_with_other_content_are_not_taken_for_ones_own(stage, monkeypatch):
    """Same names and sizes, another corpus: what is known of them is what their upload declared."""
    stage()
    whole = stage.objects()
    delete(stage.server, f"{stage.path}/manifest.json")
    manifest = json.loads(whole["manifest.json"])
    name = "train-00001-of-00006.arrow"
    manifest["files"][name]["sha256"] = "0" * 64
    stage.server.put(f"{stage.path}/.bertctl/manifest.json", json.dumps(manifest).encode())
    stage.server.put(f"{stage.path}/{name}", bytes(len(whole[name])))
    stage()
    assert stage.objects() == whole


def test_a_file_damaged_here_is_not_put_there(stage, monkeypatch):
    stage()
    whole = stage.objects()
    stage.server.file_system.delete_dir_contents(f"{BUCKET}/{stage.path}")
    path = stage.here / "train-00001-of-00006.arrow"
    path.write_bytes(bytes(path.stat().st_size))
    error = refusal(stage, WorkFailed)
    assert f"{path} is damaged" in error.message
    assert str(stage.here) in error.hint
    assert not {path.name, "manifest.json"} & set(stage.objects())
    for each in stage.here.iterdir():
        each.unlink()
    stage()
    assert stage.objects() == whole


def command(stage: Stage, *flags: str) -> list[str]:
    arguments = ["shard", str(stage.corpus), "--vocab", str(stage.vocab), "-o"]
    arguments += [stage.server.uri(stage.path), "--scratch", str(stage.scratch), "--workers", "1"]
    return [sys.executable, "-m", "bertctl", *arguments, "--dupe-factor", "3", *flags]


@pytest.mark.parametrize(
    "by", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_killed_while_it_uploads_the_same_command_completes_it(stage, tmp_path, by):
    many = command(stage, "--num-shards", "70")

    def reached() -> bool:
        names = stage.server.file_system.get_file_info(
            pafs.FileSelector(f"{BUCKET}/{stage.path}", allow_not_found=True)
        )
        return len(names) > 9

    killed = kill_when(many, reached, by)
    assert killed.returncode in (-by, 128 + by), killed.stderr
    left = set(stage.objects())
    assert "manifest.json" not in left
    assert {"recipe.json", ".bertctl/manifest.json"} <= left
    units = stage.here / "manifest.json"
    made = units.stat().st_mtime_ns
    done = subprocess.run([*many, "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["output"] == f"s3://{BUCKET}/{stage.path}"
    assert units.stat().st_mtime_ns == made
    assert len(stage.objects()) > 210
    assert stage.objects() == files_of(stage.here)
    again = subprocess.run(many, capture_output=True, text=True)
    assert again.stdout == f"s3://{BUCKET}/{stage.path} is up to date.\n"


def test_a_place_that_cannot_be_written_to_is_said_before_the_work(stage):
    nowhere = parse_uri(stage.server.uri("x", bucket="no-such-bucket"))
    error = refusal(lambda: stage(nowhere), BadInput)
    assert "s3://no-such-bucket/x" in error.message
    away = parse_uri(stage.server.uri("x").replace(str(stage.server.port), "1"))
    assert "Could not connect" in refusal(lambda: stage(away), BadInput).message
    stage.server.put(f"{stage.path}.txt", b"x")
    file = parse_uri(stage.server.uri(f"{stage.path}.txt"))
    assert "is a file" in refusal(lambda: stage(file), BadInput).message
    assert not stage.scratch.exists()


def test_an_output_around_the_input_is_refused(stage):
    texts = stage.corpus
    stage.server.put_all(texts, f"{stage.path}/corpus")
    stage.corpus = stage.server.uri(f"{stage.path}/corpus")
    assert "isn't ours" in refusal(stage).message
    delete(stage.server, f"{stage.path}/corpus", folder=True)
    stage.corpus = texts
    stage()
    stage.server.put_all(texts, f"{stage.path}/corpus")
    stage.corpus = stage.server.uri(f"{stage.path}/corpus/1.txt")
    for force in (False, True):
        error = refusal(lambda force=force: stage(force=force))
        assert f"holds s3://{BUCKET}/{stage.path}/corpus/1.txt" in error.message
    assert "manifest.json" in stage.objects()


def test_force_leaves_no_file_of_what_it_replaces(stage, tmp_path):
    stage(num_shards=5)
    assert "train-00009-of-00010.arrow" in stage.objects()
    stage(force=True)
    assert stage.objects() == files_of(stage.here)
    assert not any("of-00010" in name for name in stage.objects())


def test_what_is_to_be_replaced_stands_until_its_successor_is_complete(stage, monkeypatch):
    stage()
    before = stage.objects()
    sent: list[str] = []

    def observed(self, name, file):
        sent.append(name)
        assert "manifest.json" not in stage.objects()
        assert json.loads(stage.objects()["recipe.json"])["what"]["seed"] == 8
        return upload(self, name, file)

    upload = prefix_module.Prefix.upload
    monkeypatch.setattr(prefix_module.Prefix, "upload", observed)
    work = stage_module._work

    def working(site, **given):
        assert stage.objects().items() >= before.items()
        return work(site, **given)

    monkeypatch.setattr(stage_module, "_work", working)
    stage(seed=8, force=True)
    assert set(sent) == set(bytes_of(stage.here))


def test_the_recipe_stands_there_before_the_work_begins(stage, monkeypatch):
    stage.server.put(f"{stage.path}/recipe.json", b"")  # as a command that was stopped leaves it
    work = stage_module._work

    def working(site, **given):
        assert set(stage.objects()) == {"recipe.json"}
        there = Recipe.from_json(json.loads(stage.objects()["recipe.json"]))
        assert there == site.recipe
        assert "--seed: 7 → 9" in refusal(lambda: stage(seed=9)).message
        return work(site, **given)

    monkeypatch.setattr(stage_module, "_work", working)
    stage()
    assert stage.objects() == files_of(stage.here)


def test_what_another_machine_finished_in_the_meantime_is_left_alone(stage, tmp_path, monkeypatch):
    theirs = Stage(tmp_path / "theirs", stage.server)
    theirs.uri, theirs.path = stage.uri, stage.path
    work = stage_module._work

    def working(site, **given):
        if site.recipe.what["seed"] == 7:
            delete(stage.server, stage.path, folder=True)
            theirs(seed=8)
        return work(site, **given)

    monkeypatch.setattr(stage_module, "_work", working)
    error = refusal(stage)
    assert "was written by another process" in error.message
    assert str(stage.here) in error.hint
    assert stage.objects() == files_of(theirs.here)


def test_an_object_that_did_not_arrive_whole_is_found_before_the_manifest_stands(
    stage, monkeypatch
):
    def cut(self, name, file):
        record = upload(self, name, file)
        if name == "vocab.txt":
            self.put(name, b"cut")
        return record

    upload = prefix_module.Prefix.upload
    monkeypatch.setattr(prefix_module.Prefix, "upload", cut)
    assert "vocab.txt has 3 bytes" in refusal(stage, WorkFailed).message
    assert "manifest.json" not in stage.objects()
    monkeypatch.undo()
    stage()
    assert stage.objects() == files_of(stage.here)


def test_tasks_of_an_array_work_in_one_scratch_and_the_last_command_uploads(stage, tmp_path):
    for task in ("2/2", "1/2", "1/2", "2/2"):
        refusal(lambda task=task: stage(task=task, chunk_megabytes=0.004), ShareDone)
        assert set(stage.objects()) == {"recipe.json"}
    stage(finalize=True, chunk_megabytes=0.004)
    stage(tmp_path / "here")
    assert stage.objects() == files_of(tmp_path / "here")


def test_what_a_kill_left_behind_a_manifest_is_swept(stage):
    stage()
    whole = stage.objects()
    stage.server.put(f"{stage.path}/.bertctl/manifest.json", whole["manifest.json"])
    assert stage().was_up_to_date
    assert stage.objects() == whole


def test_the_command_refuses_in_two_lines_what_it_cannot_put_elsewhere(stage, tmp_path):
    uri = stage.server.uri("x")
    for arguments, found in [
        (["vocab", str(stage.corpus), "-o", uri], "expected --scratch DIR"),
        (["vocab", str(stage.corpus), "-o", f"{uri}&secret_key=sEcReT"], "comes with a secret"),
        (["vocab", str(stage.corpus), "-o", f"file://{tmp_path}/o"], "on this machine"),
        (["pretrain", str(tmp_path), "-o", uri], "on this machine"),
        (["pretrain", uri, "-o", str(tmp_path / "run")], "SHARDS is s3://corpora/x; expected"),
        (
            ["shard", "x", "--vocab", uri, "-o", str(tmp_path / "o")],
            "--vocab is s3://corpora/x; expected",
        ),
    ]:
        done = subprocess.run(
            [sys.executable, "-m", "bertctl", *arguments], capture_output=True, text=True
        )
        assert done.returncode == 2, arguments
        assert found in done.stderr
        assert done.stderr.startswith("Error: ")
        assert len(done.stderr.strip().split("\n")) == 2
        assert "sEcReT" not in done.stderr
    assert sorted(each.name for each in tmp_path.iterdir()) == ["corpus", "vocab.txt"]


def test_a_place_has_one_directory_however_its_options_are_written(tmp_path):
    def name(uri: str) -> str:
        return directory_for(parse_uri(uri), str(tmp_path)).name

    one = name("s3://bucket/a/my shards.v2?region=x&endpoint_override=host:1")
    assert one == name("s3://bucket/a/my shards.v2/?endpoint_override=host:1&scheme=http")
    assert one.startswith("my-shards-v2-")
    others = ["s3://bucket/a/my shards.v2", "s3://bucket/b/my shards.v2", "s3://a/..", "gs://a"]
    assert len({one, *map(name, others)}) == 5
    assert not any("." in name(each) for each in others)
