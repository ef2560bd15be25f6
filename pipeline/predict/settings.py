"""The settings of `bertctl predict`, each written once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..stage.settings import setting


@dataclass(frozen=True)
class PredictHow:
    """*How*: what is asked of the model, where the texts stand, and how they are read."""

    task: Literal[
        "auto",
        "fill-mask",
        "next-sentence",
        "embeddings",
        "sequence-classification",
        "regression",
        "token-classification",
        "question-answering",
        "multiple-choice",
    ] = setting(
        "auto",
        "What is asked: words for [MASK], whether a second text follows, vectors, or what the "
        "model was fitted to. auto: that; of a pretrained one next-sentence for pairs, vectors "
        "for a .parquet file, and fill-mask.",
    )
    top_k: int = setting(5, "fill-mask: likeliest words for each [MASK].", minimum=1, maximum=1000)
    n_best_size: int | None = setting(
        None, "question-answering: also tell so many answers, likeliest first.", minimum=1
    )
    null_score_diff_threshold: float | None = setting(
        None,
        "question-answering: by how much no answer has to score above the best one to be given; "
        "without it what the fine-tuning chose.",
    )
    text_pair: str | None = setting(
        None, "Second text, or the text a question is asked of, beside a text given as INPUT."
    )
    choice: tuple[str, ...] = setting(
        (), "multiple-choice: one choice, beside a question given as INPUT; repeated."
    )
    text_column: str | None = setting(
        None,
        "Column of the text, tokens or question; without it the one that the model was fitted to, "
        "or text.",
    )
    text_pair_column: str | None = setting(
        None, "Column of the second text; without it the one that the model was fitted to."
    )
    choice_column: tuple[str, ...] = setting(
        (), "Column of one choice, repeated in their order; or the one column of lists of them."
    )
    input_format: Literal["auto", "txt", "jsonl", "json", "csv", "tsv", "conll"] = setting(
        "auto",
        "What INPUT holds. auto: what a file's name says; of standard input txt, a text a line.",
    )
    max_seq_length: int | Literal["auto"] = setting(
        "auto",
        "Most tokens read at once, special ones included. auto is what the model was fitted with, "
        "or can read.",
        minimum=8,
    )
    long_text: Literal["auto", "head", "tail", "head+tail", "window"] = setting(
        "auto",
        "What becomes of a text that doesn't fit: its beginning, its end or both are kept, or it "
        "is read in windows; auto is as the model was fitted.",
    )
    doc_stride: int | Literal["auto"] = setting(
        "auto",
        "Tokens from one window's begin to the next; auto is as the model was fitted.",
        minimum=1,
    )
    window_pooling: Literal["auto", "mean", "vote"] = setting(
        "auto", "How the windows of a text agree; auto is as the model was fitted."
    )
