"""Every kind of directory, and what proves that it is what it says."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..stage.report import Reporter
from .checks import Check
from .claim import Claim, Untold, is_ours, read_claim
from .files import check_files, check_manifest

Proof = Callable[[Claim, Reporter], Iterator[Check]]
"""Yields what follows from the content of files whose checksums were found right."""

PROOFS = {
    "vocab": "vocabulary",
    "shard": "shards",
    "pretrain": "encoder",
    "finetune": "classifier",
    "export": "exported",
}
"""Stage → the module whose `prove` is its `Proof`."""


@dataclass(frozen=True)
class Verdict:
    """Everything that was checked of a directory; `unjudged` says what could not be, and why."""

    directory: Path
    stage: str
    """Which command made it; `checkpoint` or `model` where it is no output, but part of one."""
    checks: tuple[Check, ...]
    unjudged: str = ""

    @property
    def ok(self) -> bool:
        """Whether all was looked at and all of it holds."""
        return not self.unjudged and all(each.ok for each in self.checks)


def verify(directory: Path, *, reporter: Reporter) -> Verdict:
    """Check a finished directory: its files first, then, if they are whole, what is in them.

    Beside an output that may be a single checkpoint, or anybody's model in Hugging Face's layout.

    Raises:
        BadInput: it isn't finished, or isn't any of these.
    """
    if (kind := _part(directory)) is not None:
        return Verdict(directory, kind, tuple(_prove_part(directory, kind, reporter)))
    claim = read_claim(directory)
    files = tuple(check_files(claim, reporter))
    checks = (*files, *check_manifest(claim))
    if claim.stage not in PROOFS:
        unjudged = f"What is in it can't be told: this bertctl knows no stage {claim.stage}."
        return Verdict(directory, claim.stage, checks, unjudged)
    if not all(each.ok for each in files):
        unjudged = "What is in the files was not looked at: they aren't what was written."
        return Verdict(directory, claim.stage, checks, unjudged)
    # Arrow and numpy take their time to import: a directory that isn't whole doesn't need them.
    prove: Proof = importlib.import_module(f".{PROOFS[claim.stage]}", __package__).prove
    try:
        return Verdict(directory, claim.stage, (*checks, *prove(claim, reporter)))
    except Untold as missing:
        unjudged = (
            f"What is in the files can't be proven: the manifest, of another version of bertctl, "
            f"doesn't tell {missing}."
        )
        return Verdict(directory, claim.stage, checks, unjudged)


def _part(directory: Path) -> str | None:
    """Tell a checkpoint, and a model that stands by itself, from an output."""
    if is_ours(directory):
        return None
    if (directory / "checkpoint.json").is_file():
        return "checkpoint"
    return "model" if (directory / "config.json").is_file() else None


def _prove_part(directory: Path, kind: str, reporter: Reporter) -> Iterator[Check]:
    from .checkpoint import prove_checkpoint
    from .model import prove_model

    prove = prove_checkpoint if kind == "checkpoint" else prove_model
    yield from prove(directory, reporter)
