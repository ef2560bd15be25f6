"""Which of a model's layers are trained, and how fast each."""

from __future__ import annotations

import re
from typing import Any

from torch import nn

from ...model.encoder import BertModel
from ...model.moments import LR_SHARE, MomentOptimizer
from .pooler import POOLER
from .settings import FinetuneSettings

_LAYER = re.compile(r"bert\.encoder\.layer\.(\d+)\.")


def freeze(model: nn.Module, settings: FinetuneSettings, *, head: str, num_layers: int) -> None:
    """Leave the parameters untrained that `train_layers` leaves out; `head` begins the new ones.

    With `none` of the others trained they are a fixed function, pooler and all, that drops nothing.
    """
    if settings.train_layers == "all":
        return
    if settings.train_layers == "none":
        (bert,) = (each for each in model.modules() if isinstance(each, BertModel))
        bert.fix()
        return
    kept = 0 if settings.train_layers == "head" else settings.train_layers
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(depth_of(name, head, num_layers) > num_layers - kept)


def depth_of(name: str, head: str, num_layers: int) -> int:
    """Return how deep a parameter lies: 0 embeddings, 1 … L the layers, L + 1 pooler and head."""
    if name.startswith((head, POOLER)):
        return num_layers + 1
    layer = _LAYER.match(name)
    return int(layer[1]) + 1 if layer else 0


def slow_down(
    optimizer: MomentOptimizer,
    model: nn.Module,
    settings: FinetuneSettings,
    *,
    head: str,
    num_layers: int,
) -> None:
    """Give each layer its share of the learning rate, less the deeper it lies below the head."""
    if settings.layer_lr_decay == 1:
        return
    names = {parameter: name for name, parameter in model.named_parameters()}
    groups: list[dict[str, Any]] = []
    for group in optimizer.param_groups:
        by_depth: dict[int, list[nn.Parameter]] = {}
        for parameter in group["params"]:
            by_depth.setdefault(depth_of(names[parameter], head, num_layers), []).append(parameter)
        for depth, parameters in sorted(by_depth.items()):
            share = settings.layer_lr_decay ** (num_layers + 1 - depth)
            groups.append({**group, "params": parameters, LR_SHARE: share})
    optimizer.param_groups[:] = groups
