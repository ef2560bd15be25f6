"""A model, a run or a checkpoint in, its shape, its parts and what is known of its making out.

Weights are read block by block, with numpy alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import BadInput
from ..stage.files import read_json
from ..stage.manifest import Manifest
from ..stage.ownership import recipe_at
from ..stage.recipe import Recipe
from ..training.checkpoint_record import STATE, CheckpointRecord
from ..training.model_layout import CONFIG, MODEL, WEIGHTS
from ..verify.architecture import TIED, current_name
from ..verify.tensors import Malformed, TensorFile, read_header

_SHAPE = (
    "num_hidden_layers",
    "hidden_size",
    "num_attention_heads",
    "intermediate_size",
    "vocab_size",
    "max_position_embeddings",
    "type_vocab_size",
)
_LAYER = re.compile(r"bert\.encoder\.layer\.([0-9]+)\.(attention|intermediate|output)\b.*")
_NORM = "embeddings, norm"
_HEADS = {
    "bert.pooler.": "pooler",
    "cls.predictions.": "prediction head",
    "cls.seq_relationship.": "next-sentence head",
}
_TASK_HEAD = "task head"
_TRAINED_BY = (
    "objective",
    "task",
    "steps",
    "epochs",
    "batch_size",
    "learning_rate",
    "schedule",
    "max_seq_length",
    "seeds",
    "seed",
)
_BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids")


@dataclass(frozen=True)
class Part:
    """Weights that belong together; `norm` is the root of the sum of their squares.

    `rms` is the root of their mean; `largest` the greatest absolute value; all NaN if one is.
    """

    name: str
    parameters: int
    norm: float
    rms: float
    largest: float


@dataclass(frozen=True)
class ModelLook:
    """What a model is and where it comes from; what isn't known is empty."""

    kind: str
    """`pretrain run`, `finetune run`, `checkpoint` or `model`"""
    directory: Path
    """Where the model itself stands"""
    architecture: str
    shape: Mapping[str, int]
    dtype: str
    labels: tuple[str, ...]
    parameters: int
    parts: tuple[Part, ...]
    step: int | None
    """How far a run was that isn't finished"""
    training: Mapping[str, Any]
    """Settings it was trained with"""
    made_from: Mapping[str, str]
    """Fingerprints of earlier stages, by role"""
    figures: Mapping[str, Mapping[str, float]]
    """The last evaluations: of held-out instances and their baseline, or of each labelled file"""

    def as_json(self) -> dict[str, Any]:
        """Return the look as it stands in a JSON object."""
        parts = [
            {name: _or_none(value) for name, value in asdict(part).items()} for part in self.parts
        ]
        return {**asdict(self), "directory": str(self.directory), "parts": parts}


def look_at_model(path: Path) -> ModelLook:
    """Look at a run (its newest checkpoint if it isn't finished), a checkpoint or a model.

    Raises:
        BadInput: there is no model yet, or it can't be read.
    """
    kind, directory, record = _place(path)
    config = read_json(directory / CONFIG)
    if config is None or any(type(config.get(name)) is not int for name in _SHAPE):
        raise BadInput(f"{directory / CONFIG} doesn't describe a BERT.", hint="Fetch it again.")
    try:
        file = read_header(directory / WEIGHTS)
    except Malformed as fault:
        raise BadInput(
            f"{directory / WEIGHTS} can't be read: {fault}.",
            hint=f"`bertctl verify {directory}` tells what else is wrong.",
        ) from fault
    weights = _own_weights(file)
    recipe = recipe_at(path) or (recipe_at(path.parent.parent) if kind == "checkpoint" else None)
    names = config.get("id2label") or {}
    return ModelLook(
        kind=kind,
        directory=directory,
        architecture=str((config.get("architectures") or ["BertModel"])[0]),
        shape={name: config[name] for name in _SHAPE},
        dtype=" ".join(sorted({file.tensors[name].dtype for name in weights.values()})),
        labels=tuple(str(names[each]) for each in sorted(names, key=_number)),
        parameters=sum(file.tensors[name].size for name in weights.values()),
        parts=tuple(_parts(file, weights)),
        step=None if record is None else record.step,
        training={} if recipe is None else _training(recipe),
        made_from={} if recipe is None else dict(recipe.earlier),
        figures=_figures(path, record),
    )


def _place(path: Path) -> tuple[str, Path, CheckpointRecord | None]:
    """Return what was named, where its model stands, and the checkpoint that is shown, if any."""
    if (path / STATE).exists():
        return "checkpoint", path / MODEL, CheckpointRecord.read(path)
    recipe = recipe_at(path)
    if recipe is None:
        return "model", path, None
    kind = f"{recipe.stage} run"
    if Manifest.read(path) is not None:
        return kind, path / MODEL, None
    checkpoints = sorted(path.glob(f"checkpoints/step-*/{STATE}"))
    checkpoints = checkpoints or sorted(path.glob(f".bertctl/seed-*/checkpoints/step-*/{STATE}"))
    if not checkpoints:
        raise BadInput(
            f"{path} has no model yet: `bertctl {recipe.stage}` began it, and there is no "
            "checkpoint.",
            hint="`bertctl status` tells how far it is.",
        )
    newest = checkpoints[-1].parent
    return kind, newest / MODEL, CheckpointRecord.read(newest)


def _own_weights(file: TensorFile) -> dict[str, str]:
    """Return the names in the file by today's, those that repeat another left out."""
    names = {current_name(name): name for name in file.tensors if not name.endswith(_BUFFERS)}
    return {
        name: stored
        for name, stored in names.items()
        if name not in TIED or TIED[name] not in names
    }


def _parts(file: TensorFile, weights: Mapping[str, str]) -> Iterator[Part]:
    grouped: dict[str, list[str]] = {}
    for name, stored in weights.items():
        grouped.setdefault(_part_of(name), []).append(stored)
    for part in sorted(grouped, key=_place_in_order):
        squares = largest = 0.0
        for block in (block for name in grouped[part] for block in file.blocks(name)):
            wide = block.astype("f8").ravel()
            squares += float(wide @ wide)
            largest = max(largest, float(abs(wide).max())) if squares == squares else math.nan
        size = sum(file.tensors[name].size for name in grouped[part])
        yield Part(part, size, math.sqrt(squares), math.sqrt(squares / max(size, 1)), largest)


def _part_of(name: str) -> str:
    if layer := _LAYER.fullmatch(name):
        kind = "attention" if layer[2] == "attention" else "feed-forward"
        return f"layer {layer[1]}, {kind}"
    if name.startswith("bert.embeddings."):
        kind = name.removeprefix("bert.embeddings.").split(".")[0].removesuffix("_embeddings")
        return _NORM if kind == "LayerNorm" else f"{kind.replace('_', ' ')} embeddings"
    return next((part for start, part in _HEADS.items() if name.startswith(start)), _TASK_HEAD)


def _place_in_order(part: str) -> tuple[int, int, str]:
    """Order parts as a token goes through them."""
    if part.startswith("layer "):
        return 2, int(part.split(",")[0].removeprefix("layer ")), part
    heads = [*_HEADS.values(), _TASK_HEAD]
    if part in heads:
        return 3, heads.index(part), part
    return (1 if part == _NORM else 0), 0, part


def _training(recipe: Recipe) -> dict[str, Any]:
    what = recipe.what
    return {name: what[name] for name in _TRAINED_BY if what.get(name) is not None}


def _figures(path: Path, record: CheckpointRecord | None) -> dict[str, dict[str, float]]:
    """Return the last evaluations that a manifest or a checkpoint tells of."""
    manifest = Manifest.read(path)
    if manifest is not None:
        told = manifest.statistics
        by_file = told.get("mean") or {}
        found = {name: told.get(name) for name in ("validation", "baseline")}
        return _numbers({**(by_file if by_file else found)})
    progress = {} if record is None else record.progress
    evaluations = progress.get("evaluations") or progress.get("epochs") or [None]
    last = progress.get("last") or evaluations[-1] or {}
    return _numbers({"validation": last.get("validation", last)})


def _numbers(several: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    return {
        name: {key: value for key, value in figures.items() if isinstance(value, int | float)}
        for name, figures in several.items()
        if isinstance(figures, dict) and figures
    }


def _number(label_id: str) -> int:
    return int(label_id) if label_id.isdecimal() else -1


def _or_none(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
