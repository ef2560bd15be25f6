"""Proof of a pretraining run: its model is the one the recipe asks for, and so are its checkpoints.

The weights themselves can't be proven without training again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ..stage.report import Reporter
from . import checks
from .checkpoint import MODEL, architecture_of, prove_checkpoint, read_record
from .checks import Check
from .claim import Claim
from .model import WEIGHTS, Weights, is_fixed, prove_model, read_config
from .tensors import Malformed

_ARCHITECTURES = {
    "mlm+nsp": "BertForPreTraining",
    "mlm+sop": "BertForPreTraining",
    "mlm": "BertForMaskedLM",
    "causal": "BertLMHeadModel",
}


def prove(claim: Claim, reporter: Reporter) -> Iterator[Check]:
    """Yield what the model, the figures and the checkpoints of a run say."""
    directory = claim.directory / MODEL
    yield from prove_model(directory, reporter)
    config = read_config(directory)
    if config is not None:
        yield from _settings(claim, config)
        yield from _parameters(claim, config)
    yield from _figures(claim)
    for checkpoint in sorted((claim.directory / "checkpoints").glob("step-*")):
        proof = (*prove_checkpoint(checkpoint, reporter), *_last(claim, checkpoint.name))
        bad = [each for each in proof if not each.ok]
        name = f"{checkpoint.name}: checks that hold"
        yield checks.equal(name, len(proof) - len(bad), len(proof))
        for each in bad:
            yield replace(each, name=f"{checkpoint.name}: {each.name}")


def _settings(claim: Claim, config: Mapping[str, Any]) -> Iterator[Check]:
    """Hold the shape that was asked for against the one that config.json describes."""
    what = dict(claim.what)
    if what.get("position_embedding_type") == "sinusoidal":
        what["position_embedding_type"] = "absolute"
        yield Check(
            "config.json: sinusoidal_pos_embds",
            str(config.get("sinusoidal_pos_embds")),
            "True",
            config.get("sinusoidal_pos_embds") is True,
        )
    shared = [name for name in what if name in config]
    odd = [name for name in shared if what[name] != config[name]]
    yield checks.equal("settings of the model in config.json", len(shared) - len(odd), len(shared))
    for name in odd:
        yield Check(f"config.json: {name}", str(config[name]), str(what[name]), ok=False)
    objective = claim.statistics.get("objective")
    if objective in _ARCHITECTURES:
        found, expected = architecture_of(config), _ARCHITECTURES[objective]
        yield Check(f"architecture for {objective}", found, expected, found == expected)


def _parameters(claim: Claim, config: Mapping[str, Any]) -> Iterator[Check]:
    try:
        weights = Weights.read(claim.directory / MODEL / WEIGHTS)
    except Malformed:
        return  # and said to be
    trained = [shape for name, shape in weights.shapes.items() if not is_fixed(name, config)]
    found = sum(math.prod(shape) for shape in trained)
    yield checks.equal("parameters", found, claim.statistics["parameters"])


def _figures(claim: Claim) -> Iterator[Check]:
    if isinstance(steps := claim.what.get("steps"), int):
        yield checks.equal("steps", claim.statistics["steps"], steps)
    for name in ("validation", "baseline"):
        figures = claim.statistics[name] or {}
        odd = [each for each, value in _flat(figures) if not _is_possible(each, value)]
        shown = f"not {', '.join(odd)}" if odd else "all"
        yield Check(f"figures of the {name} are possible", shown, "all", not odd)


def _flat(figures: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in figures.items():
        if isinstance(value, dict):
            yield from _flat(value)
        elif isinstance(value, int | float):
            yield name, value


def _is_possible(name: str, value: float) -> bool:
    most = 1.0 if name.endswith("accuracy") else math.inf
    return math.isfinite(value) and 0 <= value <= most


def _last(claim: Claim, name: str) -> Iterator[Check]:
    """Check that the checkpoint after the last step has the weights of the finished model."""
    record = read_record(claim.directory / "checkpoints" / name)
    if record is None or record["step"] != claim.statistics["steps"]:
        return
    weights = f"{MODEL}/{WEIGHTS}"
    found = record["files"].get(weights, {}).get("sha256", "")
    expected = claim.files[weights]["sha256"]
    yield Check("weights of the finished model", found[:12], expected[:12], found == expected)
