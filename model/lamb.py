"""LAMB: Adam whose every layer moves in proportion to its own size (You et al. 2019, algorithm 2).

For large batches, where one rate for all layers is too much for some and too little for others.
"""

# torch's optimizers are made of these operations on lists, which it exports under no other name.
# pyright: reportPrivateUsage=false, reportPrivateImportUsage=false

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from .moments import MomentOptimizer, Moments

_Tensors = list[Tensor] | tuple[Tensor, ...]


class Lamb(MomentOptimizer):
    """Step by lr · ‖w‖ / ‖r + λw‖ · (r + λw), with r Adam's step, moments corrected for their bias.

    A group with `adapts` False takes r + λw as it is: so do biases and normalisations in the
    authors' code, which leaves them out of decay and of adaptation alike. Where a norm is 0, as a
    new layer's may be, the proportion is 1; no bound is set to it.
    """

    def __init__(
        self,
        groups: Iterable[Mapping[str, Any]],
        *,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
    ) -> None:
        rule = {"betas": betas, "weight_decay": weight_decay, "adapts": True}
        super().__init__(groups, lr=lr, eps=eps, **rule)

    def _step_group(self, group: Mapping[str, Any], rate: float, moments: Moments) -> None:
        moments.update(group["betas"])
        beta1, beta2 = group["betas"]
        steps = [int(each) for each in moments.steps]
        deviations = torch._foreach_sqrt(moments.exp_avg_sqs)
        torch._foreach_div_(deviations, [(1 - beta2**step) ** 0.5 for step in steps])
        torch._foreach_add_(deviations, group["eps"])
        updates = torch._foreach_div(moments.exp_avgs, deviations)
        torch._foreach_div_(updates, [1 - beta1**step for step in steps])
        if group["weight_decay"]:
            torch._foreach_add_(updates, moments.parameters, alpha=group["weight_decay"])
        if group["adapts"]:
            torch._foreach_mul_(updates, _trust_ratios(moments.parameters, updates))
        torch._foreach_add_(moments.parameters, updates, alpha=-rate)


def _trust_ratios(parameters: _Tensors, updates: _Tensors) -> _Tensors:
    """Return ‖parameter‖ / ‖update‖ of each, () each; 1 where either is 0."""
    sizes = torch.stack(torch._foreach_norm(parameters))
    changes = torch.stack(torch._foreach_norm(updates))
    known = (sizes > 0) & (changes > 0)
    return torch.where(known, sizes / changes, 1.0).unbind()
