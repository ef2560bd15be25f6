"""The settings of `bertctl pretrain`, each written once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from ..errors import BadInput
from ..stage.settings import setting

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


@dataclass(frozen=True)
class PretrainSettings:
    """*What*: how the model is trained (Devlin et al. 2018, A.2)."""

    steps: int | None = setting(None, "Optimizer steps to take.", minimum=1)
    epochs: float | None = setting(
        None, "Passes over the corpus, in place of --steps.", minimum=1e-6
    )
    batch_size: int = setting(256, "Instances in a step.", minimum=1)
    learning_rate: float = setting(1e-4, "Greatest learning rate.", minimum=0)
    warmup_proportion: float = setting(
        0.01, "Share of the steps over which the rate rises.", minimum=0, maximum=1
    )
    schedule: Literal["linear", "cosine", "constant", "wsd"] = setting(
        "linear", "How the learning rate falls after the warm-up."
    )
    weight_decay: float = setting(0.01, "Decay of weights; none on bias, LayerNorm.", minimum=0)
    clip_grad_norm: float = setting(1.0, "Greatest norm of a step's gradient.", minimum=1e-9)
    seed: int = setting(12345, "Keys weights, order and dropout.", minimum=0)


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
