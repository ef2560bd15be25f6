"""Sequences encoded as wholes, and the mix of layers, against what they are made of."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor, nn

from bertctl.model.dropout import DropoutKey
from bertctl.model.encoder import BertModel
from bertctl.model.mixing import BertForMixedFeatures, LayerMix, Reads
from bertctl.model.optimiser import adamw, decays
from bertctl.model.tokens import Tokens
from bertctl.model.weights import initialise

from .model_batches import SMALL, padded_batch, randomise

CONFIG = dataclasses.replace(SMALL, num_hidden_layers=3)
KEY = DropoutKey(seed=1, step=2, position=3)


def tokens() -> Tokens:
    return padded_batch((32, 4, 17, 9, 1)).packed().tokens


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: each.grad for name, each in model.named_parameters() if each.grad is not None}


def test_sequence_as_a_whole_is_that_of_encoding_every_row() -> None:
    quiet = dataclasses.replace(CONFIG, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    models = [BertModel(quiet).double(), BertModel(quiet).double()]
    for model in models:
        randomise(model)
    one = models[0].pooled(tokens())
    other = models[1].pool(models[1](tokens()), tokens())
    torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
    for each in (one, other):
        (each * torch.arange(21.0)).sum().backward()
    assert gradients(models[0]).keys() == gradients(models[1]).keys()
    for name, each in gradients(models[0]).items():
        torch.testing.assert_close(each, gradients(models[1])[name], rtol=1e-9, atol=1e-10)


def test_last_of_every_layer_is_what_encoding_gives() -> None:
    model = BertModel(CONFIG).eval()
    randomise(model)
    several = model.every_layer(tokens())
    assert len(several) == 1 + CONFIG.num_hidden_layers
    assert torch.equal(several[-1], model(tokens()))
    assert torch.equal(several[0], model.embeddings(tokens(), None))


def test_mix_is_the_sum_by_hand() -> None:
    mix = LayerMix(dataclasses.replace(CONFIG, num_hidden_layers=2, hidden_size=3), 5)
    with torch.no_grad():
        mix.layer_weights.copy_(torch.tensor([0.0, math.log(2), math.log(5)]))
        mix.gamma.fill_(4.0)
    layers = [
        torch.tensor([[8.0, 0.0, 1.0], [0.0, 0.0, 0.0]]),
        torch.tensor([[0.0, 8.0, 1.0], [1.0, 1.0, 1.0]]),
        torch.tensor([[0.0, 0.0, 1.0], [2.0, -2.0, 0.0]]),
    ]
    # Shares 1/8, 2/8 and 5/8, times 4.
    expected = torch.tensor([[4.0, 8.0, 4.0], [6.0, -4.0, 1.0]])
    torch.testing.assert_close(mix.mixed(layers), expected)


@pytest.mark.parametrize("reads", ["sequences", "tokens"])
def test_scores_are_the_classifiers_of_the_mix(reads: Reads) -> None:
    model = BertForMixedFeatures(CONFIG, num_outputs=7, reads=reads).eval()
    randomise(model)
    layers = model.bert.every_layer(tokens())
    shares = model.mix.layer_weights.exp() / model.mix.layer_weights.exp().sum()
    mixed = model.mix.gamma * sum(
        share * layer for share, layer in zip(shares, layers, strict=True)
    )
    scores = mixed @ model.mix.classifier.weight.T + model.mix.classifier.bias
    if reads == "sequences":
        scores = scores[tokens().layout.starts]
    torch.testing.assert_close(model(tokens()), scores, rtol=1e-4, atol=1e-4)


def test_mix_begins_with_equal_shares_and_every_part_of_it_is_learnt() -> None:
    model = BertForMixedFeatures(CONFIG, num_outputs=7, reads="sequences")
    initialise(model, CONFIG, seed=1)
    assert model.mix.layer_weights.tolist() == [0.0] * 4
    assert model.mix.gamma.item() == 1.0
    model.bert.fix()
    before = {name: each.detach().clone() for name, each in model.named_parameters()}
    optimizer = adamw(model, learning_rate=0.1, weight_decay=0.5)
    assert {name for name in before if not decays(name)} >= {"mix.layer_weights", "mix.gamma"}
    torch.nn.functional.cross_entropy(model.train()(tokens(), KEY), torch.arange(5)).backward()
    optimizer.step()
    for name, each in model.named_parameters():
        assert torch.equal(each, before[name]) != name.startswith("mix."), name
    assert len(set(model.mix.layer_weights.tolist())) > 1


def test_fixed_encoder_is_a_function_of_the_text() -> None:
    model = BertModel(CONFIG).train()
    randomise(model)
    with pytest.raises(ValueError, match="DropoutKey"):
        model(tokens())
    assert not torch.equal(model(tokens(), KEY), model.eval()(tokens()))
    model.train().fix()
    assert torch.equal(model(tokens(), KEY), model.eval()(tokens()))
    assert not any(each.requires_grad for each in model.parameters())
