"""`bertctl export`: flags read, result shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..pipeline.export.settings import ExportSettings
from ..pipeline.export.stage import ExportRequest, export
from ..pipeline.stage.engine import Completion
from .console import Console
from .options import Here, collect, common_options, settings_options


@click.command(
    "export",
    epilog="Example: bertctl export --model classifier/ --output to-publish/\n\n"
    "Example: bertctl export --model run/checkpoints/step-00001000 --encoder-only -o encoder/",
)
@click.option(
    "--model",
    type=Here(),
    required=True,
    metavar="DIR",
    help="A pretrain or finetune run, a checkpoint, or any Hugging Face BERT directory.",
)
@settings_options(ExportSettings)
@common_options
def command(model: Path, output: Path, force: bool, **values: Any) -> None:
    """Make a plain Hugging Face directory of a model, to publish or move.

    Configuration, weights and tokenizer stand in DIR itself, with a model card, README.md, that
    says what is known of the training; language and licence are yours to fill in.
    """
    console = Console.of(values)
    request = ExportRequest(model, collect(ExportSettings, values))
    console.completed(export(request, output, reporter=console, force=force), _rows)


def _rows(done: Completion) -> list[tuple[str, str]]:
    told = done.manifest.statistics
    return [
        ("architecture", told["architecture"]),
        ("parameters", f"{told['parameters']:,}"),
        ("stored as", told["dtype"]),
        ("size", f"{told['bytes'] / 1e6:,.1f} MB"),
        ("card", str(done.directory / "README.md")),
    ]
