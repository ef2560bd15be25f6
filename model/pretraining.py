"""BERT with its pre-training heads, and their losses as sums (Devlin et al. 2018, 3.1).

Sums, because a batch may be cut into micro-batches and over processes with unequal numbers of
masked tokens: only the caller knows the global counts to divide by.

B sequences, T token rows, M masked tokens, H hidden, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import ARCHITECTURES, BertConfig, Objective
from .dropout import DropoutKey
from .encoder import BertModel
from .layers import LayerNorm, Linear, activation
from .layout import SHAPE_STEP
from .precision import Precision
from .tokens import PretrainingBatch, Tokens
from .vocabulary_loss import vocabulary_loss


@dataclass(frozen=True)
class PretrainingSums:
    """What one micro-batch adds to a step: losses in nats, summed, and what to divide them by."""

    mlm_loss_sum: Tensor
    """() float32, differentiable"""
    mlm_correct: Tensor
    """() int64"""
    mlm_count: int
    nsp_loss_sum: Tensor
    """() float32, differentiable; 0 without a next-sentence objective"""
    nsp_correct: Tensor
    """() int64"""
    nsp_count: int
    """0 without a next-sentence objective"""


class PredictionTransform(nn.Module):
    """The masked tokens' last layer of their own before the vocabulary."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = Linear(config.hidden_size, config.hidden_size)
        self.activation = activation(config.hidden_act)
        self.LayerNorm = LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Map (M, H) to (M, H)."""
        return self.LayerNorm(self.activation(self.dense(hidden_states)))


class PredictionHead(nn.Module):
    """Scores over the vocabulary; the decoder's weight is the word embeddings' own."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.transform = PredictionTransform(config)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))


class PretrainingHeads(nn.Module):
    """Masked tokens and, where there is such an objective, next sentence."""

    def __init__(self, config: BertConfig, *, pairs: bool) -> None:
        super().__init__()
        self.predictions = PredictionHead(config)
        self.seq_relationship = Linear(config.hidden_size, 2) if pairs else None


class BertForPreTraining(nn.Module):
    """BERT that predicts masked (or following) tokens and, perhaps, how two segments belong.

    Its parameters are those of the class of transformers that `ARCHITECTURES` names. Raises
    `ValueError` where objective and `is_decoder` contradict: what may look ahead can't learn to
    predict what comes.
    """

    def __init__(
        self,
        config: BertConfig,
        *,
        precision: Precision = "float32",
        objective: Objective = "mlm+nsp",
    ) -> None:
        super().__init__()
        if config.is_decoder != (objective == "causal"):
            raise ValueError(f"is_decoder is {config.is_decoder}, the objective {objective}")
        pairs = ARCHITECTURES[objective] == "BertForPreTraining"
        self.config = config
        self.bert = BertModel(config, precision=precision, pooler=pairs)
        self.cls = PretrainingHeads(config, pairs=pairs)

    def forward(self, batch: PretrainingBatch, key: DropoutKey | None = None) -> PretrainingSums:
        """Sum both losses over the batch; the heads see only the rows they predict for."""
        hidden_states = self.bert(batch.tokens, key)
        # A few rows too many, for the sake of few shapes (see layout.py); they have no label.
        masked_rows = F.pad(batch.masked_rows, (0, -len(batch.masked_rows) % SHAPE_STEP))
        mlm_loss_sum, mlm_correct = vocabulary_loss(
            self.cls.predictions.transform(hidden_states[masked_rows]),
            self.bert.embeddings.word_embeddings.weight,
            self.cls.predictions.bias,
            batch.masked_lm_ids,
        )
        labels = batch.next_sentence_labels
        scores = (
            None if labels is None else self._seq_relationship_logits(hidden_states, batch.tokens)
        )
        if labels is None or scores is None:
            nsp_loss_sum, nsp_correct = mlm_loss_sum.new_zeros(()), mlm_correct.new_zeros(())
        else:
            nsp_loss_sum = F.cross_entropy(scores, labels, reduction="sum")
            nsp_correct = (scores.argmax(dim=1) == labels).sum()
        return PretrainingSums(
            mlm_loss_sum=mlm_loss_sum,
            mlm_correct=mlm_correct,
            mlm_count=len(batch.masked_rows),
            nsp_loss_sum=nsp_loss_sum,
            nsp_correct=nsp_correct,
            nsp_count=0 if labels is None or scores is None else len(labels),
        )

    def logits(self, tokens: Tokens, rows: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Score the vocabulary at `rows` (all, without them) and both next-sentence labels.

        Returns prediction_logits (M, V) and seq_relationship_logits (B, 2), float32 at least; None
        for the latter where there is no such objective.
        """
        hidden_states = self.bert(tokens)
        predicted = hidden_states if rows is None else hidden_states[rows]
        weight = self.bert.embeddings.word_embeddings.weight
        prediction_logits = F.linear(
            self.cls.predictions.transform(predicted).to(weight.dtype),
            weight,
            self.cls.predictions.bias,
        )
        return prediction_logits, self._seq_relationship_logits(hidden_states, tokens)

    def _seq_relationship_logits(self, hidden_states: Tensor, tokens: Tokens) -> Tensor | None:
        seq_relationship = self.cls.seq_relationship
        if seq_relationship is None:
            return None
        pooled = self.bert.pool(hidden_states, tokens)
        return seq_relationship(pooled.to(seq_relationship.weight.dtype))
