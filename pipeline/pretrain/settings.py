"""The settings of `bertctl pretrain`, each written once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from ..errors import BadInput
from ..stage.settings import setting

_ROUNDING = 1e-6
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class ArchitectureSettings:
    """*What*: the model's shape; what is given here overrides the size's own."""

    model: Literal["tiny", "mini", "small", "medium", "base", "large"] = setting(
        "base", "Size of the model, as google-research/bert names them."
    )
    num_hidden_layers: int | None = setting(None, "Layers.", minimum=1)
    hidden_size: int | None = setting(None, "Width of a layer.", minimum=1)
    num_attention_heads: int | None = setting(None, "Attention heads in a layer.", minimum=1)
    intermediate_size: int | None = setting(None, "Width inside a feed-forward block.", minimum=1)
    max_position_embeddings: int | None = setting(
        None, "Longest sequence the model can read.", minimum=8
    )
    hidden_dropout_prob: float | None = setting(
        None, "Share of units dropped after a layer.", minimum=0, maximum=0.99
    )
    attention_probs_dropout_prob: float | None = setting(
        None, "Share of attention dropped.", minimum=0, maximum=0.99
    )
    position_embedding_type: Literal["learned", "sinusoidal"] | None = setting(
        None, "Whether positions are learnt (as BERT's are) or a fixed table of waves."
    )


@dataclass(frozen=True)
class PretrainSettings:
    """*What*: how the model is trained (Devlin et al. 2018, A.2)."""

    steps: int | None = setting(None, "Optimizer steps to take.", minimum=1, maximum=10**12)
    epochs: float | None = setting(
        None,
        "Passes over the corpus, in place of --steps: one reads one copy of it, the next epoch the "
        "next of `shard --dupe-factor`.",
        minimum=1e-6,
        maximum=1e6,
    )
    shares: str | None = setting(
        None, "Of several SHARDS, each one's share of the steps, such as 0.9,0.1."
    )
    objective: Literal["auto", "mlm+nsp", "mlm", "mlm+sop", "causal"] = setting(
        "auto",
        "What is learnt: masked tokens, with next sentence or sentence order, or the next token "
        "from left to right; auto is what the shards are made for.",
    )
    batch_size: int = setting(
        256,
        "Instances in a step, over all processes and micro-batches.",
        minimum=1,
        maximum=10**6,
    )
    optimizer: Literal["adamw", "lamb"] = setting(
        "adamw", "How gradients become weights; lamb is for batches of thousands."
    )
    learning_rate: float = setting(1e-4, "Greatest learning rate.", minimum=0)
    warmup_proportion: float | None = setting(
        None,
        "Share of the steps over which the rate rises: 0.01 where nothing else is said.",
        minimum=0,
        maximum=1,
    )
    warmup_steps: int | None = setting(
        None, "Steps over which the rate rises, in place of the share.", minimum=0
    )
    schedule: Literal["linear", "cosine", "constant", "wsd"] = setting(
        "linear", "How the learning rate falls after the warm-up."
    )
    weight_decay: float = setting(0.01, "Decay of weights; none on bias, LayerNorm.", minimum=0)
    clip_grad_norm: float = setting(1.0, "Greatest norm of a step's gradient.", minimum=1e-9)
    seed: int = setting(12345, "Keys weights, order and dropout.", minimum=0)


@dataclass(frozen=True)
class ProcessNumerics:
    """*Numerics*: recorded, free to change on resume; the stream of instances stays the same."""

    nproc_per_node: int | Literal["auto"] = setting(
        1, "Processes that train together on this machine; auto is one for each GPU.", minimum=1
    )
    compile: bool = setting(False, "Fuse a layer's small operations with torch.compile.")


@dataclass(frozen=True)
class PretrainHow:
    """*How*: none of these changes a byte of the model."""

    checkpoint_every: int = setting(1000, "Steps between checkpoints.", minimum=1)
    keep: int = setting(2, "Newest checkpoints that are kept.", minimum=1)
    eval_every: int = setting(1000, "Steps between held-out evaluations.", minimum=1)
    log_every: int = setting(10, "Steps between lines of log/metrics.jsonl.", minimum=1)


@dataclass(frozen=True)
class TimeHow:
    """*How*: what the command line makes of the clock; a program passes `should_stop` instead."""

    time: str | None = setting(
        None, "Stop and keep after so long, such as 90s, 45m or 2h; the schedule is unchanged."
    )


def seconds_of(text: str | None) -> float | None:
    """Read a duration such as 90s, 45m, 2h or 1d; None stays None.

    Raises:
        BadInput: it isn't one.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text.strip())
    if match is None:
        raise BadInput(
            f"--time is {text!r}; expected a number and a unit: 90s, 45m, 2h or 1d.",
            hint="Training stops after it and keeps its last step.",
        )
    return float(match[1]) * _SECONDS[match[2]]


def shares_of(text: str | None, count: int) -> tuple[float, ...]:
    """Read the shares of `count` directories of shards, which add up to 1.

    Raises:
        BadInput: they aren't that.
    """
    if text is None:
        if count == 1:
            return (1.0,)
        raise BadInput(
            f"{count} directories of shards are named, and not how the steps are shared.",
            hint="Give --shares, one for each in their order: --shares 0.9,0.1.",
        )
    try:
        shares = tuple(float(each) for each in text.split(","))
    except ValueError:
        shares = ()
    if (
        len(shares) != count
        or not all(0 < each <= 1 for each in shares)
        or abs(sum(shares) - 1) > _ROUNDING
    ):
        raise BadInput(
            f"--shares is {text!r}; expected {count} numbers above 0 that add up to 1, a comma "
            "between them.",
            hint="One for each SHARDS, in their order: --shares 0.9,0.1.",
        )
    return shares
