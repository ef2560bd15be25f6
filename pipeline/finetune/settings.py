"""The settings of `bertctl finetune`, each written once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..stage.settings import setting


@dataclass(frozen=True)
class FinetuneSettings:
    """*What*: the task, its columns, and how the model is fitted (Devlin et al. 2018, A.3)."""

    task: Literal[
        "sequence-classification",
        "regression",
        "token-classification",
        "question-answering",
        "multiple-choice",
    ] = setting(
        "sequence-classification",
        "What the model is to do: name the class of a text or a pair (or several classes), score "
        "it, tag its tokens, find answers in it, or choose.",
    )
    text_column: str | None = setting(
        None, "Column of the text, tokens or question; without it, guessed and said."
    )
    text_pair_column: str | None = setting(
        None, "Column of the second text, where two are judged together."
    )
    label_column: str | None = setting(
        None, "Column of the label; without it, guessed from the names and said."
    )
    choice_column: tuple[str, ...] = setting(
        (), "Column of one choice, repeated in their order; or the one column of lists of them."
    )
    ignore_label: tuple[str, ...] = setting(
        (),
        "A label that means there is none, such as - or -1: left out of training, not scored. "
        "May be repeated.",
    )
    problem_type: Literal["auto", "single_label_classification", "multi_label_classification"] = (
        setting(
            "auto",
            "One class a row, or several: a list of them, or names parted by a vertical bar; auto "
            "looks.",
        )
    )
    tag_scheme: Literal["auto", "any", "IOB1", "IOB2", "BIOES"] = setting(
        "auto",
        "How files write entities as tags; auto finds out, any takes tags as they are.",
    )
    convert_tags: Literal["none", "IOB1", "IOB2", "BIOES"] = setting(
        "none", "Write entities in another scheme than the files, for the model to learn."
    )
    long_text: Literal["auto", "head", "tail", "head+tail", "window"] = setting(
        "auto",
        "What becomes of a text that doesn't fit: its beginning, its end or both are kept, or it "
        "is read in overlapping windows; auto is window for tags and answers, else head.",
    )
    doc_stride: int | Literal["auto"] = setting(
        "auto", "Tokens from one window's begin to the next; auto is half a window.", minimum=1
    )
    window_pooling: Literal["mean", "vote"] = setting(
        "mean", "How the windows of a text agree: the mean of their scores, or a vote."
    )
    max_query_length: int = setting(64, "Most tokens of a question; the rest is cut.", minimum=1)
    max_answer_length: int | Literal["auto"] = setting(
        "auto", "Most tokens of an answer; auto is what 99 % of those learnt have.", minimum=1
    )
    n_best_size: int = setting(20, "Answers that are told of each question.", minimum=1)
    null_score_diff_threshold: float | Literal["auto"] = setting(
        "auto",
        "By how much no answer has to score above the best one to be given, where questions may "
        "have none; auto is what is best for the validation file.",
    )
    answer_metric: Literal["auto", "words", "characters"] = setting(
        "auto",
        "What F1 of answers counts: SQuAD's words, or CMRC's characters for Chinese; auto looks.",
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
    class_weights: Literal["none", "balanced"] = setting(
        "none", "Whether rare classes weigh more: balanced gives each class the same sum."
    )
    train_layers: int | Literal["all", "head", "none"] = setting(
        "all",
        "What is trained: all; the new head with the pooler; that and the last N layers; or with "
        "none the new head alone, on features of an encoder that is as it was and drops no unit.",
        minimum=0,
    )
    features: Literal["last", "mix"] = setting(
        "last",
        "What the head reads: the last layer (of a whole text the pooler's vector), or a learned "
        "mix of all layers and the embeddings (of a whole text its first token's).",
    )
    layer_lr_decay: float = setting(
        1.0,
        "Learning rate of a layer as a share of the next one's; embeddings are the lowest layer.",
        minimum=0.01,
        maximum=1,
    )
    early_stopping: int | None = setting(
        None, "Epochs without a better one after which training ends.", minimum=1
    )
    grid: bool = setting(
        False,
        "Try the paper's grid: batch size 16, 32; learning rate 5e-5, 3e-5, 2e-5; 2, 3, 4 epochs.",
    )
    folds: int | None = setting(
        None,
        "Without a validation file: parts of the training rows, each of which validates in turn.",
        minimum=2,
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
