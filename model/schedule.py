"""The learning rate as a pure function of the step; nothing about it is saved."""

from __future__ import annotations

import math
from typing import Literal

Schedule = Literal["linear", "cosine", "constant", "wsd"]

WSD_DECAY_PROPORTION = 0.1
"""How much of a warm-up–stable–decay run is its decay (Hu et al. 2024, "MiniCPM", section 4)."""


def learning_rate(
    step: int, *, total_steps: int, peak: float, warmup_steps: int, schedule: Schedule
) -> float:
    """Return the rate of step `step`, counted from 0, in a run of `total_steps`.

    The rate climbs in equal parts to `peak`, reached by the warm-up's last step, then keeps to
    the schedule: linear and cosine fall towards 0, which would be the rate of step `total_steps`;
    wsd stays until its last tenth and falls there. No step has the rate 0.
    """
    if step < warmup_steps:
        return peak * ((step + 1) / warmup_steps)
    left = total_steps - step
    if schedule == "linear":
        return peak * (left / (total_steps - warmup_steps))
    if schedule == "cosine":
        return peak * (0.5 * (1 - math.cos(math.pi * left / (total_steps - warmup_steps))))
    if schedule == "wsd":
        return peak * min(1.0, left / _wsd_decay_steps(total_steps))
    return peak


def warmup_steps(total_steps: int, warmup_proportion: float) -> int:
    """Return how many steps that share of the run is."""
    return round(total_steps * warmup_proportion)


def agrees_until(
    old_total: int,
    new_total: int,
    *,
    old_warmup_steps: int,
    new_warmup_steps: int,
    schedule: Schedule,
) -> int:
    """Return in how many first steps two runs of different length have the same rates.

    A checkpoint after no more steps than these is one that the other run would have had, too.
    """
    first, second = old_warmup_steps, new_warmup_steps
    if schedule in ("constant", "wsd"):
        # A warm-up of one step is none: that step has the full rate.
        first, second = max(first, 1), max(second, 1)
    shorter = min(old_total, new_total)
    if (old_total, first) == (new_total, second):
        return shorter
    if first != second and max(first, second) > 1:
        return 0
    if schedule == "constant":
        return shorter
    last_at_peak = min(first, second)
    if schedule == "wsd":
        # The shorter run begins to fall no later than the longer one, and falls faster.
        last_at_peak = max(last_at_peak - 1, shorter - _wsd_decay_steps(shorter))
    return min(shorter, last_at_peak + 1)


def _wsd_decay_steps(total_steps: int) -> int:
    return max(1, round(total_steps * WSD_DECAY_PROPORTION))
