"""A model at rest, in Hugging Face's layout: config.json, model.safetensors, tokenizer files."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from ...model.config import BertConfig
from ...model.weights import canonical_state_dict
from ..errors import BadInput
from ..stage.files import FileRecord, publish
from .model_layout import CONFIG, MODEL, MODEL_FILES, TOKENIZER_FILES, WEIGHTS, weights_name
from .writing import naming, write_tensors


@dataclass(frozen=True)
class ModelFiles:
    """What a model directory holds: `config` as the file has it, and weights by today's names."""

    directory: Path
    config: Mapping[str, Any]
    weights: Mapping[str, Tensor]

    @property
    def bert_config(self) -> BertConfig:
        """The shape of the model.

        Raises:
            BadInput: the configuration describes something else than a BERT we compute.
        """
        try:
            return BertConfig.from_dict(self.config)
        except (ValueError, TypeError) as error:
            raise BadInput(f"{self.directory / CONFIG}: {error}.") from error


def write_model(
    directory: Path,
    weights: Mapping[str, Tensor],
    config: BertConfig,
    tokenizer: Path,
    *,
    architecture: str,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Write a state dict so that `transformers` loads it as `architecture`.

    `tokenizer` is a directory with the tokenizer's files; `extra` goes into the configuration, as
    `id2label` does.
    """
    directory.mkdir(parents=True, exist_ok=True)
    content = {"architectures": [architecture], **config.to_dict(), **(extra or {})}
    with naming(directory / CONFIG):
        (directory / CONFIG).write_text(
            json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    plain = {name: each.detach().cpu().contiguous() for name, each in weights.items()}
    write_tensors(directory / WEIGHTS, plain, metadata={"format": "pt"})
    copy_files(tokenizer, directory, TOKENIZER_FILES)


def copy_files(source: Path, directory: Path, names: Sequence[str]) -> None:
    """Copy those of the named files that there are."""
    for name in names:
        if (source / name).exists():
            with naming(directory / name):
                shutil.copyfile(source / name, directory / name)


def publish_model(aside: Path, run: Path) -> dict[str, FileRecord]:
    """Move a model written aside to its place in a run, file by file; return what now stands."""
    final = run / MODEL
    final.mkdir(exist_ok=True)
    for path in sorted(aside.iterdir()):
        publish(path, final / path.name)
    names = [name for name in MODEL_FILES if (final / name).exists()]
    return {f"{MODEL}/{name}": FileRecord.of(final / name) for name in names}


def read_model(directory: Path) -> ModelFiles:
    """Read a model directory.

    Raises:
        BadInput: a file is missing or damaged, or a weight is no number.
    """
    file = weights_name(directory)
    for name in (CONFIG, file):
        if not (directory / name).is_file():
            raise BadInput(
                f"{directory} has no {name}; expected a model directory in Hugging Face's layout.",
                hint="Name a finished pretrain run, one of its checkpoints, or a BERT directory.",
            )
    try:
        config = json.loads((directory / CONFIG).read_text(encoding="utf-8"))
        weights = canonical_state_dict(_read_weights(directory / file))
    except (ValueError, safetensors.SafetensorError, *_NOT_A_STATE_DICT) as error:
        raise BadInput(
            f"{directory} can't be read as a model: {error}.", hint="Is the copy complete?"
        ) from error
    for name, each in weights.items():
        if not torch.isfinite(each).all():
            count = int((~torch.isfinite(each)).sum())
            raise BadInput(
                f"{directory / file}: {name} holds {count:,} values that are NaN or infinite; "
                "expected numbers.",
                hint="Its training failed or the file is damaged: start from an earlier checkpoint "
                "of it, or from another model.",
            )
    return ModelFiles(directory, config, weights)


_NOT_A_STATE_DICT = (pickle.UnpicklingError, RuntimeError, EOFError)
"""What torch says of a file that is cut off, or that would run code of its own."""


def _read_weights(path: Path) -> dict[str, Tensor]:
    if path.name == WEIGHTS:
        return safetensors.torch.load_file(path)
    # Nothing but tensors is unpickled: a file can't run anything.
    content = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(content, dict) or not all(
        isinstance(each, Tensor) for each in content.values()
    ):
        raise ValueError(f"{path.name} holds something else than tensors by name")
    return dict(content)


def load_weights(
    model: torch.nn.Module, files: ModelFiles, *, may_be_missing: tuple[str, ...] = ()
) -> None:
    """Copy weights into `model`, strictly: a name or a shape that doesn't match is an error.

    Parameters whose name begins with one of `may_be_missing` keep the values they have, and what
    the files have beside the model's own is left aside only where it belongs to other heads.

    Raises:
        BadInput: what doesn't match, by name.
    """
    own = check_weights(model, files, may_be_missing=may_be_missing)
    model.load_state_dict(
        {**own, **{name: files.weights[name] for name in own if name in files.weights}}
    )


def check_weights(
    model: torch.nn.Module, files: ModelFiles, *, may_be_missing: tuple[str, ...] = ()
) -> dict[str, Tensor]:
    """Hold weights against a model of any device as `load_weights` does; return the model's own."""
    own = model.state_dict()
    missing = [
        name for name in own if name not in files.weights and not name.startswith(may_be_missing)
    ]
    shapes = [
        f"{name}: {list(files.weights[name].shape)}, expected {list(each.shape)}"
        for name, each in own.items()
        if name in files.weights and files.weights[name].shape != each.shape
    ]
    foreign = [name for name in files.weights if name.startswith("bert.") and name not in own]
    foreign = [name for name in foreign if not name.startswith("bert.pooler.")]
    for problem, names in (("lacks", missing), ("has another shape of", shapes), ("has", foreign)):
        if names:
            raise BadInput(
                f"{files.directory / weights_name(files.directory)} {problem} {names[0]} "
                f"({len(names)} such).",
                hint="It isn't the BERT that its config.json describes.",
            )
    return own
