"""The project file that `bertctl init` writes: whole, commented, and sized for the corpus."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..corpus.listing import list_inputs
from ..corpus.settings import language_code
from ..corpus.uris import is_uri
from ..shard.room import text_of
from ..training.starting_point import RANDOM

_UNKNOWN = "corpus/"
_WITHOUT_CASE = ("zh", "zho", "ja", "jpn", "ko", "kor")


@dataclass(frozen=True)
class _Size:
    """What suits so much text: a model that is too large for it only remembers."""

    megabytes: float
    """Of text, up to which this is it"""
    vocab_size: int
    model: str
    epochs: int
    batch_size: int
    learning_rate: str
    finetune_epochs: int
    finetune_learning_rate: str
    drops: bool
    """Whether dropout is kept: models that are small beside their text learn more without."""


_SIZES = (
    _Size(20, 8_000, "tiny", 10, 32, "1e-3", 10, "1e-3", drops=False),
    _Size(300, 16_000, "mini", 5, 16, "5e-4", 5, "3e-4", drops=False),
    _Size(3_000, 30_522, "small", 10, 128, "5e-4", 4, "1e-4", drops=True),
    _Size(float("inf"), 30_522, "base", 40, 256, "1e-4", 3, "2e-5", drops=True),
)


@dataclass(frozen=True)
class Sketch:
    """What `bertctl init` was told of a project."""

    inputs: tuple[str, ...]
    language: str
    files: Mapping[str, Path]
    """Of the task: train, validation, test"""
    task: str
    directory: Path = Path()
    """Where the file goes: paths in it are taken from there."""


def project_text(sketch: Sketch) -> str:
    """Return a whole project file.

    Raises:
        BadInput: the corpus isn't there, or the language can't be one.
    """
    language = language_code(sketch.language)
    size, told = _size_for(sketch.inputs)
    return "\n".join(
        [
            *_corpus([_from(sketch.directory, each) for each in sketch.inputs], language, told),
            *_vocab(size, language),
            *_shard(language),
            *_pretrain(size),
            *_finetune(sketch, size),
        ]
    )


def _size_for(inputs: Sequence[str]) -> tuple[_Size, str]:
    if not inputs:
        return _SIZES[1], ""
    text = text_of(list_inputs(inputs)).most / 1e6
    size = next(each for each in _SIZES if text <= each.megabytes)
    return size, f"  # {text:,.1f} MB of text at most"


def _corpus(inputs: Sequence[str], language: str, told: str) -> list[str]:
    return [
        "# A project of bertctl's: raw text to fine-tuned models, in one file.",
        "#   bertctl run --dry-run   what there is to do, and what it takes",
        "#   bertctl run             do it; what is done is left alone",
        "#   bertctl status work/    how everything stands",
        "# Every key is a flag of the stage without its dashes (docs/reference.md).",
        "",
        "[project]",
        'output = "work"  # each output below it: work/vocab, work/pretrain, …',
        "",
        "[corpus]",
        "# Files, directories and globs: .txt .jsonl .csv .tsv .parquet .arrow, packed or not.",
        f"input = {_texts(inputs or [_UNKNOWN])}{told}",
        f"language = {_text(language)}",
        '# documents = "line"    # what ends a document: "blank-line", "line" or "file"',
        '# text-field = "text"   # of records: which field holds the text',
        "# max-documents = 500   # for a ten-second try",
        "",
    ]


def _vocab(size: _Size, language: str) -> list[str]:
    base = language.split("-")[0]
    lines = ["[vocab]", f"vocab-size = {size.vocab_size}"]
    if base in _WITHOUT_CASE:
        pass
    elif base == "en":
        lines.append("# lowercase = false     # for names and abbreviations")
    else:
        lines += ["lowercase = true", "strip-accents = false  # an accent makes another letter"]
    return [*lines, ""]


def _shard(language: str) -> list[str]:
    lines = [
        "[shard]",
        "max-seq-length = 128    # tokens of an instance; a text to fine-tune on may be as long",
        "dupe-factor = 5         # copies of the corpus, each with masks and pairs of its own",
    ]
    if language.split("-")[0] in ("zh", "zho"):
        lines.append("# whole-word-mask = true   # whole Chinese words: pip install 'bertctl[zh]'")
    else:
        lines.append("# whole-word-mask = true   # all pieces of a word, or none")
    return [
        *lines,
        "# Several lengths are variants, and pretraining reads them in the order it names them:",
        "# [shard.128]",
        "# [shard.512]",
        "# max-seq-length = 512",
        "",
    ]


def _pretrain(size: _Size) -> list[str]:
    lines = [
        "[pretrain]",
        f"model = {_text(size.model)}{' ' * max(1, 17 - len(size.model))}"
        "# tiny, mini, small, medium, base, large",
        f"epochs = {size.epochs}{' ' * (16 - len(str(size.epochs)))}"
        "# copies of the corpus to read; more is better, and 1 enough for a try",
        f"batch-size = {size.batch_size}",
        f"learning-rate = {size.learning_rate}",
        "warmup-proportion = 0.05",
    ]
    if not size.drops:
        lines += ["hidden-dropout-prob = 0", "attention-probs-dropout-prob = 0"]
    return [
        *lines,
        '# shards = ["128", "512"]     # with variants: most of the steps short, the rest long',
        "# shares = [0.9, 0.1]",
        '# init = "path/to/a/bert/"    # go on from somebody\'s model, in place of model',
        '# time = "8h"                 # stop and keep after so long; run again to go on',
        "",
    ]


def _finetune(sketch: Sketch, size: _Size) -> list[str]:
    told = [
        "# Fine-tuning. Add a table for each task, and one from random weights beside it: the",
        "# difference is what pre-training gave.",
    ]
    if sketch.files:
        names = {
            name: _text(_from(sketch.directory, str(path))) for name, path in sketch.files.items()
        }
    else:
        names = {"train": '"train.csv"', "validation": '"dev.csv"', "test": '"test.csv"'}
    common = [
        "[finetune]",
        f"task = {_text(sketch.task)}",
        *(f"{name} = {path}" for name, path in names.items()),
        '# text-column = "text"   # guessed from the names, and said, if not given',
        '# label-column = "label"',
        f"epochs = {size.finetune_epochs}{' ' * (16 - len(str(size.finetune_epochs)))}"
        "# small models want many, and a high rate",
        f"learning-rate = {size.finetune_learning_rate}",
        "seeds = 3                # runs, each with a seed of its own: one alone may be luck",
    ]
    random = _text(RANDOM + size.model)
    variants = ["", "[finetune.pretrained]", "", "[finetune.random]", f"model = {random}", ""]
    lines = [*common, *variants]
    if not sketch.files:
        lines = [f"# {line}".rstrip() if line else "" for line in lines]
    return [*told, *lines]


def _from(directory: Path, path: str) -> str:
    """Return a path as one in a file of `directory` has to be written."""
    if is_uri(path) or Path(path).is_absolute():
        return path
    # Where a link leads: the file is read from there.
    return os.path.relpath(path, directory.resolve()) + ("/" if path.endswith("/") else "")


def _texts(values: Sequence[str]) -> str:
    return _text(values[0]) if len(values) == 1 else f"[{', '.join(map(_text, values))}]"


def _text(value: str) -> str:
    """Return a TOML text: JSON's escapes are among TOML's."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
