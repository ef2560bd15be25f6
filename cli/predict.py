"""`bertctl predict`: texts read, answers shown, or written to a file."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..pipeline.errors import BadInput
from ..pipeline.predict.settings import PredictHow
from ..pipeline.training.settings import NumericsSettings
from .console import Console
from .options import Here, collect, looking_options, settings_options
from .signals import Terminated

if TYPE_CHECKING:
    from ..pipeline.predict.opening import Opened
    from ..pipeline.predict.request import PredictRequest, Source


@click.command(
    "predict",
    epilog='Example: bertctl predict --model run/ "the capital of [MASK] is"\n\n'
    'Example: bertctl predict --model run/ "He went out." --text-pair "It rained."\n\n'
    "Example: bertctl predict --model classifier/ new.csv --output labels.jsonl\n\n"
    'Example: bertctl predict --model reader/ "When?" --text-pair "It was in 1963."\n\n'
    "Example: bertctl predict --model run/ texts.txt --output vectors.parquet",
)
@click.option(
    "--model",
    type=Here(),
    required=True,
    metavar="DIR",
    help="A pretrain or finetune run, a checkpoint, or any Hugging Face BERT directory.",
)
@click.argument("source", nargs=-1, metavar="[INPUT]")
@click.option(
    "-o",
    "--output",
    type=Here(),
    metavar="FILE",
    help="Write to a .jsonl file, or vectors to a .parquet file, in place of showing.",
)
@click.option("--force", is_flag=True, help="Replace --output if it is there.")
@settings_options(PredictHow, NumericsSettings)
@looking_options
def command(
    model: Path, source: tuple[str, ...], output: Path | None, force: bool, **values: Any
) -> int | None:
    """Ask a model of texts, and get an answer for each in their order.

    INPUT is a file (.txt line by line, .csv, .tsv, .jsonl, SQuAD's .json, CoNLL's columns for
    tokens, also compressed, or .parquet), a text itself, or - for standard input, which is read
    too where INPUT is left out in a pipe.

    A pretrained model fills [MASK] or tells whether --text-pair follows; a fine-tuned one does what
    it was fitted to: labels, numbers, tags, answers, choices; any gives vectors. --json prints one
    object a row.
    """
    # What asks a model takes its time to import: help and usage errors don't need it.
    from ..pipeline.predict.opening import open_model
    from ..pipeline.predict.request import PredictRequest
    from ..pipeline.predict.writing import check_output, is_for_vectors

    console = Console.of(values)
    request = PredictRequest(
        model, _source(source), collect(PredictHow, values), collect(NumericsSettings, values)
    )
    for flag, given in (("--text-pair", request.how.text_pair), ("--choice", request.how.choice)):
        if given and not isinstance(request.source, str):
            raise BadInput(
                f"{flag} goes with a text that is given as INPUT.",
                hint=f"In a file it is a column: {flag}-column.",
            )
    opened = open_model(request, wants_vectors=is_for_vectors(output))
    if output is not None:
        check_output(output, opened.task, force=force)
    elif opened.task == "embeddings" and not console.as_json:
        raise BadInput(
            "Vectors are not for reading; expected --output FILE.",
            hint="--output vectors.parquet, or vectors.jsonl; --json prints a line a row.",
        )
    console.detail(f"{opened.task}, up to {opened.max_seq_length} tokens")
    try:
        _run(request, opened, output, console, values)
    except (KeyboardInterrupt, Terminated) as ending:
        by = ending.signal if isinstance(ending, Terminated) else signal.SIGINT
        written = "; nothing was written" if output else ""
        # Whoever hung up doesn't hear it.
        with suppress(OSError):
            console.notice(f"Stopped by {by.name}{written}.")
        return 128 + by
    return None


def _run(
    request: PredictRequest,
    opened: Opened,
    output: Path | None,
    console: Console,
    values: Mapping[str, Any],
) -> None:
    from ..pipeline.predict.reading import read_source
    from ..pipeline.predict.run import predict
    from ..pipeline.predict.writing import as_line, writing
    from .answers import shown

    is_tagging = opened.task == "token-classification"
    reading = read_source(request.source, request.how, tagged=is_tagging)
    if output is not None:
        hidden_size = opened.start.config.hidden_size
        count, extent = 0, reading.extent
        with (
            writing(output, hidden_size=hidden_size) as put,
            console.phase("predict", total=extent.total, unit=extent.unit) as progress,
        ):
            for row, answer in predict(
                opened, request, reading, reporter=console, progress=progress
            ):
                put(row, answer)
                count += 1
        if not values["quiet"]:
            console.table(str(output), [("rows", f"{count:,}"), ("task", opened.task)])
        return
    for row, answer in predict(opened, request, reading, reporter=console):
        if console.as_json:
            click.echo(as_line(row, answer))
        else:
            for line in shown(row, answer):
                click.echo(line)


def _source(given: Sequence[str]) -> Source:
    """Tell a file from a text: what looks like a file's name is one."""
    if len(given) > 1:
        raise click.UsageError(
            f"There are {len(given):,} INPUTs ({given[0]!r}, {given[1]!r}, …); expected one. Quote "
            "a text with spaces; several texts go in a file, or in a pipe with one a line."
        )
    named = given[0] if given else None
    if named == "-" or (named is None and not sys.stdin.isatty()):
        return sys.stdin.buffer
    if named is None:
        raise click.UsageError("There is no INPUT: give a text, a file, or - for standard input.")
    from ..pipeline.predict.formats import looks_like_a_file

    path = Path(named)
    if path.is_dir():
        raise BadInput(f"{named} is a directory; expected a file, a text, or -.")
    if path.is_file():
        return path
    if looks_like_a_file(named):
        raise BadInput(f"{named}: there is no such file.", hint="A text may hold spaces.")
    return named
