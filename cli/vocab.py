"""`bertctl vocab`: flags read, result shown."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click

from ..pipeline.corpus.settings import CorpusSettings
from ..pipeline.elsewhere.output import Output
from ..pipeline.stage.engine import Completion
from ..pipeline.vocab.request import VocabRequest
from ..pipeline.vocab.settings import VocabHow, VocabSettings
from ..pipeline.vocab.stage import compare, vocab
from .console import Console
from .options import collect, common_options_elsewhere, settings_options

_SHOWN_SHARE = 0.01
"""Of the held-out words: a script with fewer has its figures in the manifest only."""


@click.command("vocab", epilog="Example: bertctl vocab corpus/ --output vocab/")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@settings_options(VocabSettings, CorpusSettings, VocabHow)
@common_options_elsewhere
def command(inputs: tuple[str, ...], output: Output, force: bool, **values: Any) -> None:
    """Learn a WordPiece vocabulary from raw text.

    INPUT is any number of files, directories or globs.
    """
    console = Console.of(values)
    request = VocabRequest(
        inputs=inputs,
        vocab=collect(VocabSettings, values),
        corpus=collect(CorpusSettings, values),
        how=collect(VocabHow, values),
    )
    done = vocab(request, output, reporter=console, force=force)
    other = request.how.compare
    if other is None:
        console.completed(done, _rows)
        return
    compared = compare(done, Path(other))
    if compared is None:
        console.warn("So few documents that none was held out: there is nothing to compare on.")
    rows = partial(_rows, compared=compared, name=Path(other).resolve().name)
    console.completed(done, rows, compared=compared)


def _rows(
    done: Completion, compared: Mapping[str, Any] | None = None, name: str = ""
) -> list[tuple[str, str]]:
    figures = done.manifest.statistics
    rows = [
        ("tokens in the vocabulary", f"{figures['vocab_size']:,}"),
        ("documents", f"{figures['documents']:,}"),
        ("words", f"{figures['words']:,}"),
        ("different words", f"{figures['distinct_words']:,}"),
    ]
    if held_out := figures["held_out"]:
        rows.append(("held-out words", f"{held_out['words']:,}"))
        rows += _held_out_rows(held_out, compared, name)
    return rows


def _held_out_rows(
    held_out: Mapping[str, Any], compared: Mapping[str, Any] | None, name: str
) -> list[tuple[str, str]]:
    """Return figures of all held-out words and, where they are in several scripts, of each."""
    rows: list[tuple[str, str]] = []

    def add(title: str, ours: Mapping[str, Any], theirs: Mapping[str, Any] | None) -> None:
        for label, key, style in (
            (f"pieces per word{title}", "fertility", ".3f"),
            (f"unknown words{title}", "unknown_rate", ".3%"),
            (f"characters covered{title}", "coverage", ".3%"),
        ):
            beside = f"  ({name}: {theirs[key]:{style}})" if theirs else ""
            rows.append((f"  {label}", f"{ours[key]:{style}}{beside}"))

    add("", held_out, compared)
    scripts = {
        script: figures
        for script, figures in held_out["scripts"].items()
        if script != "Common" and figures["words"] >= _SHOWN_SHARE * held_out["words"]
    }
    if len(scripts) > 1:
        for script, figures in scripts.items():
            add(f", {script}", figures, compared and compared["scripts"][script])
    return rows
