"""Damage, full disks and odd configurations: what pretraining says of them, and when."""

import json
import resource
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bertctl.model.config import BertConfig
from bertctl.model.pretraining import BertForPreTraining, PretrainingSums
from bertctl.pipeline.errors import BadInput, Stopped, WorkFailed
from bertctl.pipeline.pretrain.settings import ArchitectureSettings
from bertctl.pipeline.shard.request import ShardRequest
from bertctl.pipeline.shard.settings import InstanceSettings
from bertctl.pipeline.shard.stage import shard
from bertctl.pipeline.stage.report import Silent
from bertctl.pipeline.training.model_layout import TOKENIZER_FILES

from .corpora import write_corpus, write_vocabulary
from .pretrain_toys import HOW, SMALL, TRAINING, Recording, command, flip, run, write_shards

ONE_STEP = replace(TRAINING, steps=1)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shards(tmp_path_factory.mktemp("shards"))


@pytest.fixture
def copy(shards: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(shards, tmp_path / "copy"))


@pytest.mark.parametrize("name", TOKENIZER_FILES)
def test_damaged_vocabulary_of_shards_never_becomes_a_models(
    copy: Path, tmp_path: Path, name: str
) -> None:
    flip(copy / name)
    with pytest.raises(BadInput, match=rf"{name} is damaged"):
        run(copy, tmp_path / "run", training=ONE_STEP)
    assert not (tmp_path / "run" / "manifest.json").exists()
    assert not (tmp_path / "run" / "model").exists()


def _without_statistics(manifest: dict[str, Any]) -> None:
    manifest["statistics"] = {}


def _without_a_shards_rows(manifest: dict[str, Any]) -> None:
    del manifest["statistics"]["rows"]["train-00001-of-00004.arrow"]


def _with_words_for_numbers(manifest: dict[str, Any]) -> None:
    manifest["recipe"]["what"]["max_seq_length"] = "forty"


@pytest.mark.parametrize(
    ("spoil", "lacking"),
    [
        (_without_statistics, "vocab_size"),
        (_without_a_shards_rows, "rows of train-00001"),
        (_with_words_for_numbers, "max_seq_length"),
    ],
)
def test_manifest_of_shards_that_lacks_a_figure_is_named(
    copy: Path, tmp_path: Path, spoil: Callable[[dict[str, Any]], None], lacking: str
) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    spoil(manifest)
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BadInput, match=rf"manifest\.json is damaged: it doesn't say {lacking}"):
        run(copy, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def _sizes(shards: Path, directory: Path) -> tuple[int, int]:
    run(shards, directory, training=ONE_STEP)
    newest = directory / "checkpoints" / "step-00000001"
    names = ("model/model.safetensors", "optimizer.safetensors")
    weights, optimizer = ((newest / name).stat().st_size for name in names)
    return weights, optimizer


@pytest.mark.parametrize("which", ["weights", pytest.param("optimizer", marks=pytest.mark.slow)])
def test_disk_without_room_for_a_checkpoint_is_named_without_a_traceback(
    shards: Path, tmp_path: Path, which: str
) -> None:
    weights, optimizer = _sizes(shards, tmp_path / "sizes")
    room = weights - 1 if which == "weights" else optimizer - 1
    assert weights < optimizer - 1

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    output = tmp_path / "run"
    ended = subprocess.run(
        command(shards, output), preexec_fn=limit, capture_output=True, text=True
    )
    assert ended.returncode == 1, ended.stderr
    name = {"weights": "model/model.safetensors", "optimizer": "optimizer.safetensors"}[which]
    assert f"{output}/.bertctl/aside/checkpoint/{name}: File too large" in ended.stderr
    assert "Traceback" not in ended.stderr
    again = subprocess.run(command(shards, output), capture_output=True, text=True)
    assert again.returncode == 0, again.stderr


def test_configuration_file_is_told_what_of_it_is_left_aside(shards: Path, tmp_path: Path) -> None:
    given = {
        **asdict(BertConfig(vocab_size=777, hidden_size=32, num_attention_heads=2)),
        "num_hidden_layers": 1,
        "intermediate_size": 48,
        "pad_token_id": 5,
        "hiden_act": "relu",
        "transformers_version": "5.0",
        "id2label": {"0": "no"},
    }
    reporter = Recording()
    architecture = ArchitectureSettings()
    run(
        shards,
        tmp_path / "run",
        config=given,
        architecture=architecture,
        training=ONE_STEP,
        reporter=reporter,
    )
    said = "\n".join(reporter.said)
    assert "vocab_size 777; the shards' vocabulary has " in said
    assert "pad_token_id 5; the shards' vocabulary has 0" in said
    assert "hiden_act" in said
    assert "transformers_version" not in said
    assert "id2label" not in said


@pytest.mark.parametrize(("width", "told"), [(768, True), (32, False)])
def test_large_model_on_a_processor_is_told_to_take_long(
    shards: Path, tmp_path: Path, width: int, told: bool
) -> None:
    reporter = Recording()
    with pytest.raises(Stopped):
        run(
            shards,
            tmp_path / "run",
            architecture=replace(SMALL, hidden_size=width, num_hidden_layers=1),
            training=replace(TRAINING, steps=10**7, batch_size=2),
            how=replace(HOW, checkpoint_every=1000),
            reporter=reporter,
            should_stop=lambda: True,
        )
    assert any("hours" in said and "--model tiny" in said for said in reporter.said) == told


def test_no_held_out_documents_are_said_with_the_reason(tmp_path: Path) -> None:
    request = ShardRequest(
        inputs=(str(write_corpus(tmp_path / "corpus", files=2)),),
        vocab=write_vocabulary(tmp_path / "vocab.txt"),
        instances=InstanceSettings(max_seq_length=40, dupe_factor=1, validation_fraction=0.0),
    )
    shard(request, tmp_path / "shards", reporter=Silent())
    reporter = Recording()
    done = run(tmp_path / "shards", tmp_path / "run", training=ONE_STEP, reporter=reporter)
    assert any("no held-out documents (--validation-fraction 0" in said for said in reporter.said)
    assert done.manifest.statistics["validation"] is None
    assert done.manifest.statistics["baseline"] is None


def test_memory_too_small_for_an_evaluation_names_the_setting_that_needs_less(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed = BertForPreTraining.forward

    def forward(model: BertForPreTraining, *given: Any) -> PretrainingSums:
        if not model.training:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB.")
        return computed(model, *given)

    monkeypatch.setattr(BertForPreTraining, "forward", forward)
    with pytest.raises(WorkFailed, match="isn't enough memory") as failed:
        run(shards, tmp_path / "run", training=ONE_STEP)
    assert "--micro-batch-size" in failed.value.hint


def test_token_beyond_the_vocabulary_is_refused_before_it_is_trained_on(
    copy: Path, tmp_path: Path
) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["statistics"]["vocab_size"] -= 8
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BadInput, match=r"holds a token \d+; its vocabulary ends before"):
        run(copy, tmp_path / "run", training=ONE_STEP)
    assert not (tmp_path / "run" / "manifest.json").exists()
