"""One thing that was checked: what was found, what should have been, and whether that is so."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

_SIGMAS = 5.0
"""A figure drawn at random is this far from its mean once in two million times."""
_ROUNDING = 0.5


@dataclass(frozen=True)
class Check:
    """`found` and `expected` are words for people; `ok` says whether they agree."""

    name: str
    found: str
    expected: str
    ok: bool

    def as_json(self) -> Mapping[str, Any]:
        """Return the check as it stands in a JSON object."""
        return asdict(self)


def equal(name: str, found: int, expected: int | None) -> Check:
    """Check a count against another; None where nothing is claimed, which is wrong too."""
    claimed = "(not told)" if expected is None else f"{expected:,}"
    return Check(name, f"{found:,}", claimed, found == expected)


def none(name: str, found: int) -> Check:
    """Check that what must not be is nowhere; `name` says what must be."""
    return Check(name, f"{found:,} not" if found else "all", "all", found == 0)


def share(
    name: str, count: int, of: int, probability: float, *, squares: int | None = None
) -> Check:
    """Check how many `of` so many draws came out one way, each with the same probability.

    Where draws come in clusters with one fate, `squares` is the sum of the squares of their sizes,
    by which the variance grows.
    """
    variance = probability * (1 - probability) * (of if squares is None else squares)
    bound = _SIGMAS * math.sqrt(max(variance, 0.0)) + _ROUNDING
    return Check(
        name,
        _percent(count / max(of, 1)),
        f"{_percent(probability)} ± {_percent(bound / max(of, 1))}",
        bool(abs(count - probability * of) <= bound),
    )


def mean(name: str, found: float, expected: float, *, deviation: float) -> Check:
    """Check a mean; `deviation` is its standard deviation."""
    bound = _SIGMAS * deviation
    return Check(
        name, f"{found:.4f}", f"{expected:.4f} ± {bound:.4f}", abs(found - expected) <= bound
    )


def chi_square(name: str, statistic: float, freedom: int) -> Check:
    """Check that counts are as uniform as chance has it (Wilson & Hilferty 1931)."""
    if freedom < 1:
        return Check(name, "too few to say", "uniform", ok=True)
    spread = 2 / (9 * freedom)
    z = ((statistic / freedom) ** (1 / 3) - (1 - spread)) / math.sqrt(spread)
    return Check(name, f"{z:+.1f} sigma", f"up to {_SIGMAS:+.1f}", z <= _SIGMAS)


def _percent(value: float) -> str:
    return f"{value:.2%}"
