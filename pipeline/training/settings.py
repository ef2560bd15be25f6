"""The settings that pretraining and fine-tuning share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..stage.settings import setting


@dataclass(frozen=True)
class NumericsSettings:
    """*Numerics*: recorded, free to change on resume; weights are bit-identical while they stay."""

    device: Literal["auto", "cpu", "cuda", "mps"] = setting(
        "auto", "Where to compute; auto takes a GPU if there is one."
    )
    precision: Literal["auto", "float32", "bfloat16"] = setting(
        "auto", "auto is bfloat16 where the processor multiplies it in hardware."
    )
    threads: int | Literal["auto"] = setting(
        "auto", "Processor threads; auto takes every processor.", minimum=1, maximum=1024
    )
    micro_batch_size: int | Literal["auto"] = setting(
        "auto", "Instances computed at once; a batch is a sum of them.", minimum=1
    )
