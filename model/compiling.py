"""Layers compiled: what lies between their matrix products becomes few kernels instead of many.

Written for GPUs, where each of those products' neighbours is a pass over memory. On a processor it
hardly pays: what is left of a step there is products, attention and the vocabulary, of which
compiling takes nothing (benchmarks/RESULTS.md).
"""

from __future__ import annotations

import torch
from torch import nn

from .encoder import BertLayer


def compile_layers(model: nn.Module) -> None:
    """Compile what each layer does after attention: once for all layers and numbers of rows.

    It happens at the first batch, in training and in evaluation apart, and takes seconds. Which
    units drop is drawn outside of what is compiled and stays the same to the bit; sums may be
    rounded otherwise. Without a C++ compiler that first batch raises torch's own error.
    """
    # The compiler has a setting of its own for what a machine was told when it was set up.
    torch.use_deterministic_algorithms(
        torch.are_deterministic_algorithms_enabled(),
        warn_only=torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    for each in model.modules():
        if isinstance(each, BertLayer):
            each.after_attention = torch.compile(each.after_attention, dynamic=True)
