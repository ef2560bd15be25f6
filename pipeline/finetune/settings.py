"""The settings of `bertctl finetune`, each written once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..stage.settings import setting


@dataclass(frozen=True)
class FinetuneSettings:
    """*What*: the task, its columns, and how the model is fitted (Devlin et al. 2018, A.3)."""

    task: Literal["sequence-classification"] = setting(
        "sequence-classification", "What the model is to do: name the class of a text or a pair."
    )
    text_column: str | None = setting(
        None, "Column of the text; without it, guessed from the names and said."
    )
    text_pair_column: str | None = setting(
        None, "Column of the second text, where two are judged together."
    )
    label_column: str | None = setting(
        None, "Column of the label; without it, guessed from the names and said."
    )
    ignore_label: tuple[str, ...] = setting(
        (),
        "A label that means there is none, such as - or -1: left out of training, not scored. "
        "May be repeated.",
    )
    epochs: int = setting(3, "Passes over the training rows.", minimum=1)
    batch_size: int = setting(32, "Rows in a step.", minimum=1)
    learning_rate: float = setting(2e-5, "Greatest learning rate.", minimum=0)
    warmup_proportion: float = setting(
        0.1, "Share of the steps over which the rate rises.", minimum=0, maximum=1
    )
    schedule: Literal["linear", "cosine", "constant", "wsd"] = setting(
        "linear", "How the learning rate falls after the warm-up."
    )
    weight_decay: float = setting(0.01, "Decay of weights; none on bias, LayerNorm.", minimum=0)
    clip_grad_norm: float = setting(1.0, "Greatest norm of a step's gradient.", minimum=1e-9)
    max_seq_length: int = setting(
        128, "Most tokens of a text or a pair, special ones included; the rest is cut.", minimum=8
    )
    dropout_prob: float | None = setting(
        None,
        "Share of units and of attention dropped; the model's own if not given.",
        minimum=0,
        maximum=0.99,
    )
    seeds: int = setting(1, "Runs, each with a seed of its own; one alone may be luck.", minimum=1)
    seed: int = setting(
        12345, "The first run's seed: keys new weights, order and dropout.", minimum=0
    )


@dataclass(frozen=True)
class FinetuneHow:
    """*How*: none of these changes a byte of the output."""

    checkpoint_every: int | Literal["epoch"] = setting(
        "epoch", "Steps between checkpoints, besides one at the end of each epoch.", minimum=1
    )
    log_every: int = setting(10, "Steps between lines of log/seed-*.jsonl.", minimum=1)
