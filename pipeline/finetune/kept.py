"""What is kept of finished runs until the best one is known: figures, outputs and models."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..stage.engine import Site
from ..stage.units import WORK
from ..training.checkpoint import checkpoint_after, fault_after, remove_old_checkpoints
from ..training.model_layout import MODEL
from ..training.writing import naming
from .attempts import Attempt
from .tasks.task import Outputs


def directory_of(site: Site, attempt: Attempt) -> Path:
    """Return where a run has its checkpoints."""
    return site.units.work / attempt.name


def outputs_path(attempt: Attempt, name: str) -> str:
    """Return where the outputs for a part are, relative to the output directory."""
    return f"{WORK}/outputs/{attempt.name}-{name}.npy"


def write_outputs(path: Path, outputs: Outputs) -> None:
    """Write what a model says of a part's sites."""
    # numpy itself doesn't say what the system said of a disk that is full.
    buffer = io.BytesIO()
    np.save(buffer, outputs)
    with naming(path):
        path.write_bytes(buffer.getbuffer())


def outputs_of(site: Site, attempt: Attempt, name: str) -> Outputs:
    """Read what the best epoch of a finished run says of a part."""
    return np.load(site.directory / outputs_path(attempt, name), allow_pickle=False)


def best_model(site: Site, attempt: Attempt, result: Mapping[str, Any]) -> Path:
    """Return where the best epoch's model stands, checked."""
    return checkpoint_after(directory_of(site, attempt), result["best_step"]).directory / MODEL


def fault_of_model(site: Site, attempt: Attempt, result: Mapping[str, Any]) -> str | None:
    """Say what is wrong with the best epoch's model, as it stands now; None if nothing is."""
    return fault_after(directory_of(site, attempt), result["best_step"])


def forget_attempt(site: Site, attempt: Attempt) -> None:
    """Let a finished run be taken again, from what is whole of its checkpoints."""
    site.units.forget(attempt.name)


def keep_only(site: Site, done: Iterable[Attempt], kept: Mapping[str, Mapping[str, Any]]) -> None:
    """Remove what is no longer needed of finished runs; `kept` has the results of some, by name.

    Of those their best epoch's checkpoint is left, of the others nothing.
    """
    for attempt in done:
        directory = directory_of(site, attempt)
        if attempt.name in kept:
            step = kept[attempt.name]["best_step"]
            remove_old_checkpoints(directory, keep=0, spare=(step,))
        else:
            shutil.rmtree(directory, ignore_errors=True)
