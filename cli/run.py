"""`bertctl run`: a project's file read, what is missing made, what became of it shown."""

from __future__ import annotations

import json
import os
import shlex
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ..pipeline.errors import BadInput
from ..pipeline.project.choosing import chosen_jobs, named
from ..pipeline.project.commands import arguments_of
from ..pipeline.project.estimates import check_disk, estimates_of
from ..pipeline.project.jobs import Job, read_project
from ..pipeline.project.running import (
    Outcome,
    Runner,
    environment_of,
    exit_code_of,
    run_jobs,
)
from ..pipeline.project.standing import Standing, standings_of
from .console import Console
from .options import Here, looking_options
from .plan import duration, show_plan


@click.command(
    "run",
    epilog="Example: bertctl run --dry-run\n\n"
    "Example: bertctl run --until pretrain --set shard.dupe-factor=2",
)
@click.argument("file", type=Here(), default="bertctl.toml", metavar="[FILE]")
@click.option("--dry-run", is_flag=True, help="Show what would be done, and what it takes.")
@click.option(
    "--until",
    multiple=True,
    metavar="JOB",
    help="Do this and what it is made from: a stage, such as pretrain, or a variant of one, such "
    "as shard.128. May be repeated.",
)
@click.option("--only", multiple=True, metavar="JOB", help="Do this alone. May be repeated.")
@click.option(
    "--force",
    multiple=True,
    metavar="JOB",
    help="Replace what is there of this; of nothing else. May be repeated.",
)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Take this in place of what the file says: shard.128.dupe-factor=2. May be repeated.",
)
@looking_options
def command(
    file: Path,
    dry_run: bool,
    until: tuple[str, ...],
    only: tuple[str, ...],
    force: tuple[str, ...],
    overrides: tuple[str, ...],
    **values: Any,
) -> int:
    """Make all that a project's file asks for, doing only what is missing.

    FILE is bertctl.toml without one; paths in it are taken from where it stands. Each output is
    made by the command that is shown, in order; where one fails, those that aren't made from it go
    on. `bertctl init` writes such a file.
    """
    console = Console.of(values)
    if not file.is_file():
        raise BadInput(
            f"{file}: there is no such file; expected a project's.",
            hint=f"Name the file in it: {file / 'bertctl.toml'}"
            if file.is_dir()
            else "`bertctl init` writes one.",
        )
    os.chdir(file.parent)
    jobs = read_project(Path(file.name), overrides)
    forced = named(jobs, force, flag="--force")
    chosen = chosen_jobs(
        jobs,
        only=named(jobs, only, flag="--only"),
        until=named(jobs, until, flag="--until"),
    )
    if idle := forced - {each.name for each in chosen}:
        raise BadInput(
            f"--force {min(idle)}: that isn't among what is to be done.",
            hint="Leave out --only and --until, or name it there, too.",
        )
    standings = standings_of(chosen, forced=forced)
    estimates = estimates_of(standings)
    if dry_run:
        show_plan(console, standings, estimates)
    _refuse(file, standings)
    check_disk(
        [
            (each.job.output, estimates[each.job.name])
            for each in standings
            if each.job.name in estimates
        ]
    )
    if dry_run:
        return 0
    return _run(console, standings, forced, values)


def _refuse(file: Path, standings: Sequence[Standing]) -> None:
    """Raise what would be raised later anyway, for all jobs at once and before any begins."""
    refused = [each for each in standings if each.refusal is not None]
    if not refused:
        return
    told: list[str] = []
    for each in refused:
        assert each.refusal is not None
        told.append(f"  [{each.job.name}] {_indented(each.refusal.message)}")
        if each.refusal.hint:
            told.append(f"    {_indented(_hint(each))}")
    raise BadInput(
        f"{file} asks for what can't be done:\n" + "\n".join(told),
        hint="Nothing was started. --only and --until leave out what you don't need now.",
    )


def _hint(standing: Standing) -> str:
    """Return what to do, in a project's words."""
    assert standing.refusal is not None
    if "current directory" in standing.refusal.hint:
        return "Check the spelling; a path is taken from where the project's file stands."
    if "--output" in standing.refusal.hint and "--force" in standing.refusal.hint:
        return (
            f"Give it another output, or another name, to keep both; or --force "
            f"{standing.job.name} to replace what is there."
        )
    return standing.refusal.hint


def _indented(text: str) -> str:
    return text.replace("\n", "\n    ")


def _run(
    console: Console, standings: Sequence[Standing], forced: frozenset[str], values: dict[str, Any]
) -> int:
    options = [f"--{name}" for name in ("plain", "quiet", "verbose", "debug") if values[name]]
    as_json: bool = values["as_json"]
    runner = Runner(
        [*options, *(["--json"] if as_json else [])],
        environment=environment_of(os.environ, os.getpid()),
        catch=as_json,
    )

    def announce(job: Job) -> None:
        force = ["--force"] if job.name in forced else []
        words = shlex.join(["bertctl", *arguments_of(job), *options, *force])
        console.notice(click.style(f"\n[{job.name}] ", bold=True) + click.style(words, dim=True))

    outcomes: list[Outcome] = []
    seconds: list[float] = []
    restore = runner.listen()
    try:
        begun = time.monotonic()
        for outcome in run_jobs(standings, runner, forced=forced, announce=announce):
            outcomes.append(outcome)
            seconds.append(time.monotonic() - begun)
            begun = time.monotonic()
    finally:
        restore()
    code = exit_code_of(outcomes, runner)
    if as_json:
        click.echo(json.dumps({"jobs": list(map(_outcome_json, outcomes))}, ensure_ascii=False))
    elif not values["quiet"]:
        _show_outcomes(console, outcomes, seconds)
    return code


def _show_outcomes(console: Console, outcomes: Sequence[Outcome], seconds: Sequence[float]) -> None:
    if all(each.ending == "up to date" for each in outcomes):
        count = f"all {len(outcomes)} outputs are" if len(outcomes) > 1 else "the output is"
        click.echo(f"{count} up to date.".capitalize())
        return
    rows = [
        (
            each.job.name,
            _ending(each),
            "" if each.ending in ("up to date", "left out") else duration(taken),
            str(each.job.output),
        )
        for each, taken in zip(outcomes, seconds, strict=True)
    ]
    click.echo()
    console.table("", rows, heading=("job", "", "took", "output"))


def _ending(outcome: Outcome) -> str:
    if outcome.because_of:
        return f"left out: no {outcome.because_of}"
    if outcome.ending == "failed":
        killed = outcome.exit_code == 128 + signal.SIGKILL
        return "killed; for memory?" if killed else f"failed ({outcome.exit_code})"
    return outcome.ending


def _outcome_json(outcome: Outcome) -> dict[str, Any]:
    try:
        result = json.loads(outcome.printed)
    except ValueError:
        result = None
    return {
        "job": outcome.job.name,
        "output": str(outcome.job.output),
        "ending": outcome.ending,
        "exit_code": outcome.exit_code,
        "because_of": outcome.because_of or None,
        "result": result,
    }
