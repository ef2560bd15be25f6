"""Proof of an export: a whole model, of the part and the type of number that were asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ..stage.report import Reporter
from . import checks
from .checkpoint import architecture_of
from .checks import Check
from .claim import Claim
from .model import WEIGHTS, Weights, prove_model, read_config
from .tensors import Malformed

_TYPES = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}
"""Names of torch, and of safetensors"""
_ENCODER, _POOLER = "BertModel", "bert.pooler."


def prove(claim: Claim, reporter: Reporter) -> Iterator[Check]:
    """Yield what the model's files say."""
    # Models of tags and answers have no pooler, and neither have their encoders.
    may_lack = () if claim.statistics["has_pooler"] else (_POOLER,)
    yield from prove_model(claim.directory, reporter, may_lack=may_lack)
    config = read_config(claim.directory)
    if config is None:
        return
    if claim.what["encoder_only"]:
        found = architecture_of(config)
        yield Check("architecture of an encoder", found, _ENCODER, found == _ENCODER)
    try:
        weights = Weights.read(claim.directory / WEIGHTS)
    except Malformed:
        return  # and said to be
    stored = [each.dtype for each in weights.file.tensors.values()]
    asked = claim.what["dtype"]
    if asked != "auto":
        right = sum(each == _TYPES[asked] for each in stored)
        yield checks.equal(f"weights stored as {asked}", right, len(stored))
        told = str(config.get("dtype"))
        yield Check("config.json: dtype", told, asked, told == asked)
    numbers = sum(math.prod(shape) for shape in weights.shapes.values())
    yield checks.equal("parameters", numbers, claim.statistics["parameters"])
