"""BERT as a source of features: a learned mix of all its layers, and a head that reads that.

As ELMo is used (Peters et al. 2018, equation 1), and BERT for comparison (Devlin et al. 2018, 5.3).
`transformers` has no class of this kind: it loads the encoder, `bert.`, and leaves `mix.` aside.

B sequences, T token rows, H hidden, L layers, C outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from .config import BertConfig
from .dropout import DropoutKey
from .encoder import BertModel
from .finetuning import classify
from .layers import Linear
from .precision import Precision
from .tokens import Tokens

Reads = Literal["sequences", "tokens"]


class LayerMix(nn.Module):
    """gamma · Σ softmax(layer_weights)ₗ · hₗ over embeddings and layers, and a map of that."""

    def __init__(self, config: BertConfig, num_outputs: int) -> None:
        super().__init__()
        self.layer_weights = nn.Parameter(torch.zeros(config.num_hidden_layers + 1))
        self.gamma = nn.Parameter(torch.ones(()))
        self.classifier = Linear(config.hidden_size, num_outputs)

    def mixed(self, every_layer: Sequence[Tensor]) -> Tensor:
        """Map L + 1 of (…, H) to (…, H), in the precision of the weights."""
        shares = torch.softmax(self.layer_weights, dim=0)
        stacked = torch.stack(tuple(every_layer)).to(shares.dtype)
        return self.gamma * torch.tensordot(shares, stacked, dims=1)


class BertForMixedFeatures(nn.Module):
    """Scores from the mix: of each sequence's first token, or of every token."""

    def __init__(
        self,
        config: BertConfig,
        *,
        num_outputs: int,
        reads: Reads,
        precision: Precision = "float32",
    ) -> None:
        super().__init__()
        self.config = config
        self.reads = reads
        self.bert = BertModel(config, precision=precision, pooler=False)
        self.mix = LayerMix(config, num_outputs)

    def forward(self, tokens: Tokens, key: DropoutKey | None = None) -> Tensor:
        """Return (B, C) in the order the batch was given, or (T, C) row by row; float32."""
        every_layer = self.bert.every_layer(tokens, key)
        if self.reads == "sequences":
            every_layer = [each[tokens.layout.starts] for each in every_layer]
        return classify(
            self.mix.mixed(every_layer),
            self.mix.classifier,
            self.config,
            key=key if self.training else None,
        )
