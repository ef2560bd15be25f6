"""How each job of a project stands: done, begun, to do, waiting for another, or refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Literal

from ..corpus.listing import list_inputs
from ..errors import BertctlError
from ..finetune.stage import check_files
from ..finetune.stage import look_at as look_at_finetune
from ..pretrain.settings import seconds_of
from ..pretrain.stage import look_at as look_at_pretrain
from ..shard.stage import check_shard_settings
from ..shard.stage import look_at as look_at_shard
from ..stage.manifest import RECIPE, Manifest
from ..vocab.stage import look_at as look_at_vocab
from .jobs import Job
from .requests import finetune_request, pretrain_request, shard_request, vocab_request

State = Literal["up to date", "begun", "to do", "waiting", "refused"]


@dataclass(frozen=True)
class Standing:
    """How a job stands before anything is done about it."""

    job: Job
    state: State
    refusal: BertctlError | None = None
    """Why it can't be done as the project asks for it"""
    waits_for: tuple[str, ...] = ()
    """The jobs, by name, that have to be done before it can be looked at"""
    rows: Mapping[str, int] | None = None
    """Of a fine-tuning's files, where they were read"""

    @property
    def has_work(self) -> bool:
        """Whether something may have to be done."""
        return self.state in ("begun", "to do", "waiting")


def standings_of(jobs: Sequence[Job], *, forced: Set[str] = frozenset()) -> tuple[Standing, ...]:
    """Look at every job, each after those it is made from.

    `forced` are the jobs, by name, whose outputs are to be replaced. Nothing is written, and
    nothing heavy is loaded; input files that were moved or touched since are read again.
    """
    found: dict[str, Standing] = {}
    for job in jobs:
        found[job.name] = _standing(job, found, is_forced=job.name in forced)
    return tuple(found.values())


def is_complete(job: Job) -> bool:
    """Whether the job's output claims to be whole."""
    return Manifest.read(job.output) is not None


def _standing(job: Job, found: Mapping[str, Standing], *, is_forced: bool) -> Standing:
    waits_for = tuple(dict.fromkeys(each.name for each in job.made_from if _is_coming(each, found)))
    try:
        if job.stage == "pretrain":
            # Only the command itself reads it, and a run is no time to learn that it can't.
            seconds_of(job.settings.get("time"))
        if waits_for:
            return Standing(job, "waiting", waits_for=waits_for, rows=_CHECKS[job.stage](job))
        done = _LOOKS[job.stage](job, is_forced)
    except BertctlError as refusal:
        return Standing(job, "refused", refusal)
    if done is not None:
        return Standing(job, "up to date")
    is_begun = (job.output / RECIPE).exists() and not is_forced
    return Standing(job, "begun" if is_begun else "to do")


def _is_coming(source: Job, found: Mapping[str, Standing]) -> bool:
    """Whether what a job is made from isn't there yet, or may be another when its turn comes."""
    standing = found.get(source.name)
    return standing.state != "up to date" if standing is not None else not is_complete(source)


def _check_nothing(job: Job) -> None:
    """Leave it to be looked at when what it is made from is there."""


def _check_shard(job: Job) -> None:
    check_shard_settings(shard_request(job))
    list_inputs(job.inputs, on_bad_input=job.settings.get("on_bad_input", "stop"))


def _check_pretrain(job: Job) -> None:
    pretrain_request(job)


def _check_finetune(job: Job) -> Mapping[str, int]:
    return check_files(finetune_request(job))


_LOOKS: Mapping[str, Callable[[Job, bool], Any]] = {
    "vocab": lambda job, force: look_at_vocab(vocab_request(job), job.output, force=force),
    "shard": lambda job, force: look_at_shard(shard_request(job), job.output, force=force),
    "pretrain": lambda job, force: look_at_pretrain(pretrain_request(job), job.output, force=force),
    "finetune": lambda job, force: look_at_finetune(finetune_request(job), job.output, force=force),
}
_CHECKS: Mapping[str, Callable[[Job], Mapping[str, int] | None]] = {
    "vocab": _check_nothing,
    "shard": _check_shard,
    "pretrain": _check_pretrain,
    "finetune": _check_finetune,
}
"""What can be found wrong before there is what a job is made from"""
