"""Every *what* setting of fine-tuning changes what it says it changes: none is left on the way."""

import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from bertctl.model.finetuning import BertForSequenceClassification
from bertctl.model.weights import initialise
from bertctl.pipeline.finetune.settings import FinetuneHow, FinetuneSettings
from bertctl.pipeline.finetune.stage import finetune
from bertctl.pipeline.stage.report import Silent
from bertctl.pipeline.stage.settings import settings_of

from .finetune_toys import CONFIG, LABELS, request, write_start, write_task

BASE: dict[str, Any] = {"epochs": 2, "batch_size": 16, "warmup_proportion": 0.25}
OTHERS: dict[str, Any] = {
    "epochs": 1,
    "batch_size": 11,
    "learning_rate": 4e-3,
    "warmup_proportion": 0.0,
    "schedule": "cosine",
    "weight_decay": 0.3,
    "clip_grad_norm": 0.1,
    "max_seq_length": 9,
    "dropout_prob": 0.3,
    "class_weights": "balanced",
    "train_layers": 1,
    "layer_lr_decay": 0.5,
    "seed": 7,
}
ONLY_THE_RATE = ("learning_rate", "warmup_proportion", "schedule")
# Which rows, columns and runs there are, and what only some tasks know: each has a test of its own.
NOT_OF_ONE_RUN = {
    "task",
    "text_column",
    "text_pair_column",
    "label_column",
    "ignore_label",
    "seeds",
    "grid",
    "folds",
    "early_stopping",
    "choice_column",
    "problem_type",
    "tag_scheme",
    "convert_tags",
    "long_text",
    "doc_stride",
    "window_pooling",
    "max_query_length",
    "max_answer_length",
    "n_best_size",
    "null_score_diff_threshold",
    "answer_metric",
    "features",
}


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("task")
    write_task(directory, train=50)
    return directory


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_start(tmp_path_factory.mktemp("start"))


@pytest.fixture(scope="module")
def base(task: Path, start: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("base") / "out"
    fit(task, start, output)
    return output


def fit(task: Path, start: Path, output: Path, **settings: Any) -> None:
    how = FinetuneHow(log_every=1)
    asked = request(task, model=start, parts=("train",), how=how, **{**BASE, **settings})
    finetune(asked, output, reporter=Silent())


def weights_of(output: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(output / "model" / "model.safetensors")


def rates_of(output: Path) -> list[float]:
    (log,) = (output / "log").glob("seed-*.jsonl")
    lines = map(json.loads, log.read_text().splitlines())
    return [each["learning_rate"] for each in lines if "learning_rate" in each]


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    assert one.keys() == other.keys()
    return all(torch.equal(each, other[name]) for name, each in one.items())


def test_every_setting_is_tried() -> None:
    assert set(OTHERS) | NOT_OF_ONE_RUN == {each.name for each in settings_of(FinetuneSettings)}


@pytest.mark.parametrize("name", OTHERS)
def test_setting_changes_the_weights(
    task: Path, start: Path, base: Path, tmp_path: Path, name: str
) -> None:
    fit(task, start, tmp_path / "out", **{name: OTHERS[name]})
    assert not same(weights_of(base), weights_of(tmp_path / "out"))
    if name not in ("epochs", "batch_size"):
        assert (rates_of(base) != rates_of(tmp_path / "out")) == (name in ONLY_THE_RATE)


def test_repeated_run_has_the_same_weights(
    task: Path, start: Path, base: Path, tmp_path: Path
) -> None:
    fit(task, start, tmp_path / "out")
    assert same(weights_of(base), weights_of(tmp_path / "out"))


def test_seed_keys_the_new_head(task: Path, start: Path, tmp_path: Path) -> None:
    for seed in (7, 8):
        fit(task, start, tmp_path / f"{seed}", seed=seed, learning_rate=0.0)
        model = BertForSequenceClassification(CONFIG, num_labels=len(LABELS))
        initialise(model, CONFIG, seed=seed)
        made = weights_of(tmp_path / f"{seed}")["classifier.weight"]
        assert torch.equal(made, model.state_dict()["classifier.weight"])
