"""The settings of `bertctl predict`, each written once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..stage.settings import setting


@dataclass(frozen=True)
class PredictHow:
    """*How*: what is asked of the model, and where the texts stand."""

    task: Literal[
        "auto",
        "fill-mask",
        "next-sentence",
        "embeddings",
        "sequence-classification",
    ] = setting(
        "auto",
        "What is asked: words for [MASK], whether a second text follows, vectors, or a label. "
        "auto: what the model was fitted to; of a pretrained one next-sentence for pairs, vectors "
        "for a .parquet file, and fill-mask.",
    )
    top_k: int = setting(5, "fill-mask: likeliest words for each [MASK].", minimum=1, maximum=1000)
    text_pair: str | None = setting(None, "Second text, beside a text that is given as INPUT.")
    text_column: str | None = setting(
        None, "Column of the text; without it the one that the model was fitted to, or text."
    )
    text_pair_column: str | None = setting(
        None, "Column of the second text; without it the one that the model was fitted to."
    )
    input_format: Literal["auto", "txt", "jsonl", "csv", "tsv"] = setting(
        "auto", "What standard input holds; a file's name tells by itself."
    )
    max_seq_length: int | Literal["auto"] = setting(
        "auto",
        "Most tokens of a text or a pair, special ones included; the rest is cut. auto is what the "
        "model was fitted with, or can read.",
        minimum=8,
    )
