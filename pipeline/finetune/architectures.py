"""What classes of models are called: those of `transformers`, and ours over a mix of all layers."""

from __future__ import annotations

from typing import Literal

Features = Literal["last", "mix"]

_PLAIN, _MIXED = "BertFor", "BertMixFor"


def architecture_with(plain: str, features: Features) -> str:
    """Return what a class of `transformers` is called over such features."""
    return plain if features == "last" else plain.replace(_PLAIN, _MIXED)


def plain_architecture(name: str) -> str:
    """Return the class of `transformers` that has the same task."""
    return name.replace(_MIXED, _PLAIN)


def features_of(name: str) -> Features:
    """Return what a class of models reads: its last layer, or a mix of all."""
    return "mix" if name.startswith(_MIXED) else "last"
