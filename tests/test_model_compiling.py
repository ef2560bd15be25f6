"""Compiled layers compute what they did before."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
import torch

from bertctl.model.compiling import compile_layers
from bertctl.model.dropout import DropoutKey
from bertctl.model.precision import Precision
from bertctl.model.pretraining import BertForPreTraining
from bertctl.model.weights import initialise

from .model_batches import SMALL, padded_batch

pytestmark = [
    pytest.mark.slow,
    # The compiler does to torch what torch warns of.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf"),
]
CONFIG = dataclasses.replace(SMALL, hidden_size=24, num_hidden_layers=3)


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.set_stance("default")
    torch.compiler.reset()


@pytest.mark.parametrize(
    ("precision", "tolerance"), [("float32", 1e-4), ("bfloat16", 3e-2)], ids=["float32", "bfloat16"]
)
def test_compiled_layers_have_the_same_losses_and_gradients(
    precision: Precision, tolerance: float
) -> None:
    models = [BertForPreTraining(CONFIG, precision=precision) for _ in range(2)]
    for model in models:
        initialise(model, CONFIG, seed=1)
    compile_layers(models[1])
    assert models[0].state_dict().keys() == models[1].state_dict().keys()
    for step, lengths in enumerate([(32, 17, 9, 4), (32, 32, 32, 32, 5), (11, 2)]):
        batch = padded_batch(lengths, config=CONFIG, seed=step).packed()
        losses = []
        for model in models:
            model.zero_grad()
            sums = model(batch, DropoutKey(seed=1, step=step, position=0))
            loss = sums.mlm_loss_sum / sums.mlm_count + sums.nsp_loss_sum / sums.nsp_count
            loss.backward()
            losses.append(loss.detach())
        torch.testing.assert_close(losses[1], losses[0], rtol=tolerance / 10, atol=0)
        for (name, one), other in zip(
            models[0].named_parameters(), models[1].parameters(), strict=True
        ):
            assert one.grad is not None
            assert other.grad is not None
            difference = torch.linalg.vector_norm(one.grad - other.grad)
            assert difference <= tolerance * torch.linalg.vector_norm(one.grad) + 1e-6, name
    tokens = padded_batch((19, 6), config=CONFIG).packed().tokens
    with torch.no_grad():
        expected, compiled = (model.eval().logits(tokens)[0] for model in models)
    assert torch.linalg.vector_norm(compiled - expected) <= tolerance * expected.norm()


def test_layers_are_compiled_once_for_all_layers_and_numbers_of_rows() -> None:
    model = BertForPreTraining(CONFIG)
    initialise(model, CONFIG, seed=1)
    compile_layers(model)
    key = DropoutKey(seed=1, step=0, position=0)
    model(padded_batch((32, 32, 9), config=CONFIG).packed(), key).mlm_loss_sum.backward()
    torch.compiler.set_stance("fail_on_recompile")
    for lengths in ((32, 17, 9, 4), (32,) * 6, (7,)):
        model(padded_batch(lengths, config=CONFIG).packed(), key).mlm_loss_sum.backward()


def test_compiler_is_told_to_be_deterministic_where_torch_is() -> None:
    import torch._inductor.config as compiler

    torch.set_deterministic_debug_mode("warn")
    try:
        compile_layers(BertForPreTraining(CONFIG))
        assert compiler.deterministic
        assert torch.get_deterministic_debug_mode() == 1
    finally:
        torch.use_deterministic_algorithms(mode=False)
