"""Every *what* setting of pretraining changes what it says it changes: none is left on the way."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bertctl.model.config import BertConfig
from bertctl.model.pretraining import BertForPreTraining
from bertctl.model.weights import initialise
from bertctl.pipeline.pretrain.settings import ArchitectureSettings, PretrainSettings
from bertctl.pipeline.stage.settings import settings_of

from .pretrain_toys import SMALL, TRAINING, figures_of, run, weights_of, write_shards

BASE = replace(TRAINING, steps=4, batch_size=7, warmup_proportion=0.25)
OTHERS: dict[str, Any] = {
    "model": "mini",
    "num_hidden_layers": 1,
    "hidden_size": 36,
    "num_attention_heads": 4,
    "intermediate_size": 52,
    "max_position_embeddings": 50,
    "hidden_dropout_prob": 0.3,
    "attention_probs_dropout_prob": 0.3,
    "steps": 3,
    "epochs": 0.2,
    "batch_size": 5,
    "learning_rate": 3e-3,
    "warmup_proportion": 0.0,
    "schedule": "cosine",
    "weight_decay": 0.3,
    "clip_grad_norm": 0.1,
    "seed": 7,
    "position_embedding_type": "sinusoidal",
    "shares": None,
    "objective": "mlm",
    "optimizer": "lamb",
    "warmup_steps": 3,
}
INSTEAD_OF = {"epochs": "steps", "warmup_steps": "warmup_proportion"}
ONLY_THE_RATE = ("learning_rate", "warmup_proportion", "warmup_steps", "schedule")


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shards(tmp_path_factory.mktemp("shards"))


@pytest.fixture(scope="module")
def base(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("base") / "run"
    run(shards, output, training=BASE)
    return output


def test_every_setting_is_tried() -> None:
    names = {
        each.name for kind in (ArchitectureSettings, PretrainSettings) for each in settings_of(kind)
    }
    assert set(OTHERS) == names


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(
        each.shape == other[name].shape and torch.equal(each, other[name])
        for name, each in one.items()
    )


@pytest.mark.parametrize("name", [name for name in OTHERS if name != "shares"])
def test_setting_changes_the_weights(shards: Path, base: Path, tmp_path: Path, name: str) -> None:
    architecture, training = SMALL, BASE
    if name in asdict(SMALL):
        architecture = replace(SMALL, **{name: OTHERS[name]})
    elif name in INSTEAD_OF:
        training = replace(BASE, **{INSTEAD_OF[name]: None, name: OTHERS[name]})
    else:
        training = replace(BASE, **{name: OTHERS[name]})
    run(shards, tmp_path / "run", architecture=architecture, training=training)
    before, after = (weights_of(each / "model") for each in (base, tmp_path / "run"))
    assert not same(before, after)
    rates = [
        [each["learning_rate"] for each in figures_of(run)] for run in (base, tmp_path / "run")
    ]
    if name not in ("steps", "epochs"):
        assert (rates[0] != rates[1]) == (name in ONLY_THE_RATE)


def test_repeated_run_has_the_same_weights(shards: Path, base: Path, tmp_path: Path) -> None:
    run(shards, tmp_path / "run", training=BASE)
    assert same(weights_of(base / "model"), weights_of(tmp_path / "run" / "model"))


def test_seed_keys_weights_order_and_dropout(shards: Path, tmp_path: Path) -> None:
    still = replace(BASE, learning_rate=0.0)
    figures = {}
    for seed in (7, 8):
        run(shards, tmp_path / f"{seed}", training=replace(still, seed=seed))
        model = BertForPreTraining(config := _config(tmp_path / f"{seed}"))
        initialise(model, config, seed=seed)
        # At a rate of nothing the weights are those it began with.
        assert same(weights_of(tmp_path / f"{seed}" / "model"), dict(model.state_dict()))
        figures[seed] = [each["tokens"] for each in figures_of(tmp_path / f"{seed}")]
    assert figures[7] != figures[8], "the order of instances"


def _config(output: Path) -> BertConfig:
    return BertConfig.from_dict(json.loads((output / "model" / "config.json").read_text()))
