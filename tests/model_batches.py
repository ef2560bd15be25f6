"""Small models and batches, every size different, for the tests of the model floor."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bertctl.model.config import BertConfig
from bertctl.model.tokens import PretrainingBatch, pack_pretraining_batch, pad_tokens

SMALL = BertConfig(
    vocab_size=101,
    hidden_size=21,
    num_hidden_layers=2,
    num_attention_heads=3,
    intermediate_size=34,
    max_position_embeddings=32,
)


@dataclass(frozen=True)
class PaddedBatch:
    """What a data collator hands to transformers: (B, S) each, labels (B,)."""

    input_ids: Tensor
    attention_mask: Tensor
    token_type_ids: Tensor
    labels: Tensor
    """-100 where nothing is masked"""
    next_sentence_label: Tensor

    def rows(self, first: int, last: int) -> PaddedBatch:
        """Some of the sequences."""
        return PaddedBatch(**{name: column[first:last] for name, column in vars(self).items()})

    def padded(self) -> PretrainingBatch:
        """The same for our models, padding kept."""
        masked_rows = (self.labels.reshape(-1) != -100).nonzero().squeeze(1)
        return PretrainingBatch(
            tokens=pad_tokens(self.input_ids, self.attention_mask, self.token_type_ids),
            masked_rows=masked_rows,
            masked_lm_ids=self.labels.reshape(-1)[masked_rows],
            next_sentence_labels=self.next_sentence_label,
        )

    def packed(self) -> PretrainingBatch:
        """The same for our models, padding left out."""
        real = self.attention_mask.bool()
        masked = self.labels != -100
        return pack_pretraining_batch(
            self.input_ids[real],
            self.attention_mask.sum(1),
            ((self.token_type_ids == 0) & real).sum(1),
            masked_lm_positions=masked.nonzero()[:, 1],
            masked_lm_ids=self.labels[masked],
            num_masked=masked.sum(1),
            next_sentence_labels=self.next_sentence_label,
        )


def padded_batch(
    lengths: tuple[int, ...] = (5, 3),
    *,
    config: BertConfig = SMALL,
    seed: int = 1,
    masked: int | None = None,
) -> PaddedBatch:
    """Draw sequences of these lengths: two segments each, unequal numbers of masked tokens.

    `masked` asks for a number of masked tokens in all.
    """
    generator = torch.Generator().manual_seed(seed)
    size = (len(lengths), max(lengths))
    positions = torch.arange(size[1])
    real = positions < torch.tensor(lengths)[:, None]
    input_ids = torch.randint(5, config.vocab_size, size, generator=generator)
    borders = torch.tensor([max(1, length // 2) for length in lengths])[:, None]
    labels = torch.randint(5, config.vocab_size, size, generator=generator)
    hidden = (torch.rand(size, generator=generator) < 0.4) & real
    hidden[:, 0] = True
    if masked is not None:
        hidden = torch.zeros(size, dtype=torch.bool)
        hidden[real] = torch.arange(int(real.sum())) < masked
    return PaddedBatch(
        input_ids=torch.where(real, input_ids, config.pad_token_id),
        attention_mask=real.long(),
        token_type_ids=((positions >= borders) & real).long(),
        labels=torch.where(hidden, labels, -100),
        next_sentence_label=torch.randint(0, 2, size[:1], generator=generator),
    )


def randomise(model: nn.Module, *, seed: int = 7) -> None:
    """Give every parameter, biases and normalisations too, a value that shows when misplaced."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.copy_(0.3 * drawn + (1 if parameter.ndim == 1 else 0))
