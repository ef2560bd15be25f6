"""Whether a run's loss looks as it should, in words; said by nobody else, and asked by everybody.

The marks are the held-out set's own: what a model scores that knows word frequencies only, and one
that tosses a coin.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

_DEVIATIONS = 3.0
"""How far above a coin's half a next-sentence accuracy has to be, in standard deviations."""
_ENOUGH_PAIRS = 100
_HARDLY = 0.1
"""Nats below what word counts give that are learnt before the words around a mask are used."""
_RISE = 0.03
"""How much above its lowest, relatively, the last held-out loss may stand."""
_CLIPPED = 20.0
"""How many times the allowed norm is too much for the gradient of a late step."""


def diagnose(
    evaluations: Sequence[Mapping[str, Any]],
    baseline: Mapping[str, float],
    *,
    pairs: int,
    gradient_norm: float,
    clip_grad_norm: float,
) -> list[str]:
    """Return what looks unhealthy about a run that ended, and why; nothing if all is well.

    `evaluations`: the first, the best and the last, each with its `step`; `pairs`: held-out
    instances with a next-sentence label; `gradient_norm`: the last step's, before clipping.
    """
    last = evaluations[-1]
    best = min(evaluations, key=lambda each: each["mlm_loss"])
    found: list[str] = []
    if last["mlm_loss"] >= baseline["mlm_loss"]:
        found.append(
            f"The held-out loss of {last['mlm_loss']:.2f} is no better than knowing word counts "
            f"({baseline['mlm_loss']:.2f}): nothing but frequencies was learnt. More steps first; "
            "then a higher or, if the loss jumps about, a lower --learning-rate."
        )
    elif last["mlm_loss"] > baseline["mlm_loss"] - _HARDLY:
        found.append(
            f"The held-out loss of {last['mlm_loss']:.2f} is hardly better than knowing word "
            f"counts ({baseline['mlm_loss']:.2f}): the words around a mask aren't used yet. "
            "More steps."
        )
    if last["mlm_loss"] > best["mlm_loss"] * (1 + _RISE):
        found.append(
            f"The held-out loss was lowest after step {best['step']:,} ({best['mlm_loss']:.2f}) "
            f"and ended at {last['mlm_loss']:.2f}: a smaller model, more text or fewer epochs, "
            "or a lower --learning-rate."
        )
    if pairs >= _ENOUGH_PAIRS:
        needed = 0.5 + _DEVIATIONS * 0.5 / math.sqrt(pairs)
        if last["nsp_accuracy"] < needed:
            found.append(
                f"Next-sentence accuracy of {last['nsp_accuracy']:.1%} isn't above a coin's (on "
                f"{pairs:,} pairs, {needed:.1%} would be): it is learnt later than words are. More "
                "steps; a higher --learning-rate or less dropout helps small models."
            )
    if gradient_norm > _CLIPPED * clip_grad_norm:
        found.append(
            f"The last step's gradient had a norm of {gradient_norm:.1f}, clipped to "
            f"{clip_grad_norm:g}: steps are mostly noise. A lower --learning-rate, or a larger "
            "--batch-size."
        )
    return found
