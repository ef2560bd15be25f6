"""Every kind of directory, and what proves that it is what it says."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..stage.report import Reporter
from .checks import Check
from .claim import Claim, Untold, read_claim
from .files import check_files, check_manifest

Proof = Callable[[Claim, Reporter], Iterator[Check]]
"""Yields what follows from the content of files whose checksums were found right."""

PROOFS: dict[str, str | None] = {
    "vocab": "vocabulary",
    "shard": "shards",
    "pretrain": None,
    "finetune": None,
}
"""Stage → the module whose `prove` is its `Proof`; None where checksums are all there is."""


@dataclass(frozen=True)
class Verdict:
    """Everything that was checked of a directory; `unjudged` says what could not be, and why."""

    directory: Path
    stage: str
    checks: tuple[Check, ...]
    unjudged: str = ""

    @property
    def ok(self) -> bool:
        """Whether all was looked at and all of it holds."""
        return not self.unjudged and all(each.ok for each in self.checks)


def verify(directory: Path, *, reporter: Reporter) -> Verdict:
    """Check a finished directory: its files first, then, if they are whole, what is in them.

    Raises:
        BadInput: it isn't finished, or isn't a directory of bertctl's.
    """
    claim = read_claim(directory)
    files = tuple(check_files(claim, reporter))
    checks = (*files, *check_manifest(claim))
    module = PROOFS.get(claim.stage)
    if module is None:
        return Verdict(directory, claim.stage, checks)
    if not all(each.ok for each in files):
        unjudged = "What is in the files was not looked at: they aren't what was written."
        return Verdict(directory, claim.stage, checks, unjudged)
    # Arrow and numpy take their time to import: a directory that isn't whole doesn't need them.
    prove: Proof = importlib.import_module(f".{module}", __package__).prove
    try:
        return Verdict(directory, claim.stage, (*checks, *prove(claim, reporter)))
    except Untold as missing:
        unjudged = (
            f"What is in the files can't be proven: the manifest, of another version of bertctl, "
            f"doesn't tell {missing}."
        )
        return Verdict(directory, claim.stage, checks, unjudged)
