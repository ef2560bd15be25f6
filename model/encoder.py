"""BERT's encoder (Devlin et al. 2018, section 3): token rows in, hidden states of the rows out.

Parameters are named as in Hugging Face's state dicts, so that saving is no translation. They stay
in float32; a layer computes in the precision of the rows it is given.

B sequences, T token rows, H hidden, N heads, D head size (H = N·D), I intermediate, V vocabulary.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import AttentionDropout
from .config import BertConfig
from .dropout import DropoutKey, draw, drop, dropout
from .layers import Embedding, LayerNorm, Linear, activation
from .layout import Layout
from .positions import SinusoidalEmbedding
from .precision import Precision
from .tokens import Tokens


class BertEmbeddings(nn.Module):
    """The sum of what a token is, where it stands and which segment it belongs to."""

    def __init__(self, config: BertConfig, *, precision: Precision) -> None:
        super().__init__()
        self.precision = precision
        self.dropout_prob = config.hidden_dropout_prob
        self.word_embeddings = Embedding(config.vocab_size, config.hidden_size)
        if config.position_embedding_type == "sinusoidal":
            self.position_embeddings = SinusoidalEmbedding(config)
        else:
            self.position_embeddings = Embedding(config.max_position_embeddings, config.hidden_size)
        self.token_type_embeddings = Embedding(config.type_vocab_size, config.hidden_size)
        self.LayerNorm = LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, tokens: Tokens, key: DropoutKey | None) -> Tensor:
        """Embed the rows: (T, H) in the precision everything after computes in."""
        embedded = (
            self.word_embeddings(tokens.input_ids)
            + self.token_type_embeddings(tokens.token_type_ids)
            + self.position_embeddings(tokens.position_ids)
        )
        hidden_states = self.LayerNorm(embedded)
        if self.precision == "bfloat16":
            hidden_states = hidden_states.bfloat16()
        return dropout(hidden_states, self.dropout_prob, key=key, site="embeddings")


class BertSelfAttention(nn.Module):
    """Attention of every token to its own sequence, in N heads."""

    def __init__(self, config: BertConfig, *, site: str) -> None:
        super().__init__()
        self.num_heads = config.num_attention_heads
        self.is_causal = config.is_decoder
        self.dropout_prob = config.attention_probs_dropout_prob
        self.site = site
        self.query = Linear(config.hidden_size, config.hidden_size)
        self.key = Linear(config.hidden_size, config.hidden_size)
        self.value = Linear(config.hidden_size, config.hidden_size)

    def forward(self, hidden_states: Tensor, layout: Layout, key: DropoutKey | None) -> Tensor:
        """Mix the rows of each sequence: (T, H) → (T, H)."""
        # One product instead of three: the rows are read once, and so is their gradient.
        weight = torch.cat([self.query.weight, self.key.weight, self.value.weight])
        bias = torch.cat([self.query.bias, self.key.bias, self.value.bias])
        dtype = hidden_states.dtype
        qkv = F.linear(hidden_states, weight.to(dtype), bias.to(dtype))
        dropped = None
        if key is not None and self.dropout_prob > 0:
            dropped = AttentionDropout(self.dropout_prob, key, self.site)
        return layout.attend(qkv, num_heads=self.num_heads, causal=self.is_causal, dropout=dropped)


class BertResidual(nn.Module):
    """A sublayer's end: project, drop, add what went in, normalise."""

    def __init__(self, in_features: int, config: BertConfig, *, site: str) -> None:
        super().__init__()
        self.dropout_prob = config.hidden_dropout_prob
        self.site = site
        self.dense = Linear(in_features, config.hidden_size)
        self.LayerNorm = LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def draw(self, rows: Tensor, key: DropoutKey | None) -> Tensor | None:
        """Draw which units of rows like these are kept, (T, H) uint8; None where all are."""
        return draw(rows, self.dropout_prob, key=key, site=self.site)

    def forward(self, x: Tensor, residual: Tensor, keep: Tensor | None) -> Tensor:
        """Turn (T, in) and the sublayer's input (T, H) into (T, H)."""
        return self.LayerNorm(drop(self.dense(x), keep, self.dropout_prob) + residual)


class BertAttention(nn.Module):
    """The attention sublayer, which its layer puts together."""

    def __init__(self, config: BertConfig, *, site: str) -> None:
        super().__init__()
        self.self = BertSelfAttention(config, site=f"{site} attention")
        self.output = BertResidual(config.hidden_size, config, site=f"{site} attention output")


class BertIntermediate(nn.Module):
    """The wide half of the feed-forward sublayer."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = Linear(config.hidden_size, config.intermediate_size)
        self.activation = activation(config.hidden_act)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Map (T, H) to (T, I)."""
        return self.activation(self.dense(hidden_states))


class BertLayer(nn.Module):
    """One Transformer layer."""

    def __init__(self, config: BertConfig, *, number: int) -> None:
        super().__init__()
        site = f"layer {number}"
        self.attention = BertAttention(config, site=site)
        self.intermediate = BertIntermediate(config)
        self.output = BertResidual(config.intermediate_size, config, site=f"{site} output")

    def forward(
        self,
        hidden_states: Tensor,
        layout: Layout,
        key: DropoutKey | None,
        *,
        rows: Tensor | None = None,
    ) -> Tensor:
        """Map (T, H) to (T, H); with `rows`, (R,) int64, to (R, H): those alone.

        They attend to all the same, but what comes after attention, three quarters of a layer, is
        computed for nobody else.
        """
        attended = self.attention.self(hidden_states, layout, key)
        if rows is not None:
            attended = attended.index_select(0, rows)
            hidden_states = hidden_states.index_select(0, rows)
        # What is drawn stays outside of what may be compiled.
        keep = self.attention.output.draw(hidden_states, key)
        return self.after_attention(
            attended, hidden_states, keep, self.output.draw(hidden_states, key)
        )

    def after_attention(
        self, attended: Tensor, residual: Tensor, keep: Tensor | None, keep_wide: Tensor | None
    ) -> Tensor:
        """Map what attention gives and what it was given, (T, H) each, to (T, H)."""
        hidden_states = self.attention.output(attended, residual, keep)
        return self.output(self.intermediate(hidden_states), hidden_states, keep_wide)


class BertEncoder(nn.Module):
    """The stack of layers."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(
            BertLayer(config, number=number) for number in range(config.num_hidden_layers)
        )

    def forward(
        self,
        hidden_states: Tensor,
        layout: Layout,
        key: DropoutKey | None,
        *,
        rows: Tensor | None = None,
    ) -> Tensor:
        """Map (T, H) to (T, H); with `rows`, (R,) int64, to (R, H): those alone."""
        *lower, last = self.layer
        for layer in lower:
            hidden_states = layer(hidden_states, layout, key)
        return last(hidden_states, layout, key, rows=rows)

    def every_layer(
        self, hidden_states: Tensor, layout: Layout, key: DropoutKey | None
    ) -> list[Tensor]:
        """Return what goes into the first layer and what comes out of each, (T, H) each."""
        several = [hidden_states]
        for layer in self.layer:
            several.append(layer(several[-1], layout, key))
        return several


class BertPooler(nn.Module):
    """A whole sequence as one vector: its first token's, mapped once more."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = Linear(config.hidden_size, config.hidden_size)

    def forward(self, first_tokens: Tensor) -> Tensor:
        """Map (B, H) to (B, H)."""
        return torch.tanh(self.dense(first_tokens))


class BertModel(nn.Module):
    """Embeddings, layers and, where a head asks for it, the pooler."""

    def __init__(
        self, config: BertConfig, *, precision: Precision = "float32", pooler: bool = True
    ) -> None:
        super().__init__()
        self.embeddings = BertEmbeddings(config, precision=precision)
        self.encoder = BertEncoder(config)
        self.pooler = BertPooler(config) if pooler else None
        self.drops = config.hidden_dropout_prob > 0 or config.attention_probs_dropout_prob > 0
        self.is_fixed = False

    def fix(self) -> None:
        """Become a fixed function of the text: nothing is trained, and no unit drops."""
        self.requires_grad_(False)
        self.is_fixed = True

    def forward(self, tokens: Tokens, key: DropoutKey | None = None) -> Tensor:
        """Encode the rows: (T, H).

        In training mode `key` says which units drop, and `ValueError` is raised without one
        unless the configuration drops none; in evaluation mode nothing drops.
        """
        return self.encoder(*self._embedded(tokens, key))

    def pooled(self, tokens: Tokens, key: DropoutKey | None = None) -> Tensor:
        """Encode sequences as wholes: (B, H), in the order the batch was given; `key` as above.

        The same as `pool` of what encoding the rows gives, without what nobody would read.
        """
        return self._pooler(self.encoder(*self._embedded(tokens, key), rows=tokens.layout.starts))

    def every_layer(self, tokens: Tokens, key: DropoutKey | None = None) -> list[Tensor]:
        """Return the embedded rows and what each layer gives, (T, H) each; `key` as above."""
        return self.encoder.every_layer(*self._embedded(tokens, key))

    def pool(self, hidden_states: Tensor, tokens: Tokens) -> Tensor:
        """Map rows (T, H) to sequences (B, H), in the order the batch was given."""
        return self._pooler(hidden_states[tokens.layout.starts])

    def _embedded(
        self, tokens: Tokens, key: DropoutKey | None
    ) -> tuple[Tensor, Layout, DropoutKey | None]:
        """Return what the layers are given."""
        drops = self.training and not self.is_fixed
        if drops and self.drops and key is None:
            raise ValueError("a model in training mode needs a DropoutKey; call .eval() to predict")
        key = key if drops else None
        return self.embeddings(tokens, key), tokens.layout, key

    def _pooler(self, first_tokens: Tensor) -> Tensor:
        assert self.pooler is not None, "this model was built without a pooler"
        return self.pooler(first_tokens)
