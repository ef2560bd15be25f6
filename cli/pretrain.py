"""`bertctl pretrain`: flags read, result shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ..pipeline.errors import BadInput, Stopped
from ..pipeline.pretrain.request import PretrainRequest
from ..pipeline.pretrain.settings import (
    ArchitectureSettings,
    PretrainHow,
    PretrainSettings,
    TimeHow,
    seconds_of,
)
from ..pipeline.pretrain.stage import pretrain
from ..pipeline.stage.engine import Completion
from ..pipeline.training.settings import NumericsSettings
from .console import Console
from .options import Here, collect, common_options, settings_options
from .signals import stop_on_signals


@click.command(
    "pretrain",
    epilog="Example: bertctl pretrain shards/ --model mini --epochs 40 --output run/",
)
@click.argument("shards", type=Here(), metavar="SHARDS")
@settings_options(ArchitectureSettings)
@click.option(
    "--config",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="A config.json that describes the model, in place of --model.",
)
@settings_options(PretrainSettings, NumericsSettings, PretrainHow, TimeHow)
@common_options
def command(
    shards: Path, config: Path | None, output: Path, force: bool, **values: Any
) -> int | None:
    """Train an encoder on shards: masked tokens and next sentence together.

    SHARDS is a directory made by `bertctl shard`.
    """
    console = Console.of(values)
    named = click.get_current_context().get_parameter_source("model")
    if config is not None and named is ParameterSource.COMMANDLINE:
        raise BadInput(
            "--model and --config both say what to build; expected one of them.",
            hint="--config describes the whole model; single settings, such as "
            "--num-hidden-layers 4, go with either.",
        )
    with stop_on_signals(seconds=seconds_of(collect(TimeHow, values).time)) as stop:
        request = PretrainRequest(
            shards=shards,
            config=None if config is None else _read_config(config),
            architecture=collect(ArchitectureSettings, values),
            training=collect(PretrainSettings, values),
            numerics=collect(NumericsSettings, values),
            how=collect(PretrainHow, values),
            should_stop=stop,
        )
        try:
            done = pretrain(request, output, reporter=console, force=force)
        except Stopped as stopped:
            console.stopped(stopped)
            return stop.exit_code
    console.completed(done, _rows)
    return None


def _rows(done: Completion) -> list[tuple[str, str]]:
    figures = done.manifest.statistics
    rows = [
        ("model", str(done.directory / "model")),
        ("parameters", f"{figures['parameters']:,}"),
        ("steps", f"{figures['steps']:,} ({figures['epochs']:.1f} epochs)"),
    ]
    if figures["validation"]:
        measured, baseline = figures["validation"], figures["baseline"]
        rows += [
            (
                label,
                f"{measured[name]:{style}}  (knowing word counts only: {baseline[name]:{style}})",
            )
            for label, name, style in (
                ("held-out MLM loss", "mlm_loss", ".3f"),
                ("held-out MLM accuracy", "mlm_accuracy", ".1%"),
            )
        ]
        rows += [
            (label, f"{measured[name]:{style}}  (tossing a coin: {baseline[name]:{style}})")
            for label, name, style in (
                ("held-out NSP loss", "nsp_loss", ".3f"),
                ("held-out NSP accuracy", "nsp_accuracy", ".1%"),
            )
        ]
    return rows


def _read_config(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadInput(f"{path} isn't JSON: {error}.") from error
    if not isinstance(content, dict):
        raise BadInput(f"{path} holds no JSON object; expected a model's config.json.")
    return content
