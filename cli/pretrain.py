"""`bertctl pretrain`: flags read, result shown."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ..pipeline.errors import Stopped
from ..pipeline.pretrain.request import PretrainRequest
from ..pipeline.pretrain.settings import (
    ArchitectureSettings,
    PretrainHow,
    PretrainSettings,
    ProcessNumerics,
    TimeHow,
    seconds_of,
)
from ..pipeline.pretrain.shape import read_config, refuse_two_shapes
from ..pipeline.pretrain.stage import look_at, pretrain
from ..pipeline.stage.engine import Completion
from ..pipeline.stage.orphans import end_with
from ..pipeline.training.place import Place
from ..pipeline.training.settings import NumericsSettings
from .console import Console
from .options import Here, collect, common_options, settings_options
from .signals import stop_on_signals, terminate

_TASKS = {"causal": "next-token"}
_PAIRS = {"mlm+sop": "SOP"}


@click.command(
    "pretrain",
    epilog="Example: bertctl pretrain shards/ --model mini --epochs 40 --output run/",
)
@click.argument("shards", type=Here(), metavar="SHARDS...", nargs=-1, required=True)
@settings_options(ArchitectureSettings)
@click.option(
    "--config",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="A config.json that describes the model, in place of --model.",
)
@click.option(
    "--init",
    type=Here(),
    metavar="DIR",
    help="A model to go on from: a run, a checkpoint or any Hugging Face BERT directory.",
)
@settings_options(PretrainSettings, NumericsSettings, ProcessNumerics, PretrainHow, TimeHow)
@common_options
def command(
    shards: tuple[Path, ...],
    config: Path | None,
    init: Path | None,
    output: Path,
    force: bool,
    **values: Any,
) -> int | None:
    """Train an encoder on shards: masked tokens and next sentence together.

    SHARDS are directories made by `bertctl shard`; several are read one after another, each for
    its share of the steps.
    """
    console = Console.of(values)
    named = click.get_current_context().get_parameter_source("model")
    refuse_two_shapes(names_model=named is ParameterSource.COMMANDLINE, config=config, init=init)
    request = PretrainRequest(
        shards=shards,
        init=init,
        config=None if config is None else read_config(config),
        architecture=collect(ArchitectureSettings, values),
        training=collect(PretrainSettings, values),
        numerics=collect(NumericsSettings, values),
        processes=collect(ProcessNumerics, values),
        how=collect(PretrainHow, values),
        place=Place.of_environment(os.environ),
    )
    seconds = seconds_of(collect(TimeHow, values).time)
    if request.place.size == 1 and request.processes.nproc_per_node != 1:
        done = look_at(request, output, force=force)
        # Importing torch takes seconds: first all that can be refused is.
        if done is None and (count := _count(request)) > 1:
            return _launch(count)
    if "TORCHELASTIC_RUN_ID" in os.environ:
        end_with(os.getppid())
    with stop_on_signals(seconds=seconds) as stop:
        try:
            request = replace(request, should_stop=stop)
            done = pretrain(request, output, reporter=console, force=force)
        except Stopped as stopped:
            if request.place.leads:
                console.stopped(stopped)
            return stop.exit_code
    if done is not None:
        console.completed(done, _rows)
    return None


def _count(request: PretrainRequest) -> int:
    from ..pipeline.training.launching import number_of_processes

    return number_of_processes(request.processes.nproc_per_node, request.numerics.device)


def _launch(count: int) -> int:
    from ..pipeline.training.launching import launch

    ending = launch([sys.executable, "-m", "bertctl", *sys.argv[1:]], count)
    if not ending.is_told:
        terminate(ending.exit_code - 128, None)
    return ending.exit_code


def _rows(done: Completion) -> list[tuple[str, str]]:
    figures = done.manifest.statistics
    rows = [
        ("model", str(done.directory / "model")),
        ("parameters", f"{figures['parameters']:,}"),
        ("steps", f"{figures['steps']:,} ({figures['epochs']:.1f} epochs)"),
    ]
    measured, baseline = figures["validation"], figures["baseline"]
    task = _TASKS.get(figures["objective"], "MLM")
    pairs = _PAIRS.get(figures["objective"], "NSP")
    for label, name, style, mark in (
        (f"held-out {task} loss", "mlm_loss", ".3f", "knowing word counts only"),
        (f"held-out {task} accuracy", "mlm_accuracy", ".1%", "knowing word counts only"),
        (f"held-out {pairs} loss", "nsp_loss", ".3f", "tossing a coin"),
        (f"held-out {pairs} accuracy", "nsp_accuracy", ".1%", "tossing a coin"),
    ):
        if measured and name in measured:
            beaten = f"{mark}: {baseline[name]:{style}}"
            rows.append((label, f"{measured[name]:{style}}  ({beaten})"))
    if figures["health"] is not None:
        rows.append(("health", "see the warnings" if figures["health"] else "nothing looks wrong"))
    return rows
