"""Scaled dot-product attention within sequences of one rectangle (Vaswani et al. 2017, 3.2.1).

b sequences, N heads, s positions, D head size.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .dropout import DropoutKey, dropout


def attend(
    query: Tensor,
    key_: Tensor,
    value: Tensor,
    *,
    key_mask: Tensor | None,
    causal: bool,
    dropout_prob: float,
    key: DropoutKey | None,
    site: str,
) -> Tensor:
    """Mix values by softmax(query · key / √D); (b, N, s, D) each; `key_mask`: (b, s) bool."""
    scores = (query @ key_.transpose(-1, -2)) * query.shape[-1] ** -0.5
    lowest = torch.finfo(scores.dtype).min
    if key_mask is not None:
        scores = scores.masked_fill(~key_mask[:, None, None, :], lowest)
    if causal:
        above = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(above, lowest)
    probs = torch.softmax(scores, dim=-1)
    return dropout(probs, dropout_prob, key=key, site=site) @ value
