"""What sets one kind of fine-tuning apart from another, as a value; all the rest is shared.

Rows of a file become *items*: what is learnt as a whole, such as a text, a window of one, or a
question with its choices. An item is one sequence or several. Its *sites* are where the head
speaks: sequences as a whole, or tokens. What is true is told, and what the model says is kept, by
site. Results are told by row again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from ....model.config import BertConfig
from ....model.dropout import DropoutKey
from ....model.precision import Precision
from ....model.tokens import Tokens
from ...wordpiece.encode import WordPieceEncoder
from ..examples.examples import Examples
from .sequences import Ints, Sequences, spans

Floats = npt.NDArray[np.float64]
Outputs = npt.NDArray[Any]
"""What the head says, sites first, in their order: (M,) or (M, C) float32."""
Targets = npt.NDArray[Any]
"""What is true, sites first."""
Figures = Mapping[str, float]
State = dict[str, Tensor]


@dataclass(frozen=True)
class Items:
    """I items made of N sequences with M sites in all, each in order."""

    sequences: Sequences
    rows: Ints
    """(I,) which row of the file each item comes from, ascending"""
    sizes: Ints
    """(I,) how many sequences each is made of"""
    num_sites: Ints
    """(N,) how many sites each sequence has"""
    sites: Ints
    """(M,) where each site stands in its sequence; nothing where the head reads whole sequences"""
    targets: Targets
    """(M, …)"""
    num_rows: int
    extra: Any = None
    """What else the task needs to make answers of outputs"""
    num_cut: int = 0
    """Rows of which something isn't read"""
    num_windowed: int = 0
    """Rows that are read in several windows"""
    num_empty: int = 0
    """Rows one of whose texts is no token at all: characters that BERT drops, and no other"""
    unknown_share: float = 0.0
    """Share of `[UNK]` among the tokens of the text"""

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def lengths(self) -> Ints:
        """(I,) tokens of each item's longest sequence."""
        if len(self) == len(self.sequences):
            return self.sequences.lengths
        return np.maximum.reduceat(self.sequences.lengths, self._first_sequences)

    def sequences_of(self, items: Ints) -> Ints:
        """Return which sequences make up items, in the order given."""
        return spans(self._first_sequences[items], self.sizes[items])

    def sites_of(self, sequences: Ints) -> Ints:
        """Return which sites sequences have, in the order given."""
        return spans(self._first_sites[sequences], self.num_sites[sequences])

    @cached_property
    def row_lengths(self) -> Ints:
        """(R,) tokens of each row, counted once where windows overlap is not known: their sum."""
        item_of = np.repeat(self.rows, self.sizes)
        sums = np.bincount(item_of, weights=self.sequences.lengths, minlength=self.num_rows)
        return sums.astype(np.int64)

    @cached_property
    def _first_sequences(self) -> Ints:
        return np.cumsum(self.sizes) - self.sizes

    @cached_property
    def _first_sites(self) -> Ints:
        return np.cumsum(self.num_sites) - self.num_sites


def whole_sequences(sequences: Sequences, rows: Ints, targets: Targets, **others: Any) -> Items:
    """Return items of one sequence each, with one site for the whole of it."""
    ones = np.ones(len(sequences), np.int64)
    return Items(
        sequences=sequences,
        rows=rows,
        sizes=ones,
        num_sites=ones,
        sites=np.empty(0, np.int64),
        targets=targets,
        **others,
    )


@dataclass(frozen=True)
class Judgement:
    """What outputs come to, row by row."""

    scored: Ints
    """(L,) which rows it is known of what is true, ascending"""
    statistics: Floats
    """(L, K) what is known of each: `figures` of any choice of them need nothing else"""
    figures: Callable[[Floats], Figures]
    """(l, K) → figures"""
    tell: Callable[[int], dict[str, Any]]
    """What is told of a row, in words"""
    wrong: npt.NDArray[np.bool_]
    """(L,) which of the scored rows are answered wrongly"""
    confidence: Floats
    """(L,) how sure the model is of what it says; of a number, how far off it is"""
    tables: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Results that are more than a figure, such as who is taken for whom"""

    def measure(self) -> Figures | None:
        """Return the figures of all scored rows; None where there are none."""
        return self.figures(self.statistics) if len(self.scored) else None


@dataclass(frozen=True)
class Batch:
    """What the loss is made of: outputs and targets of some items' sites, (m, …) each."""

    outputs: Tensor
    targets: Tensor
    item_of: Tensor
    """(m,) int64: which of the items each site belongs to, from 0"""
    num_items: int


def _same(state: State) -> State:
    return state


def _nothing(judged: Items, outputs: Outputs, examples: Examples[Any]) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True)
class Task:
    """Reading, head, loss and results of one task over what is known of it."""

    architecture: str
    """The class of `transformers` that loads the model"""
    head: str
    """How the names of the parameters begin that a pre-trained encoder lacks"""
    config: Mapping[str, Any]
    """What the model's config.json says besides its shape"""
    encode: Callable[[WordPieceEncoder, Examples[Any]], Items]
    build: Callable[[BertConfig, Precision], nn.Module]
    scores: Callable[[nn.Module, Tokens, DropoutKey | None], Tensor]
    """(model, tokens, key) → what the head says of every sequence (B, …), or every row (T, …)"""
    loss_sum: Callable[[Batch], Tensor]
    """→ (), summed over items or sites"""
    mass: Callable[[Targets], float]
    """targets (m, …) → what their summed loss is divided by; parts add up to the whole"""
    best_by: str
    """The figure that tells which epoch and which seed is best: the greater, the better"""
    judge: Callable[[Items, Outputs, Examples[Any], Mapping[str, Any]], Judgement]
    """(items, outputs, examples, what `tune` gave) of a whole file"""
    baseline: Callable[[Examples[Any], Examples[Any]], Mapping[str, Any] | None]
    """(training rows, rows to score) → what saying always the same would come to"""
    tune: Callable[[Items, Outputs, Examples[Any]], Mapping[str, Any]] = _nothing
    """What the validation rows settle, such as a threshold; config.json keeps it too"""
    as_trained: Callable[[State], State] = _same
    """From the weights of a finished model to those that are trained: the undoing of `as_kept`"""
    as_kept: Callable[[State], State] = _same
    """From the weights that were trained to those of the finished model"""
