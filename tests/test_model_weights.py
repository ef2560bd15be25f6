"""Weights: drawn from a seed alone, saved under Hugging Face's names, loaded strictly."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest
import torch
import transformers
from torch import Tensor
from transformers.models.distilbert.modeling_distilbert import create_sinusoidal_embeddings

from bertctl.model.config import ARCHITECTURES, BertConfig, Objective
from bertctl.model.finetuning import BertForSequenceClassification
from bertctl.model.optimiser import adamw
from bertctl.model.positions import sinusoids
from bertctl.model.pretraining import BertForPreTraining
from bertctl.model.weights import canonical_state_dict, initialise

from .model_batches import SMALL, padded_batch, randomise

WIDE = BertConfig(
    vocab_size=211,
    hidden_size=96,
    num_hidden_layers=3,
    num_attention_heads=4,
    intermediate_size=160,
    initializer_range=0.05,
)
SINUSOIDAL = replace(SMALL, position_embedding_type="sinusoidal", initializer_range=0.05)


def drawn(seed: int) -> dict[str, Tensor]:
    model = BertForPreTraining(WIDE)
    initialise(model, WIDE, seed=seed)
    return model.state_dict()


def test_weights_depend_on_the_seed_and_on_nothing_else() -> None:
    torch.manual_seed(1)
    one = drawn(3)
    torch.manual_seed(2)
    torch.rand(5)
    state = torch.get_rng_state()
    two, other = drawn(3), drawn(4)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["bert.pooler.dense.weight"], other["bert.pooler.dense.weight"])


def test_initialisation_has_the_papers_distribution() -> None:
    state = drawn(3)
    for name, parameter in state.items():
        if name.endswith("bias"):
            assert parameter.count_nonzero() == 0, name
        elif "LayerNorm" in name:
            assert torch.equal(parameter, torch.ones_like(parameter)), name
        elif parameter.numel() > 1000:
            assert float(parameter.std()) == pytest.approx(0.05, rel=0.05), name
            assert abs(float(parameter.mean())) < 0.05 * 4 / parameter.numel() ** 0.5, name
    assert state["bert.embeddings.word_embeddings.weight"][0].count_nonzero() == 0
    queries = [state[f"bert.encoder.layer.{n}.attention.self.query.weight"] for n in range(3)]
    assert not torch.equal(queries[0], queries[1])


def test_encoder_begins_the_same_under_every_head() -> None:
    classifier = BertForSequenceClassification(WIDE, num_labels=3)
    initialise(classifier, WIDE, seed=3)
    pretraining = drawn(3)
    for name, parameter in classifier.bert.state_dict().items():
        assert torch.equal(parameter, pretraining[f"bert.{name}"]), name


@pytest.mark.parametrize("position_embedding_type", ["absolute", "sinusoidal"])
@pytest.mark.parametrize("objective", ARCHITECTURES)
def test_saved_names_are_those_transformers_saves(
    objective: Objective, position_embedding_type: Literal["absolute", "sinusoidal"]
) -> None:
    config = replace(
        SMALL,
        is_decoder=objective == "causal",
        position_embedding_type=position_embedding_type,
    )
    peer_class = getattr(transformers, ARCHITECTURES[objective])
    peer = peer_class(transformers.BertConfig(**config.to_dict()))
    tied = {"cls.predictions.decoder.weight", "cls.predictions.decoder.bias"}
    ours = BertForPreTraining(config, objective=objective).state_dict()
    theirs = peer.state_dict()
    assert set(ours) == set(theirs) - tied
    assert {name: each.shape for name, each in ours.items()} == {
        name: theirs[name].shape for name in ours
    }


@pytest.mark.parametrize("config", [SMALL, SINUSOIDAL], ids=["learned", "sinusoidal"])
def test_transformers_given_our_weights_gives_our_logits(config: BertConfig) -> None:
    model = BertForPreTraining(config).double().eval()
    randomise(model)
    peer = transformers.BertForPreTraining(
        transformers.BertConfig(**config.to_dict(), attn_implementation="eager")
    )
    missing = peer.double().eval().load_state_dict(model.state_dict(), strict=False)
    assert set(missing.missing_keys) <= {
        "cls.predictions.decoder.weight",
        "cls.predictions.decoder.bias",
    }
    assert missing.unexpected_keys == []
    batch = padded_batch((5, 5))
    theirs = peer(batch.input_ids, batch.attention_mask, batch.token_type_ids)
    ours, _ = model.logits(batch.padded().tokens)
    torch.testing.assert_close(ours.view(2, 5, -1), theirs.prediction_logits, rtol=1e-9, atol=1e-12)


def test_old_names_become_todays() -> None:
    model = BertForPreTraining(SMALL)
    randomise(model)
    state = model.state_dict()
    old: dict[str, Tensor] = {
        name.removeprefix("bert.")
        .replace("LayerNorm.weight", "LayerNorm.gamma")
        .replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for name, tensor in state.items()
    }
    old["embeddings.position_ids"] = torch.arange(32)
    old["cls.predictions.decoder.weight"] = state["bert.embeddings.word_embeddings.weight"].clone()
    old["cls.predictions.decoder.bias"] = old.pop("cls.predictions.bias")
    today = canonical_state_dict(old)
    assert set(today) == set(state)
    assert all(torch.equal(today[name], state[name]) for name in state)


def test_untied_decoder_is_refused() -> None:
    state = BertForPreTraining(SMALL).state_dict()
    state["cls.predictions.decoder.weight"] = torch.ones(101, 21)
    with pytest.raises(ValueError, match="decoder"):
        canonical_state_dict(state)


def test_loading_is_strict() -> None:
    state = BertForPreTraining(SMALL).state_dict()
    del state["bert.pooler.dense.bias"]
    with pytest.raises(RuntimeError, match="pooler"):
        BertForPreTraining(SMALL).load_state_dict(state)


def test_sinusoidal_table_is_that_of_distilbert_as_high_as_words_begin() -> None:
    theirs = torch.empty(32, 20)
    create_sinusoidal_embeddings(32, 20, theirs)
    torch.testing.assert_close(sinusoids(32, 20).float(), theirs, rtol=1e-5, atol=1e-6)
    table = BertForPreTraining(SINUSOIDAL).state_dict()[
        "bert.embeddings.position_embeddings.weight"
    ]
    torch.testing.assert_close(table, 0.05 * sinusoids(32, 21).float(), rtol=0, atol=0)


def test_sinusoidal_table_is_neither_drawn_nor_trained() -> None:
    model = BertForPreTraining(SINUSOIDAL)
    before = model.bert.embeddings.position_embeddings.weight.clone()
    initialise(model, SINUSOIDAL, seed=3)
    optimizer = adamw(model, learning_rate=0.1, weight_decay=0.1)
    model.eval()(padded_batch((5, 3)).packed()).mlm_loss_sum.backward()
    optimizer.step()
    assert torch.equal(model.bert.embeddings.position_embeddings.weight, before)
    assert not any("position" in name for name, _ in model.named_parameters())


@pytest.mark.parametrize(("is_decoder", "objective"), [(True, "mlm"), (False, "causal")])
def test_only_a_decoder_learns_to_predict_what_comes(
    is_decoder: bool, objective: Objective
) -> None:
    with pytest.raises(ValueError, match="is_decoder"):
        BertForPreTraining(replace(SMALL, is_decoder=is_decoder), objective=objective)
