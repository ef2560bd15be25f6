"""bfloat16 computes what float32 does, less finely; parameters and losses stay float32."""

from __future__ import annotations

import torch
from torch import Tensor

from bertctl.model.config import BertConfig
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


def test_support_for_bfloat16_is_told_for_every_device() -> None:
    assert isinstance(bfloat16_supported(torch.device("cpu")), bool)
    assert bfloat16_supported(torch.device("mps")) is False
