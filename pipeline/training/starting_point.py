"""Where training starts: somebody's model, or random weights of a size, and the vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...model.config import SIZES, BertConfig
from ..errors import BadInput
from ..stage.earlier import open_earlier
from ..stage.files import FileRecord, fingerprint_of, read_json
from ..stage.manifest import MANIFEST, RECIPE, Manifest
from ..stage.ownership import recipe_at
from ..vocab.opening import open_vocabulary
from ..wordpiece.files import load_vocabulary
from ..wordpiece.vocabulary import Normalization, Vocabulary
from .checkpoint_record import STATE, CheckpointRecord
from .model_layout import (
    CHECKPOINT,
    CONFIG,
    MODEL,
    MODEL_FILES,
    TOKENIZER_FILES,
    WEIGHTS,
    model_directory,
    weights_name,
)

RANDOM = "random:"
_MAKERS = ("pretrain", "finetune", "export")
"""Stages whose output is a model"""


@dataclass(frozen=True)
class StartingPoint:
    """A model that can be started from, checked as far as that goes without reading weights."""

    directory: Path | None
    """Where its files stand; None for random weights."""
    config: BertConfig
    content: Mapping[str, Any]
    """All that its config.json says, labels included; nothing for random weights."""
    files: Mapping[str, FileRecord]
    """Its configuration and weights, as they are or as their maker recorded them."""
    vocabulary: Vocabulary
    normalization: Normalization

    @property
    def fingerprint(self) -> str:
        """The identity of shape and weights, wherever the files stand."""
        if self.directory is None:
            return fingerprint_of(["random", self.config.to_dict()])
        return fingerprint_of({name: each.sha256 for name, each in self.files.items()})

    @property
    def label_names(self) -> tuple[str, ...]:
        """The labels it was fitted to before, in the order of its scores; none if it wasn't."""
        names = self.content.get("id2label") or {}
        try:
            return tuple(names[str(id)] for id in range(len(names)))
        except (KeyError, TypeError):
            return ()

    def dropping(self, prob: float | None) -> StartingPoint:
        """Return the same start with other dropout; None keeps the model's own."""
        if prob is None:
            return self
        config = replace(
            self.config,
            hidden_dropout_prob=prob,
            attention_probs_dropout_prob=prob,
            classifier_dropout=None,
        )
        return replace(self, config=config)

    def verify(self) -> None:
        """Raise `BadInput` where a file isn't what its maker recorded."""
        if self.directory is not None:
            _refuse_damaged(self.directory, self.files)


def open_starting_point(
    model: str, vocab: Path | None, *, max_seq_length: int, pairs: bool
) -> StartingPoint:
    """Find what `--model` names: `random:SIZE`, a run, a checkpoint or any BERT directory.

    Raises:
        BadInput: it isn't there or isn't finished, can't be computed, or doesn't fit `vocab` or
            the sequences: up to `max_seq_length` tokens, of two segments if `pairs`.
    """
    is_random = model.startswith(RANDOM)
    start = _random(model, vocab) if is_random else open_stored(Path(model), vocab, flag="--model")
    config = start.config
    if max_seq_length > config.max_position_embeddings:
        raise BadInput(
            f"--max-seq-length is {max_seq_length}; the model {model} reads at most "
            f"{config.max_position_embeddings} tokens.",
            hint=f"Give --max-seq-length {config.max_position_embeddings} or less.",
        )
    if pairs and config.type_vocab_size < 2:
        raise BadInput(
            f"The model {model} can't tell two texts apart: its type_vocab_size is 1.",
            hint="Leave out --text-pair-column, or start from another model.",
        )
    return start


def _random(model: str, vocab: Path | None) -> StartingPoint:
    size = model.removeprefix(RANDOM)
    if size not in SIZES:
        raise BadInput(
            f"--model is {model!r}; expected {RANDOM} and one of {', '.join(SIZES)}.",
            hint=f"For example {RANDOM}tiny.",
        )
    if vocab is None:
        raise BadInput(
            f"--model {model} has no vocabulary of its own.",
            hint="Name one with --vocab: made by `bertctl vocab`, or any BERT directory.",
        )
    vocabulary, normalization = open_vocabulary(vocab)
    config = replace(SIZES[size], vocab_size=len(vocabulary), pad_token_id=vocabulary.pad_id)
    return StartingPoint(None, config, {}, {}, vocabulary, normalization)


def open_stored(path: Path, vocab: Path | None, *, flag: str) -> StartingPoint:
    """Find a model at rest that `flag` names: a run, a checkpoint or any BERT directory.

    `vocab` is the vocabulary of a model that has none beside it.

    Raises:
        BadInput: it isn't there or isn't finished, can't be computed, or lacks tokens of its
            vocabulary.
    """
    if not path.is_dir():
        raise BadInput(
            f"{flag} {path}: there is no such directory.",
            hint="Name a finished pretrain run, one of its checkpoints, or a BERT directory.",
        )
    directory = model_directory(path)
    recorded = _recorded(path)
    weights = weights_name(directory)
    for name in (CONFIG, weights):
        if not (directory / name).is_file():
            raise BadInput(
                f"{directory} has no {name}; expected a model in Hugging Face's layout.",
                hint="Name a finished pretrain run, one of its checkpoints, or a BERT directory.",
            )
    # The small files are about to be read; the weights are checked when there is work to do.
    small = {name: each for name, each in recorded.items() if name != WEIGHTS}
    _refuse_damaged(directory, small)
    content = read_json(directory / CONFIG)
    if content is None:
        raise BadInput(f"{directory / CONFIG} isn't a JSON object.", hint="Fetch the file again.")
    try:
        config = BertConfig.from_dict(content)
    except (ValueError, TypeError) as error:
        raise BadInput(f"{directory / CONFIG}: {error}.") from error
    vocabulary, normalization = _vocabulary(directory, vocab)
    if len(vocabulary) > config.vocab_size:
        raise BadInput(
            f"The vocabulary has {len(vocabulary):,} tokens, the model {path} knows "
            f"{config.vocab_size:,}.",
            hint="A model goes with the vocabulary it was trained with.",
        )
    return StartingPoint(
        directory=directory,
        config=config,
        content=content,
        files={
            name: recorded.get(name) or FileRecord.of(directory / name)
            for name in (CONFIG, weights)
        },
        vocabulary=vocabulary,
        normalization=normalization,
    )


def _recorded(path: Path) -> dict[str, FileRecord]:
    """Return what a run's manifest or a checkpoint says of its model; nothing for a bare model.

    Raises:
        BadInput: the run isn't finished, it is another stage's, or it says something else.
    """
    within = f"{MODEL}/"
    if (path / RECIPE).exists():
        manifest = Manifest.read(path)
        if manifest is None:
            raise _unfinished(path)
        stage = manifest.recipe.stage
        if stage not in _MAKERS:
            raise BadInput(
                f"{path} was made by `bertctl {stage}`: it holds no model.",
                hint="Name a finished run of `bertctl pretrain` or `bertctl finetune`, one of a "
                "pretraining's checkpoints, an export, or a BERT directory.",
            )
        earlier = open_earlier(path, stage)
        files, where = earlier.manifest.files, MANIFEST
        within = "" if stage == "export" else within
    elif (path / STATE).exists():
        record = CheckpointRecord.read(path)
        files, where = record.files if record else {}, STATE
    else:
        return {}
    recorded = {name: files[key] for name in MODEL_FILES if (key := within + name) in files}
    if not {CONFIG, WEIGHTS} <= recorded.keys():
        raise BadInput(
            f"{path / where} is damaged: it doesn't name the model's files.",
            hint="Copy the directory again, or name another checkpoint or the model itself.",
        )
    return recorded


def _unfinished(path: Path) -> BadInput:
    recipe = recipe_at(path)
    stage = "" if recipe is None else recipe.stage
    if stage not in _MAKERS:
        return BadInput(
            f"{path} isn't finished: it has no manifest yet. Expected a directory made by `bertctl "
            "pretrain` or `bertctl finetune`."
        )
    hint = f"Run that `bertctl {stage}` again: it goes on."
    if stage == "pretrain":
        newest = max(path.glob(CHECKPOINT), default=path / "checkpoints" / "step-…")
        hint += f" A run under way has checkpoints, which can be named: {newest}"
    return BadInput(
        f"{path} isn't finished: `bertctl {stage}` began it, and it has no manifest yet.", hint=hint
    )


def _refuse_damaged(directory: Path, files: Mapping[str, FileRecord]) -> None:
    for name, expected in files.items():
        if not (directory / name).is_file() or FileRecord.of(directory / name) != expected:
            raise BadInput(
                f"{directory / name} is damaged: its checksum isn't the one recorded when it was "
                "written.",
                hint="Copy it again, or make it again with --force.",
            )


def _vocabulary(directory: Path, vocab: Path | None) -> tuple[Vocabulary, Normalization]:
    """Read the model's own vocabulary, or `vocab` where it has none."""
    if vocab is None:
        return load_vocabulary(directory)
    given = open_vocabulary(vocab)
    if any((directory / name).exists() for name in TOKENIZER_FILES):
        own = load_vocabulary(directory)
        if own[0].fingerprint(own[1]) != given[0].fingerprint(given[1]):
            raise BadInput(
                f"{vocab} isn't the vocabulary that {directory} was trained with.",
                hint="Leave --vocab out: the model has its own.",
            )
    return given
