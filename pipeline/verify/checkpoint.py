"""Proof of a checkpoint: its files, its model, and an optimizer's state that fits that model."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..stage.report import Reporter
from .checks import Check, equal
from .files import check_records
from .model import WEIGHTS, Weights, is_fixed, prove_model, read_config
from .tensors import Malformed, TensorFile, read_header

RECORD, OPTIMIZER, MODEL = "checkpoint.json", "optimizer.safetensors", "model"
_NAME = re.compile("step-([0-9]+)")
_STEP = "step"
_SQUARES = "exp_avg_sq"
_PRETRAINED = ("BertForPreTraining", "BertForMaskedLM", "BertLMHeadModel")


def read_record(directory: Path) -> Mapping[str, Any] | None:
    """Return what a checkpoint says of itself; None where that isn't said, or not as it should."""
    try:
        record = json.loads((directory / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    kinds = {"step": int, "progress": dict, "files": dict}
    if not isinstance(record, dict):
        return None
    if not all(isinstance(record.get(name), kind) for name, kind in kinds.items()):
        return None
    files = record["files"].values()
    whole = all(isinstance(each, dict) and each.keys() >= {"size", "sha256"} for each in files)
    return record if whole else None


def prove_checkpoint(directory: Path, reporter: Reporter) -> Iterator[Check]:
    """Yield what a checkpoint's files say."""
    record = read_record(directory)
    if record is None:
        yield Check(RECORD, "not readable", "a checkpoint's record", ok=False)
        return
    step: int = record["step"]
    if named := _NAME.fullmatch(directory.name):
        yield equal("step", step, int(named[1]))
    needed = (OPTIMIZER, f"{MODEL}/config.json", f"{MODEL}/{WEIGHTS}")
    missing = [name for name in needed if name not in record["files"]]
    found = f"not {', '.join(missing)}" if missing else "all"
    yield Check("files that are listed", found, "all", not missing)
    files = tuple(check_records(directory, record["files"], reporter))
    yield from files
    if missing or not all(each.ok for each in files):
        return
    yield from prove_model(directory / MODEL, reporter)
    yield from _prove_optimizer(directory, step)


def _prove_optimizer(directory: Path, step: int) -> Iterator[Check]:
    """Hold the optimizer's tensors, named `weight/kind`, against the weights they belong to."""
    config = read_config(directory / MODEL) or {}
    try:
        weights = Weights.read(directory / MODEL / WEIGHTS)
        state = read_header(directory / OPTIMIZER)
    except Malformed as fault:
        yield Check(OPTIMIZER, str(fault), "safetensors", ok=False)
        return
    trained = {name: shape for name, shape in weights.shapes.items() if not is_fixed(name, config)}
    parts = {name: tuple(name.rsplit("/", 1)) for name in state.tensors}
    owners = {owner for owner, *_ in parts.values()}
    strange = len(owners - trained.keys())
    expected = f"{len(trained):,}"
    # In fine-tuning, layers may be left as they are: those have no state.
    whole = architecture_of(config) not in _PRETRAINED or owners == trained.keys()
    found = f"{len(owners):,}" + (f", {strange:,} of them unknown" if strange else "")
    yield Check("weights with an optimizer's state", found, expected, whole and not strange)
    kinds = {kind for _, *rest in parts.values() for kind in rest}
    complete = all(f"{owner}/{kind}" in state.tensors for owner in owners for kind in kinds)
    yield Check("their kinds of state", ", ".join(sorted(kinds)), "the same for each", complete)
    odd = 0
    for name, (owner, *kind) in parts.items():
        shape = () if kind == [_STEP] else trained.get(owner)
        odd += shape is not None and state.tensors[name].shape != shape
    yield Check("their shapes", f"{odd:,} not" if odd else "all", "all", odd == 0)
    yield from _values(state, parts, step)


def _values(state: TensorFile, parts: Mapping[str, tuple[str, ...]], step: int) -> Iterator[Check]:
    wrong = sum(bool(state.not_finite(name)) for name in state.tensors)
    yield Check("their numbers are finite", f"{wrong:,} not" if wrong else "all", "all", not wrong)
    squares = [name for name, part in parts.items() if part[-1] == _SQUARES]
    negative = sum(any((block < 0).any() for block in state.blocks(name)) for name in squares)
    found = f"{negative:,} not" if negative else "all"
    yield Check("mean squares are not negative", found, "all", not negative)
    steps = {int(state.whole(name).sum()) for name, part in parts.items() if part[-1] == _STEP}
    if steps:
        shown = " or ".join(f"{each:,}" for each in sorted(steps))
        yield Check("steps the optimizer took", shown, f"{step:,}", steps == {step})


def architecture_of(config: Mapping[str, Any]) -> str:
    """Return the class of transformers that a configuration names first."""
    return str((config.get("architectures") or [""])[0])
