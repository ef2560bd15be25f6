"""What sets one kind of fine-tuning apart from another, as a value; all the rest is shared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
from torch import Tensor, nn

from ...model.config import BertConfig
from ...model.precision import Precision

Outputs = npt.NDArray[Any]
"""What the head says of each row, rows first, in the order of the file."""
Targets = npt.NDArray[Any]
"""What is true of each row, rows first."""
Figures = Mapping[str, float]


@dataclass(frozen=True)
class Task:
    """Head, loss and metric of one task over known labels."""

    architecture: str
    """The class of `transformers` that loads the model."""
    head: str
    """How the names of the parameters begin that a pre-trained encoder lacks."""
    config: Mapping[str, Any]
    """What the model's config.json says besides its shape."""
    build: Callable[[BertConfig, Precision], nn.Module]
    """A model whose `forward(tokens, key)` gives the outputs of a batch, a row for each row."""
    loss_sum: Callable[[Tensor, Tensor], Tensor]
    """(outputs, targets) → (), summed over the rows of a batch"""
    measure: Callable[[Outputs, Targets], Figures | None]
    """(outputs, targets) of a whole file → figures; None where no row has a target"""
    best_by: str
    """The figure that tells which epoch and which seed is best: the greater, the better."""
    details: Callable[[Outputs, Targets], Mapping[str, Any] | None]
    """Results that are more than a figure, such as who is taken for whom"""
    predictions: Callable[[Outputs, Targets], Iterator[dict[str, Any]]]
    """What is told of each row, in words"""
