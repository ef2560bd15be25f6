"""Gradients into new weights: AdamW as BERT uses it, and clipping by the global norm."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def adamw(model: nn.Module, *, learning_rate: float, weight_decay: float) -> torch.optim.AdamW:
    """Return AdamW over the model's trainable parameters, fused where the device has it.

    Biases and normalisations don't decay; betas and eps are google-research/bert's.
    """
    trainable = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    groups = [
        {"params": [p for n, p in trainable if decays(n)], "weight_decay": weight_decay},
        {"params": [p for n, p in trainable if not decays(n)], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=learning_rate,
        betas=(0.9, 0.999),
        eps=1e-6,
        fused=all(p.device.type in ("cpu", "cuda") for _, p in trainable),
    )


def decays(name: str) -> bool:
    """Tell whether weight decay applies to a parameter of this name (Devlin et al. 2018, A.2)."""
    return not name.endswith("bias") and "LayerNorm" not in name


@torch.no_grad()
def clip_gradients(parameters: Iterable[nn.Parameter], max_norm: float) -> Tensor:
    """Scale all gradients so that their joint 2-norm is at most `max_norm`; return the norm before.

    A norm that isn't finite is returned as it is and leaves the gradients alone.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    # Almost every early step clips and hardly any later one: worth one comparison on the host.
    if max_norm < norm < torch.inf:
        for gradient in gradients:
            gradient.mul_(max_norm / norm)
    return norm
