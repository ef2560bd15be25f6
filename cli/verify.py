"""`bertctl verify`: a directory checked, every check shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..pipeline.corpus.uris import is_uri
from ..pipeline.errors import BadInput
from ..pipeline.verify.checks import Check
from ..pipeline.verify.verify import Verdict, verify
from .console import Console
from .options import looking_options

if TYPE_CHECKING:
    from rich.text import Text

_NAMED = 5
"""Of the checks that failed; the table has all of them."""


@click.command(
    "verify",
    epilog="Example: bertctl verify shards/\n\n"
    "Example: bertctl verify run/checkpoints/step-00001000",
)
@click.argument("named", metavar="DIR")
@looking_options
def command(named: str, **values: Any) -> int:
    """Prove that a directory is what it says.

    DIR is the output of any stage, a checkpoint of a run, or anybody's BERT in Hugging Face's
    layout. The checksum of every file is taken again. What shards, vocabularies, models and
    predictions say of themselves is counted again from their content, by code that shares nothing
    with the code that wrote them.

    Exit code 0: all of it holds. 2: something doesn't or can't be told, or DIR isn't finished.
    """
    if is_uri(named):
        raise BadInput(
            f"{named} is elsewhere; expected a directory on this machine.",
            hint="Copy it here: to take its checksums means to fetch all of it anyway.",
        )
    directory = Path(named)
    console = Console.of(values)
    verdict = verify(directory, reporter=console)
    if values["as_json"]:
        click.echo(json.dumps(_as_json(verdict), ensure_ascii=False))
    elif not values["quiet"]:
        console.table(
            f"{directory}, {_origin(verdict.stage)}",
            [_row(each) for each in verdict.checks],
            heading=("", "found", "expected", ""),
        )
    if verdict.ok:
        return 0
    if verdict.unjudged and all(each.ok for each in verdict.checks):
        console.warn(f"{directory}: {verdict.unjudged}")
        return BadInput.exit_code
    bad = [each.name for each in verdict.checks if not each.ok]
    more = f" and {len(bad) - _NAMED:,} more" if len(bad) > _NAMED else ""
    console.warn(
        f"{directory} isn't what it says: {len(bad):,} of {len(verdict.checks):,} checks fail "
        f"({', '.join(bad[:_NAMED])}{more}). {verdict.unjudged}".rstrip()
    )
    return BadInput.exit_code


def _origin(stage: str) -> str:
    return {"checkpoint": "a checkpoint", "model": "a model"}.get(stage, f"made by bertctl {stage}")


def _row(check: Check) -> tuple[str | Text, ...]:
    # Takes its time to import: help and usage errors don't need it.
    from rich.text import Text

    expected = "=" if check.found == check.expected else check.expected
    verdict = Text("ok", "green") if check.ok else Text("WRONG", "bold red")
    return (check.name, check.found, expected, verdict)


def _as_json(verdict: Verdict) -> dict[str, Any]:
    return {
        "directory": str(verdict.directory),
        "stage": verdict.stage,
        "ok": verdict.ok,
        "unjudged": verdict.unjudged,
        "checks": [each.as_json() for each in verdict.checks],
    }
