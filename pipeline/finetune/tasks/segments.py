"""Choosing among the sites of an item: a softmax over each item's own."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .sequences import Ints
from .task import Batch, Floats, Targets


def choice_loss(batch: Batch) -> Tensor:
    """Return the summed cross-entropy between targets and a softmax over each item's sites.

    Outputs and targets are (m,) or (m, C): each column is a choice of its own.
    """
    outputs = batch.outputs.reshape(len(batch.outputs), -1)
    item_of = batch.item_of
    counts = torch.bincount(item_of, minlength=batch.num_items)
    firsts = torch.cumsum(counts, 0) - counts
    place = torch.arange(len(item_of), device=item_of.device) - firsts[item_of]
    # A rectangle, since a sum by scattering has no fixed order on a GPU.
    table = outputs.new_full((batch.num_items, int(counts.max()), outputs.shape[1]), -torch.inf)
    log_probs = F.log_softmax(table.index_put((item_of, place), outputs), dim=1)[item_of, place]
    return -(log_probs * batch.targets.reshape(outputs.shape).to(log_probs)).sum()


def choice_mass(targets: Targets) -> float:
    """Return how many choices there are to be made."""
    return float(targets.sum())


def log_softmax_within(values: Floats, counts: Ints) -> Floats:
    """Turn scores (M,) into log-probabilities within runs of `counts` (I,) of them."""
    firsts = np.cumsum(counts) - counts
    return values - np.repeat(np.logaddexp.reduceat(values, firsts), counts)
