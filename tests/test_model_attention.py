"""Attention's hand-written gradient, with every kind of group, mask and dropout."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bertctl.model.attention import AttentionDropout, attend
from bertctl.model.dropout import DropoutKey, draw_keep
from bertctl.model.tokens import pack_tokens

N, D = 3, 2
LENGTHS = torch.tensor([4, 4, 9, 8, 1])
LAYOUT = pack_tokens(torch.ones(26, dtype=torch.int64), LENGTHS).layout


def dropout(step: int = 2) -> AttentionDropout:
    return AttentionDropout(0.3, DropoutKey(seed=1, step=step, position=0), "layer 0 attention")


def rows() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(26, 3 * N * D, generator=generator, dtype=torch.float64)


def test_layout_of_these_tests_has_gathered_and_exact_groups() -> None:
    kinds = {isinstance(group.rows, slice) for group in LAYOUT.groups}
    assert kinds == {True, False}


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dropped", [None, dropout()])
def test_gradient_is_the_derivative(causal: bool, dropped: AttentionDropout | None) -> None:
    qkv = rows().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: attend(x, LAYOUT.groups, num_heads=N, causal=causal, dropout=dropped),
        (qkv,),
        fast_mode=True,
    )


def test_probabilities_drop_after_the_softmax_and_are_scaled() -> None:
    layout = pack_tokens(torch.ones(10, dtype=torch.int64), torch.tensor([5, 5])).layout
    qkv = rows()[:10]
    ours = attend(qkv, layout.groups, num_heads=N, causal=False, dropout=dropout())

    query, key, value = qkv.view(2, 5, 3, N, D).permute(2, 0, 3, 1, 4)
    probs = torch.softmax(query @ key.transpose(-1, -2) / D**0.5, dim=-1)
    keep = draw_keep(
        torch.Size([2 * N, 5, 5]),
        0.3,
        key=dropout().key,
        site="layer 0 attention 0",
        device=qkv.device,
    )
    assert 0 < int(keep.sum()) < keep.numel()
    expected = (probs * keep.view(probs.shape) / 0.7) @ value
    torch.testing.assert_close(
        ours, expected.transpose(1, 2).reshape(10, N * D), rtol=1e-12, atol=1e-14
    )


def test_dropout_leaves_the_expectation_as_it_is() -> None:
    plain = attend(rows(), LAYOUT.groups, num_heads=N, causal=False, dropout=None)
    draws = torch.stack(
        [
            attend(rows(), LAYOUT.groups, num_heads=N, causal=False, dropout=dropout(step))
            for step in range(500)
        ]
    )
    error = draws.std(dim=0) / len(draws) ** 0.5
    assert ((draws.mean(dim=0) - plain).abs() < 5 * error).all()
