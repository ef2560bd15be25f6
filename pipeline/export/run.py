"""Weights read, brought into the shape that is asked for, and written with what goes with them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import BadInput
from ..stage.engine import Finished, Site
from ..stage.files import FileRecord, publish
from ..training.model_files import read_model, write_model
from ..training.model_layout import MODEL_FILES
from ..training.starting_point import StartingPoint
from ..training.writing import naming
from ..wordpiece.files import write_tokenizer_files
from .card import card
from .facts import FITTED_WITH, Facts
from .settings import ExportSettings

CARD = "README.md"
_ENCODER = "bert."
_ELSEWHERE = ("_name_or_path", "name_or_path", "torch_dtype", "dtype", "transformers_version")
"""Keys of somebody's config.json that say where it was, or what is written anew"""


def run(site: Site, start: StartingPoint, settings: ExportSettings, facts: Facts) -> Finished:
    """Write the model, and a card beside it unless there is one already."""
    weights = weights_of(start, settings)
    architecture = str((start.content.get("architectures") or ["BertModel"])[0])
    extra: Mapping[str, Any] = {
        name: value for name, value in start.content.items() if name not in _ELSEWHERE
    }
    if settings.encoder_only:
        architecture, extra = "BertModel", {}
    kinds = {str(each.dtype).removeprefix("torch.") for each in weights.values()}
    # Of several the one that transformers loads without a loss.
    dtype = kinds.pop() if len(kinds) == 1 else "float32"
    extra = {**extra, "architectures": [architecture], "dtype": dtype}
    aside = site.units.work / "aside" / "export"
    shutil.rmtree(aside, ignore_errors=True)
    tokenizer = aside / "tokenizer"
    tokenizer.mkdir(parents=True)
    with naming(tokenizer):
        write_tokenizer_files(
            start.vocabulary,
            start.normalization,
            tokenizer,
            model_max_length=start.config.max_position_embeddings,
        )
    written = aside / "model"
    write_model(written, weights, start.config, tokenizer, architecture=architecture, extra=extra)
    for path in sorted(written.iterdir()):
        publish(path, site.directory / path.name)
    statistics: dict[str, Any] = {
        "architecture": architecture,
        "dtype": dtype,
        "parameters": sum(each.numel() for each in weights.values()),
        "bytes": (site.directory / "model.safetensors").stat().st_size,
        "has_pooler": any("pooler." in name for name in weights),
        "facts": facts.as_json(),
    }
    if facts.made_by == "finetune" and not settings.encoder_only:
        statistics[FITTED_WITH] = dict(facts.settings)
    _write_card(site, card(site.directory.resolve().name, extra, start.config, statistics, facts))
    names = [name for name in MODEL_FILES if (site.directory / name).exists()]
    return Finished(
        files={name: FileRecord.of(site.directory / name) for name in names},
        statistics=statistics,
    )


def weights_of(start: StartingPoint, settings: ExportSettings) -> dict[str, Tensor]:
    """Return the weights that are asked for as they are to be stored.

    Raises `BadInput` where there are none, or they don't fit.
    """
    assert start.directory is not None, "it was opened from a directory"
    weights = read_model(start.directory).weights
    if settings.encoder_only:
        weights = _encoder(weights, start.directory)
    return _stored_as(weights, settings, start.directory)


def _write_card(site: Site, text: str) -> None:
    """Write the card. It is a person's from then on: nothing holds or replaces it."""
    place = site.directory / CARD
    if place.exists():
        site.reporter.notice(f"{place} is kept as it stands; remove it to have a new one.")
        return
    aside = site.units.work / "aside" / CARD
    with naming(aside):
        aside.write_text(text, encoding="utf-8")
    publish(aside, place)


def _stored_as(
    weights: Mapping[str, Tensor], settings: ExportSettings, directory: Path
) -> dict[str, Tensor]:
    if settings.dtype == "auto":
        return dict(weights)
    kind: torch.dtype = getattr(torch, settings.dtype)
    stored = {name: each.to(kind) for name, each in weights.items()}
    for name, each in stored.items():
        if not torch.isfinite(each).all():
            raise BadInput(
                f"{directory}: {name} holds values beyond {torch.finfo(kind).max:,.0f}, the "
                f"greatest that --dtype {settings.dtype} can say.",
                hint="Give --dtype bfloat16, which has float32's range.",
            )
    return stored


def _encoder(weights: Mapping[str, Tensor], directory: Path) -> dict[str, Tensor]:
    """Return the encoder's weights as `BertModel` names them."""
    kept = {
        name.removeprefix(_ENCODER): each
        for name, each in weights.items()
        if name.startswith(_ENCODER)
    }
    if not kept:
        raise BadInput(f"{directory} holds no weight of an encoder.", hint="Is it a BERT?")
    return kept
