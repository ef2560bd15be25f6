import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

from bertctl.model.pretraining import BertForPreTraining
from bertctl.pipeline.errors import BadInput
from bertctl.pipeline.inspect.model import look_at_model
from bertctl.pipeline.inspect.subject import subject_of
from bertctl.pipeline.stage.files import FileRecord, write_json
from bertctl.pipeline.stage.manifest import Manifest
from bertctl.pipeline.stage.recipe import Recipe
from bertctl.pipeline.training.checkpoint_record import CheckpointRecord

from .test_predict import CONFIG, write, write_classifier

RECIPE = Recipe(
    "pretrain",
    2,
    {"steps": 40, "batch_size": 9, "epochs": None, "objective": "mlm+nsp"},
    earlier={"shards": "ab" * 32},
)
FIGURES = {"mlm_loss": 2.5, "mlm_accuracy": 0.25}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write(tmp_path / "model", BertForPreTraining(CONFIG), "BertForPreTraining")


@pytest.fixture
def run(model: Path, tmp_path: Path) -> Path:
    """A finished run with the model."""
    place = tmp_path / "run"
    shutil.copytree(model, place / "model")
    write_json(place / "recipe.json", RECIPE.as_json())
    files = {f"model/{each.name}": FileRecord.of(each) for each in model.iterdir()}
    statistics = {"validation": {"step": 40, **FIGURES}, "baseline": {"mlm_loss": 3.5}}
    Manifest(RECIPE, "0", files, statistics=statistics).write(place, aside=place / ".aside")
    return place


def write_checkpoint(run: Path, model: Path, step: int) -> Path:
    place = run / "checkpoints" / f"step-{step:08d}"
    shutil.copytree(model, place / "model")
    (place / "optimizer.safetensors").write_bytes(b"")
    files = {str(each.relative_to(place)): FileRecord.of(each) for each in place.rglob("*.*")}
    CheckpointRecord(step, {"last": {"step": step, **FIGURES}}, files).write(place)
    return place


def test_parts_are_all_weights_with_their_norms(model: Path) -> None:
    look = look_at_model(model)
    weights = safetensors.torch.load_file(model / "model.safetensors")
    assert look.parameters == sum(each.numel() for each in weights.values())
    assert sum(part.parameters for part in look.parts) == look.parameters
    assert [part.name for part in look.parts] == [
        "position embeddings",
        "token type embeddings",
        "word embeddings",
        "embeddings, norm",
        "layer 0, attention",
        "layer 0, feed-forward",
        "layer 1, attention",
        "layer 1, feed-forward",
        "pooler",
        "prediction head",
        "next-sentence head",
    ]
    by_name = {part.name: part for part in look.parts}
    for name, start in (
        ("word embeddings", "bert.embeddings.word_embeddings"),
        ("layer 1, attention", "bert.encoder.layer.1.attention"),
        ("prediction head", "cls.predictions"),
    ):
        values = torch.cat(
            [each.flatten() for key, each in weights.items() if key.startswith(start)]
        )
        part = by_name[name]
        assert part.parameters == len(values)
        assert part.norm == pytest.approx(float(values.double().norm()))
        assert part.rms == pytest.approx(float(values.double().square().mean().sqrt()))
        assert part.largest == pytest.approx(float(values.abs().max()))


def test_weights_that_are_repeated_count_once_and_bfloat16_is_read(model: Path) -> None:
    before = look_at_model(model)
    weights = safetensors.torch.load_file(model / "model.safetensors")
    own = weights["bert.embeddings.word_embeddings.weight"]
    weights["cls.predictions.decoder.weight"] = own.clone()
    half = {name: each.bfloat16() for name, each in weights.items()}
    safetensors.torch.save_file(half, model / "model.safetensors")
    look = look_at_model(model)
    assert (look.parameters, look.dtype) == (before.parameters, "BF16")
    for one, other in zip(look.parts, before.parts, strict=True):
        assert one.norm == pytest.approx(other.norm, rel=5e-3)


def test_finished_run_tells_what_it_was_trained_on_and_came_to(run: Path) -> None:
    look = look_at_model(run)
    assert (look.kind, look.directory, look.step) == ("pretrain run", run / "model", None)
    assert look.training == {"objective": "mlm+nsp", "steps": 40, "batch_size": 9}
    assert look.made_from == {"shards": "ab" * 32}
    assert look.figures["validation"] == {"step": 40, **FIGURES}
    assert look.figures["baseline"] == {"mlm_loss": 3.5}


def test_run_that_is_not_finished_shows_its_newest_checkpoint(run: Path, model: Path) -> None:
    (run / "manifest.json").unlink()
    shutil.rmtree(run / "model")
    with pytest.raises(BadInput, match="has no model yet: `bertctl pretrain` began it"):
        look_at_model(run)
    write_checkpoint(run, model, 20)
    checkpoint = write_checkpoint(run, model, 30)
    for place, kind in ((run, "pretrain run"), (checkpoint, "checkpoint")):
        look = look_at_model(place)
        assert (look.kind, look.step, look.directory) == (kind, 30, checkpoint / "model")
        assert look.figures == {"validation": {"step": 30, **FIGURES}}
        assert look.training["steps"] == 40


def test_classifier_tells_its_labels_in_their_order(tmp_path: Path) -> None:
    labels = [f"label {number}" for number in range(12)]
    look = look_at_model(write_classifier(tmp_path / "model", labels))
    assert list(look.labels) == labels
    assert [part.name for part in look.parts][-2:] == ["pooler", "task head"]


def test_weights_that_are_no_numbers_show_and_are_null_in_json(model: Path) -> None:
    weights = safetensors.torch.load_file(model / "model.safetensors")
    weights["bert.pooler.dense.bias"][1] = torch.nan
    safetensors.torch.save_file(weights, model / "model.safetensors")
    (part,) = [each for each in look_at_model(model).as_json()["parts"] if each["name"] == "pooler"]
    assert (part["norm"], part["rms"], part["largest"]) == (None, None, None)
    assert json.loads(json.dumps(look_at_model(model).as_json(), allow_nan=False))


def test_damaged_model_is_named(model: Path) -> None:
    (model / "model.safetensors").write_bytes(b"1234567890")
    with pytest.raises(BadInput, match=r"model\.safetensors can't be read: no header"):
        look_at_model(model)
    (model / "config.json").write_text('{"hidden_size": "many"}')
    with pytest.raises(BadInput, match="doesn't describe a BERT"):
        look_at_model(model)


def test_what_is_named_is_told_apart(run: Path, model: Path) -> None:
    checkpoint = write_checkpoint(run, model, 20)
    for place in (run, model, checkpoint):
        assert subject_of([str(place)]) == "model"
    (model / "model.safetensors").unlink()
    assert subject_of([str(model)]) == "vocab"


def test_command_shows_tables_and_the_vocabulary_where_a_text_is_given(run: Path) -> None:
    def inspect(*arguments: str) -> str:
        command = [sys.executable, "-m", "bertctl", "inspect", str(run), *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    shown = inspect()
    assert "validation mlm accuracy" in shown
    assert "25.0%" in shown
    assert "layer 1, feed-forward" in shown
    assert json.loads(inspect("--json"))["kind"] == "pretrain run"
    assert "the text, 2 tokens" in inspect("--text", "river stone")
