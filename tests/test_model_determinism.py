"""Training gives the same weights, to the bit, every time it is run on one machine."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch

from bertctl.model.config import BertConfig
from bertctl.model.dropout import DropoutKey
from bertctl.model.optimiser import adamw, clip_gradients
from bertctl.model.precision import Precision
from bertctl.model.pretraining import BertForPreTraining
from bertctl.model.weights import initialise

from .model_batches import padded_batch

# Large enough that every product and reduction is shared out between threads.
WIDE = BertConfig(
    vocab_size=3001,
    hidden_size=192,
    num_hidden_layers=2,
    num_attention_heads=3,
    intermediate_size=768,
    max_position_embeddings=128,
)


def trained(precision: Precision, *, steps: int) -> str:
    """Train and return a digest of the weights."""
    model = BertForPreTraining(WIDE, precision=precision)
    initialise(model, WIDE, seed=1)
    optimizer = adamw(model, learning_rate=1e-3, weight_decay=0.01)
    for step in range(steps):
        lengths = (*[128] * 12, 97, 96, 50 + step, 7)
        batch = padded_batch(lengths, config=WIDE, seed=step).packed()
        optimizer.zero_grad()
        sums = model(batch, DropoutKey(seed=1, step=step, position=0))
        (sums.mlm_loss_sum / sums.mlm_count + sums.nsp_loss_sum / sums.nsp_count).backward()
        clip_gradients(model.parameters(), 1.0)
        optimizer.step()
    digest = hashlib.sha256()
    for parameter in model.parameters():
        digest.update(parameter.detach().numpy().tobytes())
    return digest.hexdigest()


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_two_fresh_processes_train_to_bit_identical_weights(precision: Precision) -> None:
    code = (
        f"from tests.test_model_determinism import trained;print(trained({precision!r}, steps=20))"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    }
    assert len(digests) == 1


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_training_twice_gives_bit_identical_weights(precision: Precision) -> None:
    assert trained(precision, steps=2) == trained(precision, steps=2)
