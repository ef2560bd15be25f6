"""`bertctl init`: a project's file, written once and then a person's own."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any, get_args, get_type_hints

import click

from ..pipeline.errors import BadInput
from ..pipeline.finetune.settings import FinetuneSettings
from ..pipeline.project.template import Sketch, project_text
from ..pipeline.stage.files import publish
from .console import Console
from .options import looking_options

_TASKS = get_args(get_type_hints(FinetuneSettings)["task"])
_FILE = click.Path(path_type=Path)


@click.command(
    "init",
    epilog="Example: bertctl init corpus/ --train train.csv --test test.csv\n\n"
    "Example: bertctl init texts/*.jsonl --language zh",
)
@click.argument("inputs", nargs=-1, metavar="[INPUT]...")
@click.option(
    "--language", default="en", show_default=True, help="Language of the text (ISO 639: en, zh, …)."
)
@click.option("--train", type=_FILE, metavar="FILE", help="Rows to fine-tune on.")
@click.option("--validation", type=_FILE, metavar="FILE", help="Rows that choose the best epoch.")
@click.option("--test", type=_FILE, metavar="FILE", help="Rows to predict and score.")
@click.option(
    "--task",
    type=click.Choice(_TASKS),
    default=_TASKS[0],
    show_default=True,
    help="What these rows are for.",
)
@click.option(
    "-o",
    "--output",
    type=_FILE,
    default="bertctl.toml",
    show_default=True,
    metavar="FILE",
    help="File to write.",
)
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@looking_options
def command(
    inputs: tuple[str, ...],
    language: str,
    train: Path | None,
    validation: Path | None,
    test: Path | None,
    task: str,
    output: Path,
    force: bool,
    **values: Any,
) -> None:
    """Write bertctl.toml: a project from raw text to fine-tuned models, for `bertctl run`.

    INPUT is the corpus: files, directories or globs. Its size decides which model and vocabulary
    are suggested; change what you like.
    """
    console = Console.of(values)
    if not output.name or output.is_dir():
        raise BadInput(
            f"--output {output} is a directory; expected a file's name.",
            hint=f"For example {output / 'bertctl.toml'}.",
        )
    if output.exists() and not force:
        raise BadInput(
            f"{output} is there already.",
            hint="Edit it; or --output for another file, or --force to replace it.",
        )
    given = {"train": train, "validation": validation, "test": test}
    files = {name: path for name, path in given.items() if path is not None}
    for name, path in files.items():
        if not path.is_file():
            raise BadInput(f"--{name} {path}: there is no such file.", hint="Check the spelling.")
    if files and train is None:
        raise BadInput("There are rows to judge by, but no --train file to learn from.")
    text = project_text(
        Sketch(
            inputs=inputs,
            language=language,
            files=files,
            task=task,
            directory=output.parent,
        )
    )
    aside = output.with_name(output.name + ".part")
    try:
        aside.write_text(text, encoding="utf-8")
        publish(aside, output)
    except OSError as error:
        raise BadInput(
            f"{output} can't be written: {error.strerror}.", hint="Give another --output."
        ) from error
    if console.as_json:
        click.echo(json.dumps({"output": str(output)}))
    elif not values["quiet"]:
        name = "" if output == Path("bertctl.toml") else f"{shlex.quote(str(output))} "
        if not inputs:
            click.echo("No INPUT was given: put your text into corpus/, or change [corpus] there.")
        click.echo(f"{output} is written. Look it over, then: bertctl run {name}--dry-run")
