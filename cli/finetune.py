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

    A FILE is CSV or TSV whose first line names the columns, JSON Lines or Parquet; for tokens
    also CoNLL's columns, for questions SQuAD's JSON. Plain or packed.
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


_NAMES = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "micro_f1": "micro-F1",
    "exact_match": "exact match",
    "f1": "F1",
    "pearson": "Pearson",
    "spearman": "Spearman",
    "mse": "mean squared error",
}
"""Figures that are shown, and what people call them; metrics.json has all of them."""
_PLAIN = {"pearson": ".3f", "spearman": ".3f", "mse": ".4g"}
"""Those that are no share of anything, and how they are written"""


def _rows(done: Completion) -> list[tuple[str, str]]:
    figures = done.manifest.statistics
    rows = [("labels", f"{len(figures['labels']):,}")] if len(figures["labels"]) > 1 else []
    for name, count in figures["rows"].items():
        notes: list[str] = []
        if unlabelled := count - figures["labelled_rows"][name]:
            notes.append(f"{unlabelled:,} without a label")
        if cut := figures["cut_texts"][name]:
            notes.append(f"{cut:,} cut")
        if windowed := figures["windowed_texts"][name]:
            notes.append(f"{windowed:,} in windows")
        rows.append((f"{name} rows", f"{count:,}" + (f" ({', '.join(notes)})" if notes else "")))
    rows += _grid_rows(figures)
    for name, means in figures["mean"].items():
        rows += [
            (f"{name} {_NAMES[figure]}", _told(figures, name, figure))
            for figure in means or ()
            if figure in _NAMES
        ]
    seeds = figures["seeds"]
    epochs = ", ".join(str(each["best_epoch"]) for each in seeds)
    rows.append(("epoch taken" if len(seeds) == 1 else "epochs taken", epochs))
    of = f" (seed {figures['best_seed']})" if len(seeds) > 1 else ""
    rows.append(("model", f"{done.directory / 'model'}{of}"))
    return rows


def _grid_rows(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return a row for each cell of the grid, the best one marked."""
    by = figures["best_by"]
    return [
        (
            f"batch {cell['batch_size']}, rate {cell['learning_rate']:g}, {cell['epochs']} epochs",
            _number(by, cell["mean"][by], (cell["sd"] or {}).get(by))
            + ("  (best)" if cell["is_best"] else ""),
        )
        for cell in figures.get("grid", ())
    ]


def _told(figures: Mapping[str, Any], name: str, figure: str) -> str:
    """Return a figure with its spread over seeds, or its interval where there is one seed."""
    deviations = (figures["sd"] or {}).get(name) or {}
    notes: list[str] = []
    interval = figures["interval"].get(name)
    if not deviations and interval:
        low, high = (_number(figure, each, None, unit="") for each in interval[figure])
        notes.append(f"95 %: {low}–{high}")
    always = figures["baseline"].get(figure, {}).get(name)
    if always is not None:
        what = {"accuracy": "commonest label", "mse": "mean"}.get(figure, "same")
        told = _number(figure, always, None, unit="%")
        notes.append(f"{what}: {told}" if notes else f"always the {what}: {told}")
    told = _number(figure, figures["mean"][name][figure], deviations.get(figure))
    return told + (f"  ({'; '.join(notes)})" if notes else "")


def _number(figure: str, value: float, deviation: float | None, *, unit: str = " %") -> str:
    if figure in _PLAIN:
        form = _PLAIN[figure]
        return f"{value:{form}}" + (f" ± {deviation:{form}}" if deviation is not None else "")
    return (
        f"{100 * value:.1f}" + (f" ± {100 * deviation:.1f}" if deviation is not None else "") + unit
    )
