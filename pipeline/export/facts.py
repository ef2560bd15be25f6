"""What is known of a model beside its files: from the manifest of its run, or its checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..stage.made_from import NotedSource, read_note
from ..stage.manifest import Manifest
from ..stage.ownership import recipe_at
from ..training.checkpoint_record import CheckpointRecord
from ..training.model_layout import MODEL

FITTED_WITH = "fitted_with"
"""Where an export's manifest keeps the settings of the fine-tuning, for `predict`"""


@dataclass(frozen=True)
class Facts:
    """Which stage made a model, with which settings, and what came of it; no path is in it."""

    made_by: str | None = None
    """`pretrain` or `finetune`; None where that isn't known"""
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    figures: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """A manifest's statistics; of a checkpoint `steps` and what was last held out"""
    language: str | None = None
    """Of the text that the pretraining's shards hold, where that is known and one"""

    def as_json(self) -> dict[str, Any]:
        """Return what the manifest of an export keeps, so that it can be exported again."""
        return {
            "made_by": self.made_by,
            "settings": dict(self.settings),
            "figures": dict(self.figures),
            **({} if self.language is None else {"language": self.language}),
        }


def facts_of(model: Path) -> Facts:
    """Return what is known of the model in a run, a checkpoint or an export; else nothing."""
    record = CheckpointRecord.read(model)
    if record is not None:
        recipe = recipe_at(model.parent.parent)
        last = {"steps": record.step, "validation": record.progress.get("last")}
        made_by = "pretrain" if recipe is None else recipe.stage
        return Facts(made_by, {} if recipe is None else recipe.what, last)
    run = model.parent if model.name == MODEL and recipe_at(model) is None else model
    manifest = Manifest.read(run)
    if manifest is None:
        return Facts()
    statistics = manifest.statistics
    if manifest.recipe.stage in ("pretrain", "finetune"):
        figures = {name: value for name, value in statistics.items() if name != "seeds"}
        return Facts(manifest.recipe.stage, manifest.recipe.what, figures, _language_of(run))
    kept = statistics.get("facts") or {}
    return Facts(
        kept.get("made_by"),
        kept.get("settings") or {},
        kept.get("figures") or {},
        kept.get("language"),
    )


def _language_of(run: Path) -> str | None:
    """Follow the notes of what a run was made from to its shards, and return their language."""
    languages = {
        source.recipe.what.get("language")
        if source.recipe.stage == "shard"
        else _language_of_source(source)
        for source in read_note(run)
        if source.recipe.stage != "vocab"
    }
    return languages.pop() if len(languages) == 1 else None


def _language_of_source(source: NotedSource) -> str | None:
    with suppress(OSError):
        now = Manifest.read(source.place)
        # Another may stand there by now.
        if now is not None and now.fingerprint == source.fingerprint:
            return facts_of(source.place).language
    return None
