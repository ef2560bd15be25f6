"""`bertctl finetune`: flags read, result shown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ..pipeline.errors import Stopped
from ..pipeline.finetune.request import FinetuneRequest
from ..pipeline.finetune.settings import FinetuneHow, FinetuneSettings
from ..pipeline.finetune.stage import finetune
from ..pipeline.stage.engine import Completion
from ..pipeline.training.settings import NumericsSettings
from .console import Console
from .options import collect, common_options, settings_options
from .signals import stop_on_signals

_FILE = click.Path(path_type=Path)


@click.command(
    "finetune",
    epilog="Example: bertctl finetune --model run/ --train train.csv --validation dev.csv "
    "--test test.csv --seeds 3 --output classifier/",
)
@click.option(
    "--model",
    required=True,
    metavar="DIR|random:SIZE",
    help="Where to start: a pretrain run, one of its checkpoints, any Hugging Face BERT directory, "
    "or random weights.",
)
@click.option(
    "--vocab", type=_FILE, metavar="DIR", help="Vocabulary for random:SIZE; a model has its own."
)
@click.option("--train", type=_FILE, required=True, metavar="FILE", help="Rows to learn from.")
@click.option(
    "--validation", type=_FILE, metavar="FILE", help="Rows that choose the best epoch and seed."
)
@click.option(
    "--test", type=_FILE, metavar="FILE", help="Rows to predict, and to score if they have labels."
)
@settings_options(FinetuneSettings, NumericsSettings, FinetuneHow)
@common_options
def command(output: Path, force: bool, **values: Any) -> int | None:
    """Fit an encoder to a labelled file.

    A FILE is CSV or TSV whose first line names the columns, or JSON Lines; plain or packed.
    """
    console = Console.of(values)
    with stop_on_signals() as stop:
        request = FinetuneRequest(
            model=values["model"],
            train=values["train"],
            validation=values["validation"],
            test=values["test"],
            vocab=values["vocab"],
            settings=collect(FinetuneSettings, values),
            numerics=collect(NumericsSettings, values),
            how=collect(FinetuneHow, values),
            should_stop=stop,
        )
        try:
            done = finetune(request, output, reporter=console, force=force)
        except Stopped as stopped:
            console.stopped(stopped)
            return stop.exit_code
    console.completed(done, _rows)
    return None


def _rows(done: Completion) -> list[tuple[str, str]]:
    figures = done.manifest.statistics
    rows = [("labels", f"{len(figures['labels']):,}")]
    for name, count in figures["rows"].items():
        notes = []
        if unlabelled := count - figures["labelled_rows"][name]:
            notes.append(f"{unlabelled:,} without a label")
        if cut := figures["cut_texts"][name]:
            notes.append(f"{cut:,} cut")
        rows.append((f"{name} rows", f"{count:,}" + (f" ({', '.join(notes)})" if notes else "")))
    for name, means in figures["mean"].items():
        if means is None:
            continue
        deviations = (figures["sd"] or {}).get(name)
        baseline = figures["baseline"]["accuracy"][name]
        accuracy = _percent(means, deviations, "accuracy")
        rows += [
            (f"{name} accuracy", f"{accuracy}  (always the commonest label: {baseline:.1%})"),
            (f"{name} macro-F1", _percent(means, deviations, "macro_f1")),
        ]
    seeds = figures["seeds"]
    epochs = ", ".join(str(each["best_epoch"]) for each in seeds)
    rows.append(("epoch taken" if len(seeds) == 1 else "epochs taken", epochs))
    of = f" (seed {figures['best_seed']})" if len(seeds) > 1 else ""
    rows.append(("model", f"{done.directory / 'model'}{of}"))
    return rows


def _percent(means: Mapping[str, float], deviations: Mapping[str, float] | None, name: str) -> str:
    spread = f" ± {100 * deviations[name]:.1f}" if deviations else ""
    return f"{100 * means[name]:.1f}{spread} %"
