"""Attention's hand-written gradient, with every kind of pack, mask and dropout."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bertctl.model.attention import AttentionDropout
from bertctl.model.dropout import DropoutKey, draw_keep
from bertctl.model.layout import Layout
from bertctl.model.tokens import pack_tokens, pad_tokens

N, D, P, S = 3, 2, 2, 32
PACKED = pack_tokens(torch.ones(51, dtype=torch.int64), torch.tensor([4, 10, 32, 5])).layout
PADDED = pad_tokens(torch.ones(P, S, dtype=torch.int64), torch.arange(S).expand(P, S) % 7).layout


def dropout(step: int = 2) -> AttentionDropout:
    return AttentionDropout(0.3, DropoutKey(seed=1, step=step, position=0), "layer 0 attention")


def rows() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(P * S, 3 * N * D, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("layout", [PACKED, PADDED], ids=["packed", "padded"])
@pytest.mark.parametrize("dropped", [None, dropout()], ids=["plain", "dropout"])
def test_gradient_is_the_derivative(layout: Layout, dropped: AttentionDropout | None) -> None:
    assert torch.autograd.gradcheck(
        lambda qkv: layout.attend(qkv, num_heads=N, causal=False, dropout=dropped),
        (rows().requires_grad_(),),
        fast_mode=True,
    )


def test_gradient_of_causal_attention_is_the_derivative() -> None:
    layout = pack_tokens(torch.ones(40, dtype=torch.int64), torch.tensor([25, 15])).layout
    assert torch.autograd.gradcheck(
        lambda qkv: layout.attend(qkv, num_heads=N, causal=True, dropout=dropout()),
        (rows().requires_grad_(),),
        fast_mode=True,
    )


def test_probabilities_drop_after_the_softmax_and_are_scaled() -> None:
    layout = pad_tokens(torch.ones(P, S, dtype=torch.int64)).layout
    ours = layout.attend(rows(), num_heads=N, causal=False, dropout=dropout())

    query, key, value = rows().view(P, S, 3, N, D).permute(2, 0, 3, 1, 4)
    probs = torch.softmax(query @ key.transpose(-1, -2) / D**0.5, dim=-1)
    keep = draw_keep(
        torch.Size([P * N, S, S]),
        0.3,
        key=dropout().key,
        site="layer 0 attention",
        device=ours.device,
    )
    assert 0 < int(keep.sum()) < keep.numel()
    expected = (probs * keep.view(probs.shape) / 0.7) @ value
    torch.testing.assert_close(
        ours, expected.transpose(1, 2).reshape(P * S, N * D), rtol=1e-12, atol=1e-14
    )


def test_dropout_leaves_the_expectation_as_it_is() -> None:
    plain = PACKED.attend(rows(), num_heads=N, causal=False, dropout=None)
    draws = torch.stack(
        [
            PACKED.attend(rows(), num_heads=N, causal=False, dropout=dropout(step))
            for step in range(500)
        ]
    )
    error = draws.std(dim=0) / len(draws) ** 0.5
    assert ((draws.mean(dim=0) - plain).abs() < 5 * error + 1e-12).all()
