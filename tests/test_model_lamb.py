"""LAMB against its paper's algorithm, written out in numpy, and what a checkpoint keeps of it.

timm 1.0.31's Lamb, without its clipping, takes the same steps to 2e-16 (tried by hand: it brings
more than a test should need).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from bertctl.model.lamb import Lamb
from bertctl.model.optimiser import decays, lamb
from bertctl.model.pretraining import BertForPreTraining

from .model_batches import SMALL, randomise

Array = npt.NDArray[np.float64]


def by_the_paper(
    weights: Array, gradients: list[Array], *, rate: float, decay: float, adapts: bool
) -> Array:
    """You et al. 2019, algorithm 2, with φ the identity."""
    m, v = np.zeros_like(weights), np.zeros_like(weights)
    for t, gradient in enumerate(gradients, 1):
        m = 0.9 * m + 0.1 * gradient
        v = 0.999 * v + 0.001 * gradient**2
        r = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-6)
        update = r + decay * weights
        trust = np.linalg.norm(weights) / np.linalg.norm(update) if adapts else 1.0
        weights = weights - rate * trust * update
    return weights


def give_gradients(model: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.grad = (drawn * 10.0 ** (seed - 3)).to(parameter.dtype)


def test_steps_are_those_of_the_papers_algorithm() -> None:
    model = BertForPreTraining(SMALL).double()
    randomise(model)
    before = {name: each.detach().numpy().copy() for name, each in model.named_parameters()}
    gradients: dict[str, list[Array]] = {name: [] for name in before}
    optimizer = lamb(model, learning_rate=0.02, weight_decay=0.3)
    for seed in range(5):
        give_gradients(model, seed)
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None
            gradients[name].append(parameter.grad.numpy().copy())
        optimizer.step()
    for name, parameter in model.named_parameters():
        expected = by_the_paper(
            before[name],
            gradients[name],
            rate=0.02,
            decay=0.3 if decays(name) else 0.0,
            adapts=decays(name),
        )
        np.testing.assert_allclose(
            parameter.detach().numpy(), expected, rtol=1e-9, atol=1e-12, err_msg=name
        )


def test_layer_of_zeros_moves_by_the_rate() -> None:
    parameter = nn.Parameter(torch.zeros(3, 5, dtype=torch.float64))
    parameter.grad = torch.full_like(parameter, -7)
    Lamb([{"params": [parameter]}], lr=0.25).step()
    torch.testing.assert_close(parameter.detach(), torch.full_like(parameter, 0.25))


def test_parameter_without_a_gradient_keeps_its_weights_and_has_no_state() -> None:
    model = BertForPreTraining(SMALL)
    randomise(model)
    give_gradients(model, 1)
    left_out = model.cls.predictions.bias
    left_out.grad = None
    before = left_out.detach().clone()
    optimizer = lamb(model, learning_rate=0.02, weight_decay=0.3)
    optimizer.step()
    assert torch.equal(left_out, before)
    assert left_out not in optimizer.state


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_state_is_tensors_from_which_another_process_goes_on(dtype: torch.dtype) -> None:
    models = [BertForPreTraining(SMALL).to(dtype), BertForPreTraining(SMALL).to(dtype)]
    randomise(models[0])
    one, other = (lamb(each, learning_rate=0.02, weight_decay=0.3) for each in models)
    for seed in range(2):
        give_gradients(models[0], seed)
        one.step()
    models[1].load_state_dict(models[0].state_dict())
    for mine, yours in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert set(one.state[mine]) == {"step", "exp_avg", "exp_avg_sq"}
        other.state[yours] = {key: each.clone() for key, each in one.state[mine].items()}
    for model, optimizer in zip(models, (one, other), strict=True):
        give_gradients(model, 2)
        optimizer.step()
    for mine, yours in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.equal(mine, yours)
