"""`bertctl vocab`: flags read, result shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..pipeline.corpus.settings import CorpusSettings
from ..pipeline.stage.engine import Completion
from ..pipeline.vocab.settings import VocabHow, VocabSettings
from ..pipeline.vocab.stage import VocabRequest, vocab
from .console import Console
from .options import collect, common_options, settings_options


@click.command("vocab", epilog="Example: bertctl vocab corpus/ --output vocab/")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@settings_options(VocabSettings, CorpusSettings, VocabHow)
@common_options
def command(inputs: tuple[str, ...], output: Path, force: bool, **values: Any) -> None:
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
    console.completed(vocab(request, output, reporter=console, force=force), _rows)


def _rows(done: Completion) -> list[tuple[str, str]]:
    figures = done.manifest.statistics
    rows = [
        ("tokens in the vocabulary", f"{figures['vocab_size']:,}"),
        ("documents", f"{figures['documents']:,}"),
        ("words", f"{figures['words']:,}"),
        ("different words", f"{figures['distinct_words']:,}"),
    ]
    if held_out := figures["held_out"]:
        rows += [
            ("held-out words", f"{held_out['words']:,}"),
            ("  pieces per word", f"{held_out['fertility']:.3f}"),
            ("  unknown words", f"{held_out['unknown_rate']:.3%}"),
            ("  characters covered", f"{held_out['coverage']:.3%}"),
        ]
    return rows
