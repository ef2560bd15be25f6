"""`bertctl shard`: flags read, result shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..pipeline.corpus.settings import CorpusSettings, SentenceSettings
from ..pipeline.elsewhere.output import Output
from ..pipeline.shard.request import ShardRequest
from ..pipeline.shard.settings import InstanceSettings, ShardHow
from ..pipeline.shard.stage import shard
from ..pipeline.stage.engine import Completion
from .console import Console
from .options import Here, collect, common_options_elsewhere, settings_options


@click.command(
    "shard",
    epilog="Example: bertctl shard corpus/ --vocab vocab/ --output shards/",
)
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option(
    "--vocab",
    type=Here(),
    required=True,
    metavar="DIR",
    help="Vocabulary: made by `bertctl vocab`, any Hugging Face BERT directory, or a vocab.txt.",
)
@settings_options(CorpusSettings, SentenceSettings, InstanceSettings, ShardHow)
@common_options_elsewhere
def command(
    inputs: tuple[str, ...], vocab: Path, output: Output, force: bool, **values: Any
) -> None:
    """Turn raw text into Arrow shards of masked sentence pairs.

    INPUT is any number of files, directories or globs.
    """
    console = Console.of(values)
    request = ShardRequest(
        inputs=inputs,
        vocab=vocab,
        corpus=collect(CorpusSettings, values),
        sentences=collect(SentenceSettings, values),
        instances=collect(InstanceSettings, values),
        how=collect(ShardHow, values),
    )
    console.completed(shard(request, output, reporter=console, force=force), _rows)


def _rows(done: Completion) -> list[tuple[str, str]]:
    figures = done.manifest.statistics
    train = figures["train"]
    size = sum(record.size for record in done.manifest.files.values())
    tokens = max(figures["tokens"], 1)
    return [
        ("documents", f"{figures['documents']:,}"),
        ("  held out", f"{figures['validation_documents']:,}"),
        ("  of one sentence", f"{figures['one_sentence_documents'] / figures['documents']:.1%}"),
        ("sentences", f"{figures['sentences']:,}"),
        ("words", f"{figures['words']:,}"),
        ("  left to tokenizers", f"{figures['library_words'] / max(figures['words'], 1):.2%}"),
        ("tokens", f"{figures['tokens']:,}"),
        ("  unknown", f"{figures['unknown'] / tokens:.3%}"),
        ("instances", f"{train['instances']:,}"),
        ("  mean length", f"{train['tokens'] / max(train['instances'], 1):.1f} tokens"),
        ("  padding saved", _padding(train, done.manifest.recipe.what["max_seq_length"])),
        ("  masked", f"{train['predictions'] / max(train['tokens'], 1):.1%} of tokens"),
        *_word_rows(train),
        *_pair_rows(train, done.manifest.recipe.what["next_sentence"]),
        ("written", f"{len(done.manifest.files):,} files, {size / 1e6:,.1f} MB"),
    ]


def _padding(train: dict[str, int], max_seq_length: int) -> str:
    """Tell what a loader that pads every instance to the greatest length would add."""
    padded = max(train["instances"] * max_seq_length, 1)
    return f"{1 - train['tokens'] / padded:.1%}"


def _word_rows(train: dict[str, int]) -> list[tuple[str, str]]:
    """Show that whole words were masked, where that was asked for."""
    if not train["words"]:
        return []
    share = train["predictions_in_long_words"] / train["predictions"]
    return [
        ("  masked words", f"{train['words']:,}"),
        ("    of several pieces", f"{share:.1%} of what is masked"),
    ]


def _pair_rows(train: dict[str, int], next_sentence: str) -> list[tuple[str, str]]:
    share = f"{train['not_next'] / max(train['instances'], 1):.1%}"
    return {"random": [("  B random", share)], "order": [("  A and B swapped", share)]}.get(
        next_sentence, []
    )
