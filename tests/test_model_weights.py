"""Weights: drawn from a seed alone, saved under Hugging Face's names, loaded strictly."""

from __future__ import annotations

import pytest
import torch
import transformers
from torch import Tensor

from bertctl.model.config import BertConfig
from bertctl.model.finetuning import BertForSequenceClassification
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


def test_saved_names_are_those_transformers_saves() -> None:
    peer = transformers.BertForPreTraining(transformers.BertConfig(**SMALL.to_dict()))
    tied = {"cls.predictions.decoder.weight", "cls.predictions.decoder.bias"}
    ours = BertForPreTraining(SMALL).state_dict()
    theirs = peer.state_dict()
    assert set(ours) == set(theirs) - tied
    assert {name: each.shape for name, each in ours.items()} == {
        name: theirs[name].shape for name in ours
    }


def test_transformers_given_our_weights_gives_our_logits() -> None:
    model = BertForPreTraining(SMALL).double().eval()
    randomise(model)
    peer = transformers.BertForPreTraining(
        transformers.BertConfig(**SMALL.to_dict(), attn_implementation="eager")
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
