"""AdamW's groups and clipping, against torch's own and by hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from bertctl.model.adamw import AdamW
from bertctl.model.moments import LR_SHARE
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


@pytest.mark.parametrize("fused", [True, False])
def test_steps_are_those_of_torchs_adamw_to_the_bit(fused: bool) -> None:
    models = [BertForPreTraining(SMALL), BertForPreTraining(SMALL)]
    for model in models:
        randomise(model)
    one, other = (
        [
            {"params": [p for p in model.parameters() if p.ndim == 2], "weight_decay": 0.3},
            {"params": [p for p in model.parameters() if p.ndim == 1], "weight_decay": 0.0},
        ]
        for model in models
    )
    ours = AdamW(one, lr=0.1, betas=(0.8, 0.99), eps=1e-5, fused=fused)
    theirs = torch.optim.AdamW(
        other, lr=0.1, betas=(0.8, 0.99), eps=1e-5, fused=fused, foreach=False
    )
    for seed in range(3):
        for model, optimizer in zip(models, (ours, theirs), strict=True):
            generator = torch.Generator().manual_seed(seed)
            for number, parameter in enumerate(model.parameters()):
                drawn = torch.randn(parameter.shape, generator=generator)
                # One has no gradient at first: it is left as it is, and counts its own steps.
                parameter.grad = None if number == 5 and seed == 0 else drawn
            for group in optimizer.param_groups:
                group["lr"] = 0.1 / (1 + seed)
            optimizer.step()
    for mine, yours in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.equal(mine, yours)
        expected = theirs.state[yours]
        assert ours.state[mine].keys() == expected.keys()
        for name, each in ours.state[mine].items():
            assert each.dtype == expected[name].dtype
            assert torch.equal(each, expected[name])


def test_parts_of_the_fused_step_come_to_the_same() -> None:
    parameters = [nn.Parameter(torch.ones(3, 5)), nn.Parameter(torch.ones(3, 5))]
    for parameter, fused in zip(parameters, (True, False), strict=True):
        optimizer = AdamW([{"params": [parameter]}], lr=0.1, weight_decay=0.3, fused=fused)
        for number in range(4):
            parameter.grad = torch.linspace(-1, 2, 15).reshape(3, 5) * 10.0**-number
            optimizer.step()
    torch.testing.assert_close(*parameters, rtol=1e-6, atol=1e-6)


def test_group_with_a_share_moves_by_that_share_of_the_rate() -> None:
    whole, half = (nn.Parameter(torch.zeros(7)) for _ in range(2))
    groups = [{"params": [whole]}, {"params": [half], LR_SHARE: 0.5}]
    optimizer = AdamW(groups, lr=0.25, fused=True)
    for parameter in (whole, half):
        parameter.grad = torch.full((7,), -3.0)
    optimizer.step()
    torch.testing.assert_close(half.detach(), whole.detach() / 2)
    optimizer.zero_grad()
    assert (whole.grad, half.grad) == (None, None)


def test_training_does_without_torchs_compiler() -> None:
    script = """
import sys
import torch
from bertctl.model.finetuning import BertForSequenceClassification
from bertctl.model.optimiser import adamw, clip_gradients, lamb
from bertctl.model.tokens import pack_tokens
from bertctl.pipeline.training.machine import set_up
from bertctl.pipeline.training.settings import NumericsSettings
from tests.model_batches import SMALL

set_up(NumericsSettings(device="cpu", threads=1), longest=8)
assert torch.get_deterministic_debug_mode() == 1
assert not torch.utils.deterministic.fill_uninitialized_memory
model = BertForSequenceClassification(SMALL, num_labels=3).eval()
for make in (adamw, lamb):
    optimizer = make(model, learning_rate=0.1, weight_decay=0.1)
    tokens = pack_tokens(torch.ones(9, dtype=torch.int64), torch.tensor([4, 5]))
    model(tokens).sum().backward()
    clip_gradients(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
sys.exit("torch._dynamo" in sys.modules)
"""
    assert (
        subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[1]).returncode
        == 0
    )


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
