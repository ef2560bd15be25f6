"""LAMB: Adam whose every layer moves in proportion to its own size (You et al. 2019, algorithm 2).

For large batches, where one rate for all layers is too much for some and too little for others.
"""

# torch's optimizers are made of these operations on lists, which it exports under no other name.
# pyright: reportPrivateUsage=false, reportPrivateImportUsage=false

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

_Closure = Callable[[], Tensor]
_Tensors = tuple[Tensor, ...]


class Lamb(torch.optim.Optimizer):
    """Step by lr · ‖w‖ / ‖r + λw‖ · (r + λw), with r Adam's step, moments corrected for their bias.

    A group with `adapts` False takes r + λw as it is: so do biases and normalisations in the
    authors' code, which leaves them out of decay and of adaptation alike. Where a norm is 0, as a
    new layer's may be, the proportion is 1; no bound is set to it.
    """

    def __init__(
        self,
        params: Iterable[dict[str, Any]],
        *,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "adapts": True,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, closure: _Closure | None = None
    ) -> Tensor | None:
        """Change the parameters that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            pairs = [(each, each.grad) for each in group["params"] if each.grad is not None]
            if pairs:
                parameters, gradients = zip(*pairs, strict=True)
                self._step_group(group, parameters, gradients)
        return loss

    def _step_group(self, group: dict[str, Any], parameters: _Tensors, gradients: _Tensors) -> None:
        states = [self._state_of(each) for each in parameters]
        exp_avgs = [state["exp_avg"] for state in states]
        exp_avg_sqs = [state["exp_avg_sq"] for state in states]
        for state in states:
            state["step"] += 1
        steps = [int(state["step"]) for state in states]
        beta1, beta2 = group["betas"]
        torch._foreach_lerp_(exp_avgs, gradients, 1 - beta1)
        torch._foreach_mul_(exp_avg_sqs, beta2)
        torch._foreach_addcmul_(exp_avg_sqs, gradients, gradients, 1 - beta2)

        deviations = torch._foreach_sqrt(exp_avg_sqs)
        torch._foreach_div_(deviations, [(1 - beta2**step) ** 0.5 for step in steps])
        torch._foreach_add_(deviations, group["eps"])
        updates = torch._foreach_div(exp_avgs, deviations)
        torch._foreach_div_(updates, [1 - beta1**step for step in steps])
        if group["weight_decay"]:
            torch._foreach_add_(updates, parameters, alpha=group["weight_decay"])
        if group["adapts"]:
            torch._foreach_mul_(updates, _trust_ratios(parameters, updates))
        torch._foreach_add_(parameters, updates, alpha=-group["lr"])

    def _state_of(self, parameter: Tensor) -> dict[str, Tensor]:
        state: dict[str, Tensor] = self.state[parameter]
        if not state:
            # On the processor, as torch's own: reading it waits for no device.
            state["step"] = torch.zeros((), dtype=torch.float32)
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        return state


def _trust_ratios(parameters: _Tensors, updates: _Tensors) -> _Tensors:
    """Return ‖parameter‖ / ‖update‖ of each, () each; 1 where either is 0."""
    sizes = torch.stack(torch._foreach_norm(parameters))
    changes = torch.stack(torch._foreach_norm(updates))
    known = (sizes > 0) & (changes > 0)
    return torch.where(known, sizes / changes, 1.0).unbind()
