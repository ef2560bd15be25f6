"""How each job of a project stands: done, begun, to do, waiting for another, or refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Literal

from ..corpus.listing import list_inputs
from ..errors import BadInput, BertctlError, OutputRefused
from ..finetune.stage import check_files
from ..finetune.stage import look_at as look_at_finetune
from ..pretrain.plan import check_before_shards
from ..pretrain.settings import seconds_of
from ..pretrain.stage import look_at as look_at_pretrain
from ..shard.stage import check_shard_settings
from ..shard.stage import look_at as look_at_shard
from ..stage.manifest import RECIPE, Manifest
from ..stage.recipe import Difference
from ..vocab.stage import look_at as look_at_vocab
from .jobs import Job
from .requests import finetune_request, pretrain_request, shard_request, vocab_request
from .shapes import check_length, facts_of, is_complete

_RESOLVED = frozenset(
    {"steps", "warmup_steps", "objective", "shares", "problem_type", "long_text"}
    | {
        "position_embedding_type",
        "text_column",
        "text_pair_column",
        "label_column",
        "choice_column",
    }
)
"""Settings that a recipe holds as what became of them, or that files settle"""

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
        found[job.name] = _standing(job, found, forced)
    return tuple(found.values())


def _standing(job: Job, found: Mapping[str, Standing], forced: Set[str]) -> Standing:
    waits_for = tuple(dict.fromkeys(each.name for each in job.made_from if _is_coming(each, found)))
    try:
        if job.stage == "pretrain":
            # Only the command itself reads it, and a run is no time to learn that it can't.
            seconds_of(job.settings.get("time"))
        _refuse_absent_sources(job, found)
        if waits_for:
            if job.name not in forced:
                _refuse_what_would_be(job, waits_for, forced)
            return Standing(job, "waiting", waits_for=waits_for, rows=_CHECKS[job.stage](job))
        done = _LOOKS[job.stage](job, job.name in forced)
    except BertctlError as refusal:
        return Standing(job, "refused", refusal)
    if done is not None:
        return Standing(job, "up to date")
    is_begun = (job.output / RECIPE).exists() and job.name not in forced
    return Standing(job, "begun" if is_begun else "to do")


def _is_coming(source: Job, found: Mapping[str, Standing]) -> bool:
    """Whether what a job is made from isn't there yet, or may be another when its turn comes."""
    standing = found.get(source.name)
    return standing is not None and standing.state != "up to date"


def _refuse_absent_sources(job: Job, found: Mapping[str, Standing]) -> None:
    """Raise `BadInput` where a source that isn't to be made is missing, or another than asked for.

    It is asked for its settings alone: its own input need not be on this machine any more.
    """
    for source in job.made_from:
        if source.name in found:
            continue
        if not is_complete(source):
            raise BadInput(
                f"It is made from {source.name}, which isn't there.",
                hint=f"Make that too: --until {job.name} in place of --only.",
            )
        if differences := _differences(source):
            raise BadInput(
                f"It is made from {source.name}, and {source.output} was made otherwise:\n"
                + "\n".join(f"  {each}" for each in differences),
                hint=f"Make that too: --until {job.name} in place of --only.",
            )


def _refuse_what_would_be(job: Job, waits_for: Sequence[str], forced: Set[str]) -> None:
    """Raise `OutputRefused` where the job's own command is certain, or all but, to refuse it.

    What stands there was made otherwise; or from what is to be replaced, and to learn after that
    whether it still fits would be too late.
    """
    if not is_complete(job):
        return
    if differences := _differences(job):
        raise OutputRefused(
            f"{job.output} was made by another recipe:\n"
            + "\n".join(f"  {each}" for each in differences),
            hint=f"Give it another output, or --force {job.name} to replace what is there.",
        )
    if replaced := [each for each in waits_for if each in forced]:
        raise OutputRefused(
            f"{job.output} was made from {', '.join(replaced)}, to be replaced by --force.",
            hint=f"--force {job.name} as well; or --only {replaced[0]}, and see then what still "
            "fits.",
        )


def _differences(job: Job) -> list[Difference]:
    """List the settings given in the file that an output was made without."""
    manifest = Manifest.read(job.output)
    if manifest is None:
        return []
    what = manifest.recipe.what
    given = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in job.settings.items()
    }
    return [
        Difference(f"--{name.replace('_', '-')}", what[name], value)
        for name, value in given.items()
        if name in what and name not in _RESOLVED and what[name] != value
    ]


def _check_nothing(job: Job) -> None:
    """Leave it to be looked at when what it is made from is there."""


def _check_shard(job: Job) -> None:
    check_shard_settings(shard_request(job))
    list_inputs(job.inputs, on_bad_input=job.settings.get("on_bad_input", "stop"))


def _check_pretrain(job: Job) -> None:
    check_before_shards(pretrain_request(job), facts_of(job))


def _check_finetune(job: Job) -> Mapping[str, int]:
    check_length(job)
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
