"""`bertctl export`: a model, and what is known of it, turned into a directory to publish."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ..stage.engine import Completion, Finished, Site, complete, look
from ..stage.recipe import Recipe, resolved
from ..stage.report import Reporter
from ..stage.settings import check_settings
from ..training.model_layout import MODEL_FILES
from ..training.starting_point import StartingPoint, open_stored
from .facts import Facts, facts_of
from .settings import ExportSettings

STAGE = "export"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class ExportRequest:
    """Everything `bertctl export` was asked for."""

    model: Path
    settings: ExportSettings = field(default_factory=ExportSettings)


def export(
    request: ExportRequest, output: Path, *, reporter: Reporter, force: bool = False
) -> Completion:
    """Bring `output` to the model and card that `request` describes.

    Raises:
        BadInput: the model can't be used, or can't be stored as is asked for.
        OutputRefused: `output` isn't ours, is in use or was made by another recipe.
    """
    check_settings(request.settings)
    start = open_stored(request.model, None, flag="--model")
    recipe = Recipe(
        stage=STAGE,
        format_version=FORMAT_VERSION,
        what=resolved(request.settings),
        earlier={
            "model": start.fingerprint,
            "vocab": start.vocabulary.fingerprint(start.normalization),
        },
        owns=MODEL_FILES,
    )
    work = partial(_work, start=start, settings=request.settings, facts=facts_of(request.model))
    reads = [request.model]
    if look(recipe, output, reads=reads, force=force) is None:
        # Before anything is written: what is refused leaves no unfinished directory behind.
        start.verify()
        _check_weights(start, request.settings)
    return complete(
        recipe, output, work, reporter=reporter, reads=reads, force=force, notes_places=False
    )


def _check_weights(start: StartingPoint, settings: ExportSettings) -> None:
    from .run import weights_of

    weights_of(start, settings)


def _work(site: Site, start: StartingPoint, settings: ExportSettings, facts: Facts) -> Finished:
    # torch takes a second to import: only a run that has work to do pays for it.
    from .run import run

    return run(site, start, settings, facts)
