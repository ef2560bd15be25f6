"""A step on a device that computes by itself: nothing in it waits for a value of an earlier part.

torch's `meta` device stands for a GPU: it knows shapes and types, and raises where a value is read.
"""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from bertctl.model import dropout as module
from bertctl.model.config import BertConfig
from bertctl.model.dropout import DropoutKey
from bertctl.model.optimiser import adamw, lamb
from bertctl.model.precision import Precision
from bertctl.model.pretraining import BertForPreTraining

from .model_batches import SMALL, padded_batch

META = torch.device("meta")
QUIET = dataclasses.replace(SMALL, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)


def drawn_by(device: torch.device, shape: torch.Size, prob: float, *, seed: int) -> Tensor:
    return torch.empty(shape, dtype=torch.uint8, device=device)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("config", [SMALL, QUIET], ids=["dropout", "no dropout"])
@pytest.mark.parametrize("make", [adamw, lamb])
def test_step_reads_no_value_of_the_device(
    make: object, config: BertConfig, precision: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    # There is no generator for this device, as there is for a GPU.
    monkeypatch.setattr(module, "_drawn_by", drawn_by)
    assert callable(make)
    model = BertForPreTraining(config, precision=precision).to(META)
    optimizer = make(model, learning_rate=0.1, weight_decay=0.01)
    batch = padded_batch((32, 17, 9, 4), config=config).packed().to(META)
    sums = model(batch, DropoutKey(seed=1, step=2, position=3))
    (sums.mlm_loss_sum / sums.mlm_count + sums.nsp_loss_sum / sums.nsp_count).backward()
    optimizer.step()
    for name, parameter in model.named_parameters():
        assert parameter.device == META
        assert parameter.grad is not None, name
        assert parameter.grad.dtype == torch.float32
    assert {sums.mlm_correct.device, sums.nsp_correct.device} == {META}
