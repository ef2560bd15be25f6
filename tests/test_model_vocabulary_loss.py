"""The chunked vocabulary loss is torch's cross entropy, in value and gradients."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bertctl.model import vocabulary_loss as module
from bertctl.model.vocabulary_loss import vocabulary_loss

M, H, V = 23, 7, 41


def inputs(dtype: torch.dtype, *, scale: float = 1.0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)

    def drawn(*shape: int) -> Tensor:
        values = torch.randn(shape, generator=generator, dtype=torch.float64) * scale
        return values.to(dtype).requires_grad_()

    return drawn(M, H), drawn(V, H), drawn(V), torch.randint(0, V, (M,), generator=generator)


@pytest.mark.parametrize("kept", [1, 10, 23, 100])
@pytest.mark.parametrize("cached", [1, 4, 100])
def test_loss_and_gradients_are_cross_entropys_however_rows_are_cut(
    kept: int, cached: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_KEPT_ROWS", kept)
    monkeypatch.setattr(module, "_CACHED_ROWS", cached)
    hidden, weight, bias, labels = inputs(torch.float64)
    loss, correct = vocabulary_loss(hidden, weight, bias, labels)
    gradients = torch.autograd.grad(loss / 3, (hidden, weight, bias))

    logits = F.linear(hidden, weight, bias)
    expected = F.cross_entropy(logits, labels, reduction="sum")
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)
    assert int(correct) == int((logits.argmax(1) == labels).sum())
    for ours, theirs in zip(
        gradients, torch.autograd.grad(expected / 3, (hidden, weight, bias)), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("cached", [4, 100])
def test_rows_without_a_label_count_for_nothing(
    cached: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CACHED_ROWS", cached)
    hidden, weight, bias, labels = inputs(torch.float64)
    results = []
    for rows in (hidden, hidden[:17]):
        loss, correct = vocabulary_loss(rows, weight, bias, labels[:17])
        results.append((loss, correct, *torch.autograd.grad(loss, (hidden, weight, bias))))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)


def test_bfloat16_products_stay_near_float32_loss_and_gradients() -> None:
    hidden, weight, bias, labels = inputs(torch.float32)
    loss, _ = vocabulary_loss(hidden.bfloat16(), weight, bias, labels)
    assert loss.dtype == torch.float32
    expected, _ = vocabulary_loss(hidden, weight, bias, labels)
    torch.testing.assert_close(loss, expected, rtol=1e-2, atol=0)
    ours = torch.autograd.grad(loss, (hidden, weight, bias))
    for one, other in zip(ours, torch.autograd.grad(expected, (hidden, weight, bias)), strict=True):
        assert one.dtype == torch.float32
        assert float((one - other).norm() / other.norm()) < 0.02


def test_logits_far_apart_neither_overflow_nor_underflow() -> None:
    hidden, weight, bias, labels = inputs(torch.float32, scale=30.0)
    loss, _ = vocabulary_loss(hidden, weight, bias, labels)
    expected = F.cross_entropy(F.linear(hidden, weight, bias), labels, reduction="sum")
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=0)
    assert all(torch.isfinite(each).all() for each in torch.autograd.grad(loss, (hidden, weight)))


def test_no_masked_token_at_all_gives_zero_loss_and_zero_gradients() -> None:
    hidden, weight, bias, _ = inputs(torch.float32)
    loss, correct = vocabulary_loss(hidden[:0], weight, bias, torch.empty(0, dtype=torch.int64))
    assert (float(loss.detach()), int(correct)) == (0.0, 0)
    for gradient in torch.autograd.grad(loss, (hidden, weight, bias), allow_unused=True):
        assert gradient is None or gradient.count_nonzero() == 0


def test_without_gradients_wanted_none_are_computed() -> None:
    hidden, weight, bias, labels = (each.detach() for each in inputs(torch.float32))
    loss, _ = vocabulary_loss(hidden, weight, bias, labels)
    assert not loss.requires_grad


def test_label_outside_the_vocabulary_is_an_error() -> None:
    hidden, weight, bias, labels = inputs(torch.float32)
    labels[3] = V
    with pytest.raises((IndexError, RuntimeError)):
        vocabulary_loss(hidden, weight, bias, labels)
