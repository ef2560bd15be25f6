import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bertctl.model.config import SIZES
from bertctl.pipeline.errors import BadInput
from bertctl.pipeline.shard.request import ShardRequest
from bertctl.pipeline.shard.settings import InstanceSettings, ShardHow
from bertctl.pipeline.shard.stage import shard
from bertctl.pipeline.stage.files import FileRecord, fingerprint_of, write_json
from bertctl.pipeline.stage.lock import locked
from bertctl.pipeline.stage.manifest import MANIFEST, RECIPE, Manifest
from bertctl.pipeline.stage.recipe import ListedInput, Recipe
from bertctl.pipeline.stage.report import Silent
from bertctl.pipeline.stage.units import UnitStore
from bertctl.pipeline.status.status import Standing, status
from bertctl.pipeline.vocab.request import VocabRequest
from bertctl.pipeline.vocab.settings import VocabHow, VocabSettings
from bertctl.pipeline.vocab.stage import vocab

from .corpora import write_corpus
from .killing import bytes_of

BERTCTL = [sys.executable, "-m", "bertctl", "status"]
MODEL = ("model/config.json", "model/model.safetensors")


def standings(*places: Path) -> dict[str, Standing]:
    return {each.directory.name: each for each in status(places).standings}


def begin(directory: Path, stage: str, **recipe: Any) -> Recipe:
    directory.mkdir(parents=True, exist_ok=True)
    begun = Recipe(stage, 1, recipe.pop("what", {}), **recipe)
    write_json(directory / RECIPE, begun.as_json())
    return begun


def finish(
    directory: Path,
    stage: str,
    *,
    files: Mapping[str, str],
    statistics: Mapping[str, Any] | None = None,
    **recipe: Any,
) -> Manifest:
    """Write an output as a stage leaves it, whose files hold the given text."""
    begun = begin(directory, stage, **recipe)
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    records = {name: FileRecord.of(directory / name) for name in files}
    manifest = Manifest(begun, "0", records, statistics=statistics or {})
    manifest.write(directory, aside=directory / ".aside")
    return manifest


def model_fingerprint(manifest: Manifest) -> str:
    return fingerprint_of({name[6:]: manifest.files[name].sha256 for name in MODEL})


def later(directory: Path, seconds: float) -> None:
    """Let the output in a directory have been made so much later than it was."""
    for name in (RECIPE, MANIFEST):
        if (directory / name).exists():
            made = (directory / name).stat().st_mtime + seconds
            os.utime(directory / name, (made, made))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real vocabulary, and real shards made with it."""
    place = tmp_path_factory.mktemp("made")
    corpus = str(write_corpus(place / "corpus", files=3, per_file=7))
    asked = VocabRequest((corpus,), VocabSettings(vocab_size=90), how=VocabHow(workers=1))
    vocab(asked, place / "vocab", reporter=Silent())
    shards = ShardRequest(
        (corpus,),
        place / "vocab",
        instances=InstanceSettings(max_seq_length=32, dupe_factor=2),
        how=ShardHow(workers=1),
    )
    shard(shards, place / "shards", reporter=Silent())
    return place


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Path:
    """The same with an encoder and a classifier that their manifests describe, and no more."""
    subprocess.run(["cp", "-rp", f"{made}/.", str(tmp_path)], check=True)
    for name in ("vocab", "shards"):
        _move_inputs(tmp_path / name, made, tmp_path)
    shards = Manifest.read(tmp_path / "shards")
    assert shards is not None
    encoder = finish(
        tmp_path / "encoder",
        "pretrain",
        what={"steps": 40},
        earlier={"shards": shards.fingerprint},
        files={
            **dict.fromkeys(MODEL, "{}"),
            "model/tokenizer.json": (made / "vocab/tokenizer.json").read_text(),
        },
    )
    finish(
        tmp_path / "deeper" / "classifier",
        "finetune",
        earlier={
            "model": model_fingerprint(encoder),
            "vocab": shards.recipe.earlier["vocab"],
            "train": "f" * 64,
        },
        files={"metrics.json": "{}"},
    )
    return tmp_path


def _move_inputs(directory: Path, old: Path, new: Path) -> None:
    """Let recipe and manifest name the corpus where it was copied to."""
    for name in (RECIPE, MANIFEST):
        path = directory / name
        before = path.stat()
        path.write_text(path.read_text().replace(str(old), str(new)))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_what_was_made_from_something_stands_beneath_it(project: Path) -> None:
    found = standings(project)
    assert {name: each.state for name, each in found.items()} == dict.fromkeys(
        ("vocab", "shards", "encoder", "classifier"), "complete"
    )
    parents = {name: each.parent and each.parent.name for name, each in found.items()}
    assert parents == {
        "vocab": None,
        "shards": "vocab",
        "encoder": "shards",
        "classifier": "encoder",
    }
    assert list(found) == ["vocab", "shards", "encoder", "classifier"]


def test_output_is_found_from_within_and_in_whatever_directory_is_named(project: Path) -> None:
    assert set(standings(project / "encoder")) == {"encoder"}
    assert set(standings(project / "vocab", project / "deeper")) == {"vocab", "classifier"}
    (source,) = standings(project / "encoder")["encoder"].sources
    assert (source.role, source.path, source.replaced_by) == ("shards", None, None)


def test_changed_input_makes_stale_what_was_made_from_it_and_all_after(project: Path) -> None:
    file = project / "corpus" / "1.txt"
    size = file.stat().st_size
    file.write_text(file.read_text() + "More.\n")
    (project / "corpus" / "2.txt").unlink()
    found = standings(project)
    assert {each.state for each in found.values()} == {"stale"}
    assert f"input {file}: {size:,} bytes → {size + 6:,} bytes" in found["shards"].stale
    assert any(
        each.endswith("2.txt: " + f"{_size(project)} → (none)") for each in found["vocab"].stale
    )
    assert found["classifier"].stale == (
        f"model: made from {project / 'encoder'}, which is stale",
        f"vocab: made from {project / 'vocab'}, which is stale",
    )


def _size(project: Path) -> str:
    (listed,) = [
        each
        for each in json.loads((project / "vocab" / RECIPE).read_text())["inputs"]
        if each["path"].endswith("2.txt")
    ]
    return f"{listed['size']:,} bytes"


def test_touched_or_moved_input_is_told_and_makes_nothing_stale(project: Path) -> None:
    (project / "corpus" / "0.txt").touch()
    found = standings(project)["vocab"]
    assert (found.state, found.inputs.touched) == ("complete", 1)
    (project / "corpus").rename(project / "elsewhere")
    found = standings(project)["shards"]
    assert (found.state, found.inputs.moved) == ("complete", True)


def test_listing_that_a_later_run_found_to_hold_the_same_is_no_news(project: Path) -> None:
    (project / "corpus" / "0.txt").touch()
    request = VocabRequest(
        (str(project / "corpus"),), VocabSettings(vocab_size=90), how=VocabHow(workers=1)
    )
    assert vocab(request, project / "vocab", reporter=Silent()).was_up_to_date
    assert standings(project)["vocab"].inputs.touched == 0


def test_vocabulary_made_anew_makes_its_shards_stale_and_names_old_and_new(project: Path) -> None:
    before = Manifest.read(project / "shards")
    assert before is not None
    request = VocabRequest(
        (str(project / "corpus"),), VocabSettings(vocab_size=80), how=VocabHow(workers=1)
    )
    vocab(request, project / "vocab", reporter=Silent(), force=True)
    later(project / "vocab", 60)
    found = standings(project)
    (reason,) = found["shards"].stale
    assert re.fullmatch(
        f"vocab: {before.recipe.earlier['vocab'][:12]} → [0-9a-f]{{12}}, "
        f"{re.escape(str(project / 'vocab'))} made since",
        reason,
    ), "the note names another place"
    assert found["encoder"].state == "stale"
    assert found["vocab"].state == "complete"


def test_stale_output_says_which_setting_or_input_of_its_source_changed(
    made: Path, tmp_path: Path
) -> None:
    place = tmp_path / "project"
    corpus = write_corpus(place / "corpus", files=3, per_file=7)
    how = VocabHow(workers=1)
    vocab(
        VocabRequest((str(corpus),), VocabSettings(vocab_size=90), how=how),
        place / "vocab",
        reporter=Silent(),
    )
    instances = InstanceSettings(max_seq_length=32, dupe_factor=2)
    asked = ShardRequest(
        (str(corpus),), place / "vocab", instances=instances, how=ShardHow(workers=1)
    )
    shard(asked, place / "shards", reporter=Silent())
    before = bytes_of(place / "shards")
    assert standings(place)["shards"].stale == ()
    again = VocabSettings(vocab_size=80)
    vocab(
        VocabRequest((str(corpus),), again, how=how),
        place / "vocab",
        reporter=Silent(),
        force=True,
    )
    (reason,) = standings(place)["shards"].stale
    assert reason.endswith("made since with --vocab-size: 90 → 80")
    # Told by where the source stood: what was moved knows no more than its fingerprint.
    place.rename(tmp_path / "moved")
    (reason,) = standings(tmp_path / "moved")["shards"].stale[:1] or ("",)
    assert "--vocab-size" not in reason
    # A note that can't be read is none, and no file of the output depends on it.
    (tmp_path / "moved" / "shards" / "log" / "made-from.json").write_text('{"sources": [5]}')
    assert standings(tmp_path / "moved")["shards"].state in ("complete", "stale")
    assert bytes_of(tmp_path / "moved" / "shards") == before


def test_only_shards_that_are_younger_are_taken_for_those_that_stood_there(tmp_path: Path) -> None:
    def shards(name: str, seconds: float) -> None:
        finish(tmp_path / name, "shard", files={"a.arrow": name})
        later(tmp_path / name, seconds)

    finish(tmp_path / "encoder", "pretrain", earlier={"shards": "e" * 64}, files={"a": ""})
    shards("shards", -60)
    assert standings(tmp_path)["encoder"].state == "complete"
    later(tmp_path / "shards", 120)
    (reason,) = standings(tmp_path)["encoder"].stale
    assert reason.startswith(f"shards: {'e' * 12} → ")
    shards("others", 60)
    assert standings(tmp_path)["encoder"].state == "complete", "it may be either, or neither"


def test_foreign_start_is_no_sign_of_staleness_though_encoders_were_made_since(
    project: Path,
) -> None:
    finish(
        project / "foreign",
        "finetune",
        earlier={"model": "a" * 64, "vocab": "b" * 64, "train": "c" * 64},
        files={"metrics.json": "{}"},
    )
    later(project / "encoder", 60)
    found = standings(project)["foreign"]
    assert (found.state, found.parent) == ("complete", None)
    assert [each.is_file for each in found.sources] == [False, False, True]


def test_random_start_and_a_checkpoint_are_known_by_their_fingerprints(project: Path) -> None:
    checkpoint = project / "encoder" / "checkpoints" / "step-00000020"
    checkpoint.mkdir(parents=True)
    files = {name: {"size": 1, "sha256": str(n) * 64} for n, name in enumerate(MODEL)}
    record = {
        "step": 20,
        "progress": {},
        "files": {**files, "optimizer.safetensors": files[MODEL[0]]},
    }
    (checkpoint / "checkpoint.json").write_text(json.dumps(record))
    hashes = {name[6:]: each["sha256"] for name, each in files.items()}
    manifest = Manifest.read(project / "vocab")
    assert manifest is not None
    vocab_size = manifest.statistics["vocab_size"]
    shape = replace(
        SIZES["mini"],
        vocab_size=vocab_size,
        hidden_dropout_prob=0.3,
        attention_probs_dropout_prob=0.3,
    )
    of_vocab = json.loads((project / "shards" / RECIPE).read_text())["earlier"]["vocab"]
    starts = {"one": fingerprint_of(hashes), "two": fingerprint_of(["random", shape.to_dict()])}
    for name, start in starts.items():
        finish(
            project / name,
            "finetune",
            what={"dropout_prob": 0.3},
            earlier={"model": start, "vocab": of_vocab},
            files={"metrics.json": "{}"},
        )
    found = standings(project)
    assert found["one"].sources[0].path == checkpoint
    assert found["one"].parent == project / "encoder"
    assert (found["two"].sources[0].random, found["two"].parent) == (
        "random:mini",
        project / "vocab",
    )


def test_classifiers_side_by_side_are_not_taken_for_each_other_s_start(project: Path) -> None:
    tokenizer = (project / "vocab" / "tokenizer.json").read_text()
    config = {"vocab_size": 77}
    shape = replace(SIZES["tiny"], vocab_size=77)
    for name, start in (
        ("one", "a" * 64),
        ("two", fingerprint_of(["random", shape.to_dict()])),
    ):
        finish(
            project / name,
            "finetune",
            earlier={"model": start, "vocab": "b" * 64},
            files={"model/tokenizer.json": tokenizer, "model/config.json": json.dumps(config)},
        )
    later(project / "two", 60)
    found = standings(project / "one", project / "two")
    assert [each.state for each in found.values()] == ["complete", "complete"]
    assert found["two"].sources[0].random == "random:tiny"


def test_several_roles_of_one_kind_are_found_each(project: Path) -> None:
    shards = Manifest.read(project / "shards")
    encoder = Manifest.read(project / "encoder")
    assert shards is not None
    assert encoder is not None
    finish(
        project / "again",
        "pretrain",
        earlier={
            "shards 1": shards.fingerprint,
            "shards 2": "d" * 64,
            "init": model_fingerprint(encoder),
        },
        files={"model/config.json": "{}"},
    )
    found = standings(project)["again"]
    assert [each.path for each in found.sources] == [
        project / "shards",
        None,
        project / "encoder",
    ]
    assert found.parent == project / "encoder"


@pytest.mark.parametrize("harm", ["removed", "resized", "manifest"])
def test_damage_is_named_and_spreads_as_staleness(project: Path, harm: str) -> None:
    file = project / "encoder" / (MANIFEST if harm == "manifest" else MODEL[1])
    if harm == "removed":
        file.unlink()
    else:
        file.write_text("?")
    found = standings(project)
    assert found["encoder"].state == "damaged"
    assert {"removed": "missing", "resized": "1 bytes", "manifest": "isn't one"}[harm] in (
        found["encoder"].damage or ""
    )
    if harm != "manifest":
        assert found["classifier"].state == "stale"


def test_directory_in_use_names_its_holder(project: Path) -> None:
    with locked(project / "encoder"):
        found = standings(project)
        assert f"process {os.getpid()}" in (found["encoder"].holder or "")
    assert found["shards"].holder is None
    assert standings(project)["encoder"].holder is None


def test_shards_are_so_far_as_the_bytes_that_were_read_then_as_the_files_that_were_written(
    tmp_path: Path,
) -> None:
    inputs = tuple(ListedInput(f"/nowhere/{n}.txt", 1000, n) for n in range(4))
    begin(tmp_path / "out", "shard", inputs=inputs)
    assert _progress(tmp_path) == (0.0, "tokenising")
    units = tmp_path / "out" / ".bertctl" / "units"
    units.mkdir(parents=True)
    for number in range(250):
        record = {"key": "key", "files": {}, "result": {"source_bytes": 10}}
        (units / f"sources-0110-0123abcd-{number:05d}.json").write_text(json.dumps(record))
    # The unit of a group lists its pieces, and is none itself.
    UnitStore(tmp_path / "out").build("sources-0110-01234567", "key", lambda _: {"pieces": []})
    assert _progress(tmp_path) == (pytest.approx(0.625), "tokenising")
    (tmp_path / "out" / "validation-00000-of-00002.arrow").write_text("")
    (tmp_path / "out" / "train-00003-of-00008.arrow").write_text("")
    assert _progress(tmp_path) == (0.2, "writing shards")


def test_run_is_so_far_as_its_last_checkpoint_and_while_it_is_at_work_as_its_log(
    tmp_path: Path,
) -> None:
    begin(tmp_path / "out", "pretrain", what={"steps": 40})
    (tmp_path / "out" / "log").mkdir()
    lines = [json.dumps({"step": step, "loss": 1.0}) for step in range(1, 34)]
    (tmp_path / "out" / "log" / "metrics.jsonl").write_text("\n".join(lines) + '\n{"step": 3')
    for step in (10, 20):
        place = tmp_path / "out" / "checkpoints" / f"step-{step:08d}"
        place.mkdir(parents=True)
        (place / "checkpoint.json").write_text("{}")
    assert _progress(tmp_path) == (0.5, "step 20 of 40")
    with locked(tmp_path / "out"):
        assert _progress(tmp_path) == (0.825, "step 33 of 40")


def test_epochs_become_steps_by_the_shards_that_are_found(tmp_path: Path) -> None:
    rows = {"train-00000-of-00002.arrow": 50, "train-00001-of-00002.arrow": 54, "validation": 9}
    shards = finish(
        tmp_path / "shards",
        "shard",
        what={"dupe_factor": 2},
        statistics={"rows": rows},
        files={"a.arrow": ""},
    )
    what = {"steps": None, "epochs": 3.0, "batch_size": 12}
    begin(tmp_path / "out", "pretrain", what=what, earlier={"shards": shards.fingerprint})
    assert _progress(tmp_path) == (0.0, "step 0 of 13")


def test_fine_tuning_is_so_far_as_its_seeds_and_epochs(tmp_path: Path) -> None:
    begin(tmp_path / "out", "finetune", what={"seeds": 4, "epochs": 5})
    UnitStore(tmp_path / "out").build("seed-7", "key", lambda _: {})
    for seed, epochs in ((7, 5), (8, 2)):
        place = tmp_path / "out" / ".bertctl" / f"seed-{seed}" / "checkpoints" / "step-00000010"
        place.mkdir(parents=True)
        record = {"progress": {"epochs": [{}] * epochs}}
        (place / "checkpoint.json").write_text(json.dumps(record))
    assert _progress(tmp_path) == (pytest.approx(0.35), "seed 2 of 4, epoch 2 of 5")


def test_folds_and_grids_are_runs_too(tmp_path: Path) -> None:
    begin(tmp_path / "out", "finetune", what={"seeds": 1, "epochs": 4, "folds": 4})
    for fold in (1, 2):
        UnitStore(tmp_path / "out").build(f"seed-7-fold-{fold}", "key", lambda _: {})
    assert _progress(tmp_path) == (pytest.approx(0.4), "run 3 of 5, epoch 0 of 4")
    begin(tmp_path / "out", "finetune", what={"seeds": 1, "epochs": 4, "grid": True})
    assert _progress(tmp_path) == (None, "2 runs of a grid")


def _progress(place: Path) -> tuple[float | None, str]:
    progress = standings(place)["out"].progress
    assert progress is not None
    return progress.share, progress.phase


def test_others_files_and_hidden_directories_and_environments_are_passed_over(
    project: Path,
) -> None:
    before = set(standings(project))
    (project / "theirs").mkdir()
    (project / "theirs" / RECIPE).write_text('{"stage": "vocab", "servings": 4}')
    for place, mark in ((".hidden", "x"), ("env", "pyvenv.cfg")):
        begin(project / place / "out", "vocab")
        (project / place / mark).write_text("")
    assert set(standings(project)) == before


def test_link_is_followed_once_and_a_circle_ends(project: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "links"
    elsewhere.mkdir()
    (elsewhere / "circle").symlink_to(elsewhere)
    (elsewhere / "linked").symlink_to(project / "encoder")
    assert set(standings(elsewhere)) == {"linked"}


def test_output_that_can_not_be_read_is_told_and_passed_over(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, **_: object) -> str:
        if path.parent == project / "encoder":
            raise PermissionError(13, "Permission denied", str(path))
        return path.read_bytes().decode()

    monkeypatch.setattr(Path, "read_text", refuse)
    overview = status([project])
    assert overview.unreadable == (project / "encoder",)
    assert project / "encoder" not in {each.directory for each in overview.standings}
    assert len(overview.standings) == 3


def test_what_is_no_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such directory; expected a directory"):
        status([tmp_path / "nowhere"])


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [*BERTCTL, *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **environment}
    )


def test_tree_is_plain_text_in_a_pipe_and_one_object_as_json(project: Path) -> None:
    (project / "encoder" / MODEL[1]).unlink()
    done = run(project)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert re.search(r"│  └─ \S*encoder +pretrain +damaged", done.stdout) or re.search(
        r"   └─ \S*encoder +pretrain +damaged", done.stdout
    )
    assert "model/model.safetensors is missing" in done.stdout
    found = json.loads(run(project, "--json").stdout)["directories"]
    assert [each["state"] for each in found] == ["complete", "complete", "damaged", "stale"]
    assert found[3]["made_from"][0]["directory"] == str(project / "encoder")
    assert found[3]["made_from"][2] == {
        "role": "train",
        "fingerprint": "f" * 64,
        "kind": "file",
        "directory": None,
        "random": None,
    }


def test_quiet_says_only_what_is_wrong(project: Path) -> None:
    assert (run(project, "-q").stdout, run(project, "-q").stderr) == ("", "")
    (project / "encoder" / MODEL[1]).unlink()
    done = run(project, "-q")
    assert done.stdout == ""
    assert f"Warning: {project / 'encoder'} is damaged: model/model.safetensors" in done.stderr


def test_status_imports_nothing_heavy(project: Path) -> None:
    code = (
        "import sys\n"
        f"sys.argv = ['bertctl', 'status', {str(project)!r}]\n"
        "from bertctl.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "sys.exit(str({'torch', 'tokenizers', 'pyarrow', 'rich'} & set(sys.modules) or ''))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == ""
    assert "complete" in done.stdout
