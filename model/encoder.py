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
from .config import BertConfig, HiddenAct
from .dropout import DropoutKey, draw, drop, dropout
from .layout import Layout
from .precision import Precision
from .tokens import Tokens


class Linear(nn.Module):
    """An affine map computed in its input's precision; zero until `initialise` or a state dict."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features))

    def forward(self, x: Tensor) -> Tensor:
        """Map (…, in) to (…, out)."""
        return F.linear(x, self.weight.to(x.dtype), self.bias.to(x.dtype))


class Embedding(nn.Module):
    """A table of vectors; zero until `initialise` or a state dict."""

    def __init__(self, num_embeddings: int, embedding_dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(num_embeddings, embedding_dim))

    def forward(self, ids: Tensor) -> Tensor:
        """Look up (T,) int64 as (T, dim) in the table's own precision."""
        return F.embedding(ids, self.weight)


class SinusoidalEmbedding(nn.Module):
    """A fixed table of positions (Vaswani et al. 2017, 3.5): stored as a weight, never trained.

    Its waves are as high as word embeddings begin: in that paper's proportion, where words begin
    with deviation 1 and waves with height 1. What follows normalises, so only proportion counts.
    It does: under waves of height 1 words are hardly seen (tiny's masked tokens after 500 steps
    cost 7.42 nats against 6.96, and 7.02 with a learned table).
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        table = sinusoids(config.max_position_embeddings, config.hidden_size)
        self.weight = nn.Buffer(table.float() * config.initializer_range)

    def forward(self, ids: Tensor) -> Tensor:
        """Look up (T,) int64 as (T, dim) in the table's own precision."""
        return F.embedding(ids, self.weight)


def sinusoids(num_positions: int, hidden_size: int) -> Tensor:
    """Return waves of height 1, (positions, H) float64: sine in even columns, cosine in odd."""
    columns = torch.arange(hidden_size, dtype=torch.float64)
    rates = 10000.0 ** (-(columns - columns % 2) / hidden_size)
    angles = torch.arange(num_positions, dtype=torch.float64)[:, None] * rates
    return torch.where(columns % 2 == 0, angles.sin(), angles.cos())


class LayerNorm(nn.Module):
    """Layer normalisation, statistics in float32 whatever the precision of the rows."""

    def __init__(self, hidden_size: int, *, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(hidden_size))
        self.bias = nn.Parameter(torch.zeros(hidden_size))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (…, H)."""
        # On a processor the kernel itself takes bfloat16 rows and float32 weights.
        wide = x.to(self.weight.dtype) if x.is_cuda else x
        return F.layer_norm(wide, self.bias.shape, self.weight, self.bias, self.eps).to(x.dtype)


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

    def forward(self, hidden_states: Tensor, layout: Layout, key: DropoutKey | None) -> Tensor:
        """Map (T, H) to (T, H)."""
        attended = self.attention.self(hidden_states, layout, key)
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

    def forward(self, hidden_states: Tensor, layout: Layout, key: DropoutKey | None) -> Tensor:
        """Map (T, H) to (T, H)."""
        for layer in self.layer:
            hidden_states = layer(hidden_states, layout, key)
        return hidden_states


class BertPooler(nn.Module):
    """A whole sequence as one vector: its first token's, mapped once more."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = Linear(config.hidden_size, config.hidden_size)

    def forward(self, hidden_states: Tensor, layout: Layout) -> Tensor:
        """Map rows (T, H) to sequences (B, H), in the order the batch was given."""
        return torch.tanh(self.dense(hidden_states[layout.starts]))


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

    def forward(self, tokens: Tokens, key: DropoutKey | None = None) -> Tensor:
        """Encode the rows: (T, H).

        In training mode `key` says which units drop, and `ValueError` is raised without one
        unless the configuration drops none; in evaluation mode nothing drops.
        """
        if self.training and self.drops and key is None:
            raise ValueError("a model in training mode needs a DropoutKey; call .eval() to predict")
        key = key if self.training else None
        return self.encoder(self.embeddings(tokens, key), tokens.layout, key)

    def pool(self, hidden_states: Tensor, tokens: Tokens) -> Tensor:
        """Map rows (T, H) to sequences (B, H), in the order the batch was given."""
        assert self.pooler is not None, "this model was built without a pooler"
        return self.pooler(hidden_states, tokens.layout)


def activation(name: HiddenAct) -> nn.Module:
    """Return the activation that Hugging Face's `hidden_act` names."""
    if name == "relu":
        return nn.ReLU()
    return nn.GELU(approximate="none" if name == "gelu" else "tanh")
