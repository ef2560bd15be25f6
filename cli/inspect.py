"""`bertctl inspect`: finds out what was named, and shows some of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..pipeline.corpus.settings import CorpusSettings, SentenceSettings
from ..pipeline.errors import BadInput
from ..pipeline.inspect.settings import InspectHow
from ..pipeline.inspect.subject import Subject, subject_of
from ..pipeline.stage.settings import check_settings, settings_of
from ..pipeline.training.model_layout import model_directory
from .console import Console
from .options import collect, looking_options, settings_options

if TYPE_CHECKING:
    from rich.text import Text

_OWN_SETTINGS: dict[str, Subject] = {"row": "shard", "document": "shard", "text": "vocab"}
_NAMES: dict[Subject, str] = {
    "shard": "shards",
    "vocab": "a vocabulary",
    "corpus": "a corpus",
    "model": "a model",
}


@click.command(
    "inspect",
    epilog="Example: bertctl inspect shards/ --number 5\n\n"
    "Example: bertctl inspect corpus/ --language zh",
)
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@settings_options(InspectHow, CorpusSettings, SentenceSettings)
@looking_options
def command(inputs: tuple[str, ...], **values: Any) -> None:
    """Show what is in a corpus, a vocabulary, shards or a model.

    INPUT is raw text, named as for `bertctl shard`: its documents and sentences are shown as they
    will be seen, and what looks wrong is told, in seconds for any size. Or it is a directory of
    shards or one of its files: some instances are shown. Or it is a vocabulary. Or it is a model, a
    run or a checkpoint: shape, parameters and norms by part, and what is known of its training.
    """
    console = Console.of(values)
    how = collect(InspectHow, values)
    corpus, sentences = collect(CorpusSettings, values), collect(SentenceSettings, values)
    check_settings(how, corpus, sentences)
    subject = subject_of(inputs)
    if subject == "model" and how.text is not None:
        subject = "vocab"  # a model has its vocabulary beside it
    _refuse_idle_settings(subject, how, corpus, sentences)
    shows: Mapping[Subject, Callable[[], None]] = {
        "shard": lambda: _show_instances(Path(inputs[0]), how, console),
        "vocab": lambda: _show_vocabulary(Path(inputs[0]), how, console),
        "corpus": lambda: _show_corpus(inputs, corpus, sentences, how, console),
        "model": lambda: _show_model(Path(inputs[0]), console),
    }
    shows[subject]()


def _refuse_idle_settings(subject: Subject, *groups: Any) -> None:
    """Raise `BadInput` for a setting that says nothing about what is shown."""
    for group in groups:
        for each in settings_of(type(group)):
            about = _OWN_SETTINGS.get(each.name, "corpus")
            general = isinstance(group, InspectHow) and each.name not in _OWN_SETTINGS
            if getattr(group, each.name) != each.default and about != subject and not general:
                raise BadInput(
                    f"{each.flag} is about {_NAMES[about]}; what is named is {_NAMES[subject]}.",
                    hint="Leave it out.",
                )


def _show_instances(path: Path, how: InspectHow, console: Console) -> None:
    # Arrow and rich take their time to import: help and usage errors don't need them.
    from ..pipeline.inspect.instances import read_instances
    from .showing import LEGEND, instance_lines

    instances = list(read_instances(path, how))
    if console.as_json:
        found = {"instances": [each.as_json() for each in instances]}
        _print_json({"subject": "shard", "input": str(path), **found})
        return
    for instance in instances:
        _print(console, *instance_lines(instance))
    _print(console, LEGEND)


def _show_vocabulary(path: Path, how: InspectHow, console: Console) -> None:
    from ..pipeline.inspect.vocabulary import look_at_vocabulary
    from .showing import vocabulary_rows

    look = look_at_vocabulary(model_directory(path), how.text)
    if console.as_json:
        _print_json({"subject": "vocab", "input": str(path), **look.as_json()})
        return
    console.table(str(path), vocabulary_rows(look))


def _show_model(path: Path, console: Console) -> None:
    from ..pipeline.inspect.model import look_at_model
    from .showing import PARTS_HEADING, model_rows, part_rows

    look = look_at_model(path)
    if console.as_json:
        _print_json({"subject": "model", "input": str(path), **look.as_json()})
        return
    console.table(str(path), model_rows(look))
    console.terminal().print()
    console.table("", part_rows(look), heading=PARTS_HEADING)


def _show_corpus(
    inputs: tuple[str, ...],
    corpus: CorpusSettings,
    sentences: SentenceSettings,
    how: InspectHow,
    console: Console,
) -> None:
    from ..pipeline.inspect.corpus import look_at_corpus
    from .showing import NUMBER_COLUMNS, corpus_rows, document_lines

    look = look_at_corpus(inputs, corpus, sentences, how, reporter=console)
    if console.as_json:
        _print_json({"subject": "corpus", "inputs": list(inputs), **look.as_json()})
        return
    for document in look.shown:
        _print(console, *document_lines(document), indent=NUMBER_COLUMNS)
    console.table(" ".join(inputs), corpus_rows(look))
    for sign in look.signs:
        console.warn(f"{sign.seen}\n  {sign.advice}")


def _print(console: Console, *lines: Text, indent: int = 0) -> None:
    """Print lines and a blank one; in a pipe each stays one line, however long."""
    from .folding import folded

    terminal = console.terminal()
    for line in lines:
        shown = folded(line, terminal.width, indent=indent) if terminal.is_terminal else line
        terminal.print(shown, soft_wrap=True)
    terminal.print()


def _print_json(value: Mapping[str, Any]) -> None:
    click.echo(json.dumps(value, ensure_ascii=False))
