"""What AdamW and LAMB share: groups of parameters, and running moments of each one's gradient.

Not torch's own `Optimizer`: the first touch of that loads torch's compiler, which takes longer than
all the rest of a short run.
"""

# torch's optimizers are made of these operations on lists, which it exports under no other name.
# pyright: reportPrivateUsage=false, reportPrivateImportUsage=false

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

LR_SHARE = "lr_share"
"""A group's share of the learning rate; where it has none, all of it."""


@dataclass(frozen=True)
class Moments:
    """A group's parameters that have a gradient, and what is known of each, in the same order."""

    parameters: list[Tensor]
    gradients: list[Tensor]
    exp_avgs: list[Tensor]
    """Running means of the gradients, like the parameters"""
    exp_avg_sqs: list[Tensor]
    """Running means of their squares, like the parameters"""
    steps: list[Tensor]
    """Steps taken, this one counted, () float32 each"""

    def update(self, betas: tuple[float, float]) -> None:
        """Let this step's gradients into the running means."""
        beta1, beta2 = betas
        torch._foreach_lerp_(self.exp_avgs, self.gradients, 1 - beta1)
        torch._foreach_mul_(self.exp_avg_sqs, beta2)
        torch._foreach_addcmul_(self.exp_avg_sqs, self.gradients, self.gradients, 1 - beta2)


class MomentOptimizer(ABC):
    """Changes parameters by their gradients, a group at a time.

    `param_groups`: each has `params`, `lr` and what else its rule needs. `state`: of each parameter
    that has had a gradient, or whose memory is reserved, `step`, `exp_avg` and `exp_avg_sq`, as
    torch's AdamW has them.
    """

    def __init__(
        self, groups: Iterable[Mapping[str, Any]], *, lr: float, eps: float, **rule: Any
    ) -> None:
        self.param_groups: list[dict[str, Any]] = [
            {"lr": lr, "eps": eps, **rule, **group} for group in groups
        ]
        self.state: dict[Tensor, dict[str, Tensor]] = {}

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def reserve(self) -> None:
        """Take the memory of all parameters' moments now, which the first step would take."""
        for group in self.param_groups:
            for parameter in group["params"]:
                self._state_of(parameter, group)

    @torch.no_grad()
    def step(self) -> None:
        """Change the parameters that have a gradient."""
        for group in self.param_groups:
            some = [each for each in group["params"] if each.grad is not None]
            if some:
                moments = self._moments(group, some)
                torch._foreach_add_(moments.steps, 1)
                self._step_group(group, group["lr"] * group.get(LR_SHARE, 1.0), moments)

    @abstractmethod
    def _step_group(self, group: Mapping[str, Any], rate: float, moments: Moments) -> None:
        """Change a group's parameters at this rate."""

    def _moments(self, group: Mapping[str, Any], some: list[Tensor]) -> Moments:
        states = [self._state_of(each, group) for each in some]
        return Moments(
            some,
            [each.grad for each in some if each.grad is not None],
            *([state[name] for state in states] for name in ("exp_avg", "exp_avg_sq", "step")),
        )

    def _state_of(self, parameter: Tensor, group: Mapping[str, Any]) -> dict[str, Tensor]:
        if parameter not in self.state:
            # On the processor reading it waits for no device; a fused kernel reads it where it is.
            device = parameter.device if group.get("fused") else torch.device("cpu")
            self.state[parameter] = {
                "step": torch.zeros((), dtype=torch.float32, device=device),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
        return self.state[parameter]
