"""Proof of a model: its weights are those that its configuration describes, numbers all of them.

Also of anybody's BERT in Hugging Face's layout.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..stage.report import Reporter
from . import checks
from .architecture import (
    ARCHITECTURES,
    POSITIONS,
    TIED,
    Shape,
    current_name,
    expected_weights,
)
from .checks import Check
from .tensors import Malformed, TensorFile, read_header

CONFIG, WEIGHTS = "config.json", "model.safetensors"
_BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids")
_SINUSOIDAL = "sinusoidal_pos_embds"
_NUMBERS = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
    "type_vocab_size",
)
_FLOAT32_DIGITS = 1e-6
_NAMED = 3
"""Weights that a check names where several are wrong."""


@dataclass(frozen=True)
class Weights:
    """The weights of a model by today's names, each with its name in the file."""

    file: TensorFile
    names: Mapping[str, str]

    @classmethod
    def read(cls, path: Path) -> Weights:
        """Read which there are. Raises `Malformed`."""
        file = read_header(path)
        names = {current_name(name): name for name in file.tensors if not name.endswith(_BUFFERS)}
        return cls(file, names)

    def shape(self, name: str) -> Shape:
        """Return the shape of a weight that is there."""
        return self.file.tensors[self.names[name]].shape

    @property
    def shapes(self) -> dict[str, Shape]:
        """The shape of each, those that repeat another left out."""
        return {
            name: self.shape(name)
            for name in self.names
            if name not in TIED or TIED[name] not in self.names
        }


def read_config(directory: Path) -> Mapping[str, Any] | None:
    """Return the content of a model's configuration; None where it is no JSON object."""
    try:
        config = json.loads((directory / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return config if isinstance(config, dict) else None


def is_fixed(name: str, config: Mapping[str, Any]) -> bool:
    """Whether a weight isn't trained: a table of positions that is computed."""
    return name == POSITIONS and bool(config.get(_SINUSOIDAL))


def prove_model(
    directory: Path, reporter: Reporter, *, may_lack: tuple[str, ...] = ()
) -> Iterator[Check]:
    """Yield what the files of a model say; `may_lack`: how names of weights begin that may be
    missing.
    """
    config = read_config(directory)
    usable = config is not None and all(type(config.get(name)) is int for name in _NUMBERS)
    yield Check(CONFIG, "readable" if usable else "not readable", "a BERT's numbers", ok=usable)
    if config is None or not usable:
        return
    architecture = str((config.get("architectures") or ["BertModel"])[0])
    known = architecture in ARCHITECTURES
    yield Check("architecture", architecture, architecture if known else "a BERT", ok=known)
    try:
        weights = Weights.read(directory / WEIGHTS)
    except Malformed as fault:
        yield Check(WEIGHTS, str(fault), "safetensors", ok=False)
        return
    if known:
        # Released encoders name the head they are for, and hold what they were pretrained with.
        others = expected_weights(config, "BertForPreTraining")
        expected = expected_weights(config, architecture)
        missing = [n for n in expected if n not in weights.shapes and not n.startswith(may_lack)]
        yield _listed("weights that config.json asks for", missing)
        yield from _shapes(weights.shapes, expected, others)
    yield from _tied(weights)
    yield _finite(weights, reporter)
    if is_fixed(POSITIONS, config) and POSITIONS in weights.names:
        yield _waves(weights, config)
    yield from _tokens(directory, config)


def _shapes(
    found: Mapping[str, Shape], expected: Mapping[str, Shape], others: Mapping[str, Shape]
) -> Iterator[Check]:
    known = {**others, **expected}
    yield _listed("weights that it knows", [name for name in found if name not in known])
    odd = [name for name in found if name in known and found[name] != known[name]]
    yield _listed("shapes of weights", odd)


def _listed(name: str, wrong: list[str]) -> Check:
    """Check that nothing is wrong, naming some of what is."""
    more = f" and {len(wrong) - _NAMED:,} more" if len(wrong) > _NAMED else ""
    found = f"not {', '.join(wrong[:_NAMED])}{more}" if wrong else "all"
    return Check(name, found, "all", not wrong)


def _tied(weights: Weights) -> Iterator[Check]:
    for copy, own in TIED.items():
        if copy not in weights.names or own not in weights.names:
            continue
        alike = weights.shape(copy) == weights.shape(own)
        unlike = weights.file.unlike(weights.names[copy], weights.names[own]) if alike else 1
        yield Check(copy, "as " + own if not unlike else "another", "as " + own, not unlike)


def _finite(weights: Weights, reporter: Reporter) -> Check:
    wrong: list[str] = []
    total = sum(each.size for each in weights.file.tensors.values())
    with reporter.phase("weights", total=total, unit="numbers") as progress:
        for name, stored in weights.file.tensors.items():
            if count := weights.file.not_finite(name):
                wrong.append(f"{count:,} of {name}")
            progress.advance(stored.size)
    return _listed("weights that are finite numbers", wrong)


def _waves(weights: Weights, config: Mapping[str, Any]) -> Check:
    """Check the fixed table of positions (Vaswani et al. 2017, 3.5), as high as words begin."""
    stored = weights.file.whole(weights.names[POSITIONS])
    positions, hidden = stored.shape
    rates = 1 / 10000.0 ** (np.arange(hidden) // 2 * 2 / hidden)
    angles = np.arange(positions)[:, None] * rates
    waves = np.where(np.arange(hidden) % 2 == 0, np.sin(angles), np.cos(angles))
    height = config["initializer_range"]
    gap = float(np.abs(stored - height * waves).max())
    found = f"off by up to {gap:.1e}"
    name = "positions are sinusoids"
    return Check(name, found, f"at most {_FLOAT32_DIGITS:.0e}", gap <= _FLOAT32_DIGITS)


def _tokens(directory: Path, config: Mapping[str, Any]) -> Iterator[Check]:
    """Hold the tokenizer's files against each other and against the table of words."""
    most = config["vocab_size"]
    tokens: list[str] | None = None
    if (directory / "vocab.txt").is_file():
        text = (directory / "vocab.txt").read_text(encoding="utf-8")
        tokens = text.removesuffix("\n").split("\n")
        fits = len(tokens) <= most
        yield Check("tokens in vocab.txt", f"{len(tokens):,}", f"at most {most:,}", fits)
        yield checks.equal("different tokens", len(set(tokens)), len(tokens))
        pad = config.get("pad_token_id")
        if isinstance(pad, int) and pad < len(tokens):
            yield Check(f"id {pad}, for padding", tokens[pad], "[PAD]", tokens[pad] == "[PAD]")
    if (directory / "tokenizer.json").is_file():
        ids = _ids(directory / "tokenizer.json")
        fits = bool(ids) and max(ids.values()) < most
        highest = f"{max(ids.values()):,}" if ids else "(not readable)"
        yield Check("highest id in tokenizer.json", highest, f"below {most:,}", fits)
        if tokens is not None:
            same = sum(ids.get(token) == number for number, token in enumerate(tokens))
            yield checks.equal("tokens with the same id in tokenizer.json", same, len(tokens))


def _ids(file: Path) -> dict[str, int]:
    """Return the id of each token by tokenizer.json, tokens that were added included."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        added = {each["content"]: each["id"] for each in content.get("added_tokens") or ()}
        return {**content["model"]["vocab"], **added}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
