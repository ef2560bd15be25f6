"""How much arithmetic a training step needs, so that speed can be told as a share of the peak."""

from __future__ import annotations

from .config import BertConfig


def training_step_flops(
    config: BertConfig,
    *,
    num_tokens: int,
    sum_squared_lengths: int,
    num_masked: int,
    num_sequences: int,
) -> int:
    """Return the useful floating-point operations of one step's forward and backward.

    Only matrix products of real tokens and masked positions count, a multiply-add as two;
    padding, recomputation and the optimizer don't. `num_tokens`: real ones; `sum_squared_lengths`:
    over sequences, the pairs of tokens that may attend to each other; `num_sequences`: how many
    the next-sentence head sees, 0 where there is none.
    """
    hidden = config.hidden_size
    layer = 4 * hidden * hidden + 2 * hidden * config.intermediate_size
    num_pairs = sum_squared_lengths
    if config.is_decoder:  # a token sees itself and those before it
        num_pairs = (sum_squared_lengths + num_tokens) // 2
    multiply_adds = (
        num_tokens * config.num_hidden_layers * layer
        + num_pairs * config.num_hidden_layers * 2 * hidden
        + num_masked * hidden * (hidden + config.vocab_size)
        + num_sequences * hidden * (hidden + 2)
    )
    # The backward pass has two products for each of the forward's: for inputs and for weights.
    return 3 * 2 * multiply_adds
