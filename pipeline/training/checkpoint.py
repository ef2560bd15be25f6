"""Checkpoints: written aside, checksummed, renamed; a damaged one is named and passed over."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from ...model.moments import MomentOptimizer
from ...model.optimiser import kept_where
from ..errors import WorkFailed
from ..stage.files import FileRecord, publish
from ..stage.report import Reporter
from .checkpoint_record import OPTIMIZER, STATE, CheckpointRecord
from .loop import TrainingState
from .model_layout import MODEL, WEIGHTS
from .writing import write_tensors

CHECKPOINTS = "checkpoints"
_NAME = re.compile(r"step-(\d{8,})")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose files are what they were when it was written."""

    directory: Path
    step: int
    progress: Mapping[str, Any]
    """What the run itself keeps, such as its evaluations so far."""

    def restore_weights(self, model: torch.nn.Module) -> None:
        """Put the weights back exactly as they were."""
        model.load_state_dict(safetensors.torch.load_file(self.directory / MODEL / WEIGHTS))

    def restore(self, model: torch.nn.Module, optimizer: MomentOptimizer) -> None:
        """Put weights and optimizer back exactly as they were."""
        self.restore_weights(model)
        saved = safetensors.torch.load_file(self.directory / OPTIMIZER)
        names = {parameter: name for name, parameter in model.named_parameters()}
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                prefix = f"{names[parameter]}/"
                state = {
                    key.removeprefix(prefix): each
                    for key, each in saved.items()
                    if key.startswith(prefix)
                }
                optimizer.state[parameter] = {
                    key: kept_where(each, parameter, group) for key, each in state.items()
                }


@dataclass(frozen=True)
class Snapshot:
    """All that a checkpoint keeps, copied to the processor's memory: training may go on."""

    step: int
    weights: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor]
    """The optimizer's tensors as `parameter's name/their own`."""
    progress: Mapping[str, Any]

    @classmethod
    def of(cls, state: TrainingState) -> Snapshot:
        """Copy everything that the next step will change."""
        names: dict[Tensor, str] = {each: name for name, each in state.model.named_parameters()}
        optimizer = {
            f"{names[parameter]}/{key}": _copied(each)
            for parameter, values in state.optimizer.state.items()
            for key, each in values.items()
        }
        weights = {name: _copied(each) for name, each in state.model.state_dict().items()}
        return cls(state.step, weights, optimizer, dict(state.progress))


def write_checkpoint(
    run: Path,
    snapshot: Snapshot,
    write_model: Callable[[Path, Mapping[str, Tensor]], None],
    *,
    aside: Path,
) -> Path:
    """Write a snapshot to `run`'s checkpoints: whole, or not at all.

    `write_model` writes the weights it is given as a model into a directory.
    """
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    write_model(aside / MODEL, snapshot.weights)
    write_tensors(aside / OPTIMIZER, snapshot.optimizer)
    files = {
        str(path.relative_to(aside)): FileRecord.of(path)
        for path in sorted(aside.rglob("*"))
        if path.is_file()
    }
    CheckpointRecord(snapshot.step, snapshot.progress, files).write(aside)
    final = _directory(run, snapshot.step)
    final.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(final, ignore_errors=True)
    publish(aside, final)
    return final


def latest_checkpoint(
    run: Path, reporter: Reporter, *, usable: Callable[[Checkpoint], bool] = lambda _: True
) -> Checkpoint | None:
    """Return the newest checkpoint that is whole; name every damaged one that is passed over.

    Where none of them is whole that is said, too: what they held is trained again from the start.
    One that isn't `usable` is passed over too: this run would not come by it.
    """
    damaged: list[str] = []
    for step, directory in sorted(_all(run), reverse=True):
        if fault := _fault(directory):
            damaged.append(directory.name)
            reporter.warn(f"{directory} is damaged ({fault}): removed, to be made again.")
            # Left there it would count as the newest, and newer ones would be removed before it.
            _remove(directory)
            continue
        checkpoint = _open(directory, step)
        if usable(checkpoint):
            return checkpoint
        reporter.notice(f"{directory} isn't on this run's way: removed.")
        _remove(directory)
    if damaged:
        reporter.warn(
            f"{run / CHECKPOINTS} had no whole checkpoint to go on from ({', '.join(damaged)}: "
            "damaged): training begins again at step 0."
        )
    return None


def checkpoint_after(run: Path, step: int) -> Checkpoint:
    """Return the checkpoint that was written after `step` steps.

    Raises:
        WorkFailed: it is missing or damaged.
    """
    directory = _directory(run, step)
    if fault := _fault(directory):
        raise WorkFailed(
            f"{directory} is damaged: {fault}.",
            hint=f"Remove {run} and run the same command again.",
        )
    return _open(directory, step)


def fault_after(run: Path, step: int) -> str | None:
    """Say what is wrong with the checkpoint after `step` steps; None if nothing is."""
    return _fault(_directory(run, step))


def remove_old_checkpoints(run: Path, *, keep: int, spare: Collection[int] = ()) -> None:
    """Remove all but the newest `keep` checkpoints and those of the steps in `spare`."""
    old = sorted(_all(run), reverse=True)[keep:]
    for directory in (directory for step, directory in old if step not in spare):
        _remove(directory)


def _remove(directory: Path) -> None:
    # Without this file it is no checkpoint, however far the removal gets.
    (directory / STATE).unlink(missing_ok=True)
    shutil.rmtree(directory)


def _copied(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True).contiguous()


def _open(directory: Path, step: int) -> Checkpoint:
    record = CheckpointRecord.read(directory)
    assert record is not None
    return Checkpoint(directory, step, record.progress)


def _directory(run: Path, step: int) -> Path:
    return run / CHECKPOINTS / f"step-{step:08d}"


def _all(run: Path) -> list[tuple[int, Path]]:
    return [
        (int(match[1]), path)
        for path in (run / CHECKPOINTS).glob("step-*")
        if (match := _NAME.fullmatch(path.name))
    ]


def _fault(directory: Path) -> str | None:
    record = CheckpointRecord.read(directory)
    if record is None:
        return f"{STATE} is missing or isn't what was written"
    for name, expected in record.files.items():
        path = directory / name
        if not path.is_file():
            return f"{name} is missing"
        if FileRecord.of(path) != expected:
            return f"{name} doesn't match its checksum"
    return None
