"""Gradients into new weights: AdamW as BERT uses it, LAMB, and clipping by the global norm."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .adamw import AdamW
from .lamb import Lamb


def adamw(model: nn.Module, *, learning_rate: float, weight_decay: float) -> AdamW:
    """Return AdamW over the model's trainable parameters, fused where the device has it.

    Biases and normalisations don't decay; betas and eps are google-research/bert's.
    """
    groups = _groups(model, {"weight_decay": weight_decay}, {"weight_decay": 0.0})
    devices = {each.device.type for group in groups for each in group["params"]}
    return AdamW(
        groups,
        lr=learning_rate,
        betas=(0.9, 0.999),
        eps=1e-6,
        fused=devices <= {"cpu", "cuda"},
    )


def lamb(model: nn.Module, *, learning_rate: float, weight_decay: float) -> Lamb:
    """Return LAMB over the model's trainable parameters (You et al. 2019).

    Biases and normalisations neither decay nor adapt; betas and eps are the authors'.
    """
    groups = _groups(
        model,
        {"weight_decay": weight_decay, "adapts": True},
        {"weight_decay": 0.0, "adapts": False},
    )
    return Lamb(groups, lr=learning_rate, betas=(0.9, 0.999), eps=1e-6)


def _groups(
    model: nn.Module, decaying: Mapping[str, Any], others: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Part the trainable parameters into those that decay and those that don't."""
    trainable = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    groups = [
        {"params": [p for n, p in trainable if decays(n)], **decaying},
        {"params": [p for n, p in trainable if not decays(n)], **others},
    ]
    return [group for group in groups if group["params"]]


def kept_where(value: Tensor, parameter: nn.Parameter, group: Mapping[str, Any]) -> Tensor:
    """Return a tensor of a parameter's optimizer state on the device where the optimizer needs it.

    Counts of steps stay on the processor, unless a fused kernel reads them.
    """
    counts = value.ndim == 0 and not group.get("fused")
    return value if counts else value.to(parameter.device)


def decays(name: str) -> bool:
    """Tell whether weight decay applies to a parameter of this name (Devlin et al. 2018, A.2).

    Neither does it to what a mix of layers is made by, a scale as that of a normalisation is.
    """
    others = ("bias", "mix.layer_weights", "mix.gamma")
    return not name.endswith(others) and "LayerNorm" not in name


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
