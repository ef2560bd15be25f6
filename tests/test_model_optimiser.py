"""AdamW's groups and clipping, against torch's own and by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bertctl.model.optimiser import adamw, clip_gradients
from bertctl.model.pretraining import BertForPreTraining

from .model_batches import SMALL, randomise


def test_biases_and_normalisations_do_not_decay_and_all_else_does() -> None:
    model = BertForPreTraining(SMALL)
    names = {parameter: name for name, parameter in model.named_parameters()}
    decayed, kept = adamw(model, learning_rate=0.1, weight_decay=0.01).param_groups
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.01, 0.0)
    assert all(each.ndim == 2 for each in decayed["params"])
    assert all(each.ndim == 1 for each in kept["params"])
    assert len(decayed["params"]) + len(kept["params"]) == len(names)


def test_a_step_is_that_of_unfused_adamw() -> None:
    models = [BertForPreTraining(SMALL), BertForPreTraining(SMALL)]
    for model in models:
        randomise(model)
    ours = adamw(models[0], learning_rate=0.1, weight_decay=0.3)
    groups = [
        {"params": [p for p in models[1].parameters() if p.ndim == 2], "weight_decay": 0.3},
        {"params": [p for p in models[1].parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    plain = torch.optim.AdamW(groups, lr=0.1, betas=(0.9, 0.999), eps=1e-6, foreach=False)
    for seed in range(3):
        for model, optimizer in zip(models, (ours, plain), strict=True):
            generator = torch.Generator().manual_seed(seed)
            for parameter in model.parameters():
                parameter.grad = torch.randn(parameter.shape, generator=generator)
            optimizer.step()
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_frozen_parameters_are_left_out() -> None:
    model = BertForPreTraining(SMALL)
    model.bert.requires_grad_(False)
    groups = adamw(model, learning_rate=0.1, weight_decay=0.01).param_groups
    assert sum(len(group["params"]) for group in groups) == len(list(model.cls.parameters()))


def with_gradients() -> list[nn.Parameter]:
    parameters = [
        nn.Parameter(torch.zeros(3, 5)),
        nn.Parameter(torch.zeros(7)),
        nn.Parameter(torch.zeros(2)),
    ]
    parameters[0].grad = torch.full((3, 5), 2.0)
    parameters[1].grad = torch.full((7,), -2.0)
    return parameters


def test_clipping_returns_the_norm_and_scales_all_gradients_alike() -> None:
    parameters = with_gradients()
    norm = clip_gradients(parameters, 1.0)
    assert float(norm) == pytest.approx(88**0.5)
    assert parameters[0].grad is not None
    assert parameters[1].grad is not None
    torch.testing.assert_close(parameters[0].grad, torch.full((3, 5), 2 / 88**0.5))
    torch.testing.assert_close(parameters[1].grad, torch.full((7,), -2 / 88**0.5))


@pytest.mark.parametrize("max_norm", [9.5, float("inf")])
def test_gradients_within_the_norm_stay_as_they_are(max_norm: float) -> None:
    parameters = with_gradients()
    clip_gradients(parameters, max_norm)
    assert torch.equal(parameters[0].grad, torch.full((3, 5), 2.0))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_gradient_that_is_not_finite_is_told_and_not_spread(bad: float) -> None:
    parameters = with_gradients()
    parameters[1].grad[3] = bad
    assert not torch.isfinite(clip_gradients(parameters, 1.0))
    assert torch.equal(parameters[0].grad, torch.full((3, 5), 2.0))
