"""The learning rate as a pure function of the step; nothing about it is saved."""

from __future__ import annotations

import math
from typing import Literal

Schedule = Literal["linear", "cosine", "constant", "wsd"]

WSD_DECAY_PROPORTION = 0.1
"""How much of a warm-up–stable–decay run is its decay (Hu et al. 2024, "MiniCPM", section 4)."""


def learning_rate(
    step: int, *, total_steps: int, peak: float, warmup_proportion: float, schedule: Schedule
) -> float:
    """Return the rate of step `step`, counted from 0, in a run of `total_steps`.

    The rate climbs in equal parts to `peak`, reached by the warm-up's last step, then keeps to
    the schedule: linear and cosine fall towards 0, which would be the rate of step `total_steps`;
    wsd stays until its last tenth and falls there. No step has the rate 0.
    """
    warmup_steps = round(total_steps * warmup_proportion)
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    left = total_steps - step
    if schedule == "linear":
        return peak * left / (total_steps - warmup_steps)
    if schedule == "cosine":
        return peak * 0.5 * (1 - math.cos(math.pi * left / (total_steps - warmup_steps)))
    if schedule == "wsd":
        decay_steps = max(1, round(total_steps * WSD_DECAY_PROPORTION))
        return peak * min(1.0, left / decay_steps)
    return peak
