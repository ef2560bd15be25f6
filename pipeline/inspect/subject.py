"""What a person points at: shards, a model, a vocabulary or a corpus. Nothing heavy is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from ..errors import BadInput
from ..stage.files import read_json
from ..stage.manifest import MANIFEST, RECIPE
from ..training.checkpoint_record import STATE
from ..training.model_layout import CONFIG, WEIGHTS

Subject = Literal["shard", "vocab", "corpus", "model"]

_VOCABULARY_FILES = ("vocab.txt", "tokenizer.json")
_MARKS = ("bertctl recipe", "bertctl manifest")
_SHARD_MARK = b"bertctl"


def subject_of(inputs: Sequence[str]) -> Subject:
    """Tell what `inputs` name.

    Raises:
        BadInput: it is the output of a stage that this version doesn't know.
    """
    if len(inputs) != 1:
        return "corpus"
    path = Path(inputs[0])
    if not path.is_dir():
        is_vocabulary = path.name in _VOCABULARY_FILES
        return "shard" if _is_shard(path) else "vocab" if is_vocabulary else "corpus"
    stage = _stage_of(path)
    match stage:
        case "shard" | "vocab":
            return stage
        case "pretrain" | "finetune":
            return "model"
        case None if (path / STATE).is_file() or _is_model(path):
            return "model"
        case None:
            known = any((path / name).is_file() for name in _VOCABULARY_FILES)
            return "vocab" if known else "corpus"
        case _:
            raise BadInput(
                f"{path} was made by `bertctl {stage}`, a stage that this version doesn't know.",
                hint=f"Its figures are in {path / 'manifest.json'} and {path / 'log'}.",
            )


def _stage_of(directory: Path) -> str | None:
    """Return which stage made or began a directory, whichever version of bertctl that was."""
    for name in (RECIPE, MANIFEST):
        content = read_json(directory / name) or {}
        recipe = content.get("recipe", content)
        if content.get("kind") in _MARKS and isinstance(recipe, dict) and recipe.get("stage"):
            return str(recipe["stage"])
    return None


def _is_model(directory: Path) -> bool:
    return all((directory / name).is_file() for name in (CONFIG, WEIGHTS))


def _is_shard(path: Path) -> bool:
    """Whether an Arrow file's schema, which stands at its beginning, bears our mark."""
    if path.suffix != ".arrow" or not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(1 << 12)
    return head.startswith(b"ARROW1") and _SHARD_MARK in head and b"masked_lm_ids" in head
