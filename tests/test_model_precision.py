"""bfloat16 computes what float32 does, less finely; parameters and losses stay float32."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bertctl.model.config import BertConfig
from bertctl.model.layers import LayerNorm
from bertctl.model.precision import Precision, bfloat16_supported
from bertctl.model.pretraining import BertForPreTraining
from bertctl.model.weights import initialise

from .model_batches import padded_batch

CONFIG = BertConfig(
    vocab_size=307,
    hidden_size=96,
    num_hidden_layers=3,
    num_attention_heads=4,
    intermediate_size=160,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)


def gradients(precision: Precision) -> tuple[float, dict[str, Tensor]]:
    model = BertForPreTraining(CONFIG, precision=precision)
    initialise(model, CONFIG, seed=1)
    sums = model(padded_batch((37, 20, 36, 5), config=CONFIG).packed())
    assert sums.mlm_loss_sum.dtype == sums.nsp_loss_sum.dtype == torch.float32
    loss = sums.mlm_loss_sum / sums.mlm_count + sums.nsp_loss_sum / sums.nsp_count
    loss.backward()
    found = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert all(each is not None and each.dtype == torch.float32 for each in found.values())
    return float(loss.detach()), {name: each for name, each in found.items() if each is not None}


def test_bfloat16_loss_and_gradients_are_near_those_of_float32() -> None:
    fine, fine_gradients = gradients("float32")
    coarse, coarse_gradients = gradients("bfloat16")
    assert abs(coarse - fine) < 0.01 * fine
    for name, expected in fine_gradients.items():
        if float(expected.norm()) < 1e-6:  # a key's bias moves all scores alike: its gradient is 0
            continue
        difference = (coarse_gradients[name] - expected).norm() / expected.norm()
        assert float(difference) < 0.1, name


@pytest.mark.parametrize("mean", [0.0, 0.3])
def test_norms_gradients_are_summed_in_float32_over_thousands_of_bfloat16_rows(mean: float) -> None:
    generator = torch.Generator().manual_seed(2)
    rows = torch.randn(4096, 67, generator=generator).bfloat16()
    upstream = (mean + torch.randn(rows.shape, generator=generator)).bfloat16()
    norm = LayerNorm(67, eps=1e-12)
    norm(rows).backward(upstream)
    exact = upstream.double()
    variance, centre = torch.var_mean(rows.double(), 1, correction=0, keepdim=True)
    normed = (rows.double() - centre) * variance.rsqrt()
    for parameter, expected in (
        (norm.weight, (exact * normed).sum(0)),
        (norm.bias, exact.sum(0)),
    ):
        assert parameter.grad is not None
        difference = (parameter.grad - expected).norm() / expected.norm()
        assert float(difference) < 1e-5


def test_support_for_bfloat16_is_told_for_every_device() -> None:
    assert isinstance(bfloat16_supported(torch.device("cpu")), bool)
    assert bfloat16_supported(torch.device("mps")) is False
