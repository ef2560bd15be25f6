"""The configuration: Google's sizes, Hugging Face's file, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import pytest
import torch
import transformers

from bertctl.model.config import ARCHITECTURES, SIZES, BertConfig, Objective
from bertctl.model.pretraining import BertForPreTraining


def test_defaults_are_transformers_defaults() -> None:
    theirs = transformers.BertConfig().to_dict()
    for name, value in BertConfig().to_dict().items():
        assert name == "position_embedding_type" or theirs[name] == value, name


@pytest.mark.parametrize(
    ("size", "millions"),
    # Devlin et al. 2018 (base, large) and google-research/bert's README (the others).
    [("tiny", 4.4), ("mini", 11.2), ("small", 28.8), ("medium", 41.4), ("base", 109.5)],
)
def test_sizes_have_the_published_numbers_of_encoder_parameters(size: str, millions: float) -> None:
    with torch.device("meta"):
        encoder = BertForPreTraining(SIZES[size]).bert
    assert sum(each.numel() for each in encoder.parameters()) / 1e6 == pytest.approx(
        millions, rel=0.01
    )


def test_large_is_the_papers_large() -> None:
    large = SIZES["large"]
    assert (large.num_hidden_layers, large.hidden_size, large.num_attention_heads) == (24, 1024, 16)


def test_dict_survives_json_and_transformers() -> None:
    config = dataclasses.replace(SIZES["mini"], vocab_size=77, hidden_dropout_prob=0.25)
    content = json.loads(json.dumps(config.to_dict()))
    assert BertConfig.from_dict(content) == config
    theirs = transformers.BertConfig.from_dict(content).to_dict()
    assert BertConfig.from_dict(theirs) == config


def test_sinusoidal_table_is_looked_up_by_any_transformers_and_told_apart_by_us() -> None:
    config = dataclasses.replace(SIZES["tiny"], position_embedding_type="sinusoidal")
    content = json.loads(json.dumps(config.to_dict()))
    assert content["position_embedding_type"] == "absolute"
    assert BertConfig.from_dict(content) == config
    assert BertConfig.from_dict(transformers.BertConfig.from_dict(content).to_dict()) == config
    assert BertConfig.unknown_keys(content) == ()
    assert set(content) - set(BertConfig().to_dict()) == {"sinusoidal_pos_embds"}


def test_left_to_right_model_is_a_decoder_to_transformers() -> None:
    content = dataclasses.replace(SIZES["tiny"], is_decoder=True).to_dict()
    assert transformers.BertConfig.from_dict(content).is_decoder
    assert BertConfig.from_dict(content).is_decoder


@pytest.mark.parametrize("objective", ARCHITECTURES)
def test_objectives_architecture_is_a_class_of_transformers(objective: Objective) -> None:
    assert issubclass(getattr(transformers, ARCHITECTURES[objective]), transformers.PreTrainedModel)


def test_google_bert_config_is_read() -> None:
    content = {
        "hidden_size": 128,
        "num_attention_heads": 2,
        "vocab_size": 99,
        "directionality": "bidi",
    }
    config = BertConfig.from_dict(content)
    assert (config.hidden_size, config.vocab_size, config.type_vocab_size) == (128, 99, 2)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model_type", "roberta"),
        ("add_cross_attention", True),
        ("tie_word_embeddings", False),
        ("pruned_heads", {"0": [1]}),
        ("position_embedding_type", "relative_key"),
        ("hidden_act", "silu"),
    ],
)
def test_key_that_changes_the_computation_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        BertConfig.from_dict({**BertConfig().to_dict(), name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("vocab_size", 0),
        ("num_hidden_layers", 2.0),
        ("hidden_size", True),
        ("num_attention_heads", 5),
        ("hidden_dropout_prob", 1),
        ("attention_probs_dropout_prob", -0.1),
        ("classifier_dropout", 1.5),
        ("layer_norm_eps", 0),
        ("initializer_range", "0.02"),
        ("pad_token_id", 30522),
        ("is_decoder", "yes"),
        ("position_embedding_type", "rotary"),
    ],
)
def test_impossible_number_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        BertConfig.from_dict({name: value})


def test_config_imports_nothing_heavy() -> None:
    code = (
        "import sys, bertctl.model.config;"
        "print(sorted({'torch', 'numpy', 'pyarrow', 'tokenizers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
