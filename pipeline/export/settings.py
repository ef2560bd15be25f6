"""The settings of `bertctl export`, each written once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..stage.settings import setting


@dataclass(frozen=True)
class ExportSettings:
    """*What*: which part of the model is written, and how its weights are stored."""

    encoder_only: bool = setting(
        False, "Leave every head out: the encoder alone, for transformers' AutoModel."
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = setting(
        "auto", "How weights are stored; auto as they are. Half as many bytes lose digits."
    )
