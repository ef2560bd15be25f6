"""AdamW: Adam whose weights decay apart from the gradient (Loshchilov and Hutter 2019)."""

# torch's optimizers are made of these operations on lists, which it exports under no other name.
# pyright: reportPrivateUsage=false, reportPrivateImportUsage=false

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from .moments import MomentOptimizer, Moments


class AdamW(MomentOptimizer):
    """Step by lr · (m / √v + λw), moments corrected for their bias; to the bit as torch's own does.

    With `fused` a group is changed by one kernel, which processors and CUDA have.
    """

    def __init__(
        self,
        groups: Iterable[Mapping[str, Any]],
        *,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        fused: bool,
    ) -> None:
        rule = {"betas": betas, "weight_decay": weight_decay, "fused": fused}
        super().__init__(groups, lr=lr, eps=eps, **rule)

    def _step_group(self, group: Mapping[str, Any], rate: float, moments: Moments) -> None:
        if group["fused"]:
            _fused(group, rate, moments)
        else:
            _in_parts(group, rate, moments)


def _fused(group: Mapping[str, Any], rate: float, moments: Moments) -> None:
    beta1, beta2 = group["betas"]
    torch._fused_adamw_(
        moments.parameters,
        moments.gradients,
        moments.exp_avgs,
        moments.exp_avg_sqs,
        [],
        moments.steps,
        amsgrad=False,
        lr=rate,
        beta1=beta1,
        beta2=beta2,
        weight_decay=group["weight_decay"],
        eps=group["eps"],
        maximize=False,
    )


def _in_parts(group: Mapping[str, Any], rate: float, moments: Moments) -> None:
    moments.update(group["betas"])
    beta1, beta2 = group["betas"]
    steps = [float(each) for each in moments.steps]
    torch._foreach_mul_(moments.parameters, 1 - rate * group["weight_decay"])
    deviations = torch._foreach_sqrt(moments.exp_avg_sqs)
    torch._foreach_div_(deviations, [(1 - beta2**step) ** 0.5 for step in steps])
    torch._foreach_add_(deviations, group["eps"])
    scales = [-rate / (1 - beta1**step) for step in steps]
    torch._foreach_addcdiv_(moments.parameters, moments.exp_avgs, deviations, scales)
