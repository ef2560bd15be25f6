"""`bertctl shard`: a corpus and a vocabulary turned into Arrow shards of masked sentence pairs."""

from __future__ import annotations

import gc
from functools import partial
from pathlib import Path

from ..corpus.digesting import contents_reader
from ..corpus.listing import list_inputs
from ..corpus.settings import MENDABLE, check_corpus_settings
from ..elsewhere.output import Output, complete_at
from ..errors import BadInput
from ..stage.engine import Completion, Finished, Site, look
from ..stage.labour import labour_of
from ..stage.recipe import Recipe, resolved
from ..stage.report import Reporter
from ..stage.settings import check_settings
from ..vocab.opening import open_vocabulary
from ..wordpiece.files import TOKENIZER_FILES
from ..wordpiece.vocabulary import Normalization, Vocabulary
from .request import STAGE, ShardRequest
from .settings import (
    FORMAT_VERSION,
    check_instance_settings,
    needs_chinese_words,
)

_NEW_OBJECTS_BETWEEN_COLLECTIONS = 100_000

_NUMBER = "[0-9]" * 5
_OWNS = (
    tuple(f"{split}-{_NUMBER}-of-{_NUMBER}.arrow" for split in ("train", "validation"))
    + TOKENIZER_FILES
)


def shard(
    request: ShardRequest, output: Output, *, reporter: Reporter, force: bool = False
) -> Completion:
    """Bring `output` to the shards that `request` describes, doing only what is missing.

    Raises:
        BadInput: a setting or an input can't be used.
        OutputRefused: `output` isn't ours, is in use or was made by another recipe.
    """
    check_shard_settings(request)
    vocabulary, normalization = _open_vocabulary(request)
    recipe = _recipe_of(request, vocabulary.fingerprint(normalization))
    labour = labour_of(request.how)
    if isinstance(output, Path):
        _check_scratch(request.how.scratch, output)
    work = partial(_work, request=request, vocabulary=vocabulary, normalization=normalization)
    contents = contents_reader(recipe, request.corpus)
    return complete_at(
        recipe,
        output,
        work,
        scratch=request.how.scratch,
        reporter=reporter,
        read_contents=contents,
        reads=[request.vocab],
        labour=labour,
        force=force,
        makes_room=True,
    )


def look_at(request: ShardRequest, output: Path, *, force: bool = False) -> Completion | None:
    """Return the output if it is complete; None where there is work to do, which can begin.

    Raises:
        BadInput, OutputRefused: as `shard`.
    """
    check_shard_settings(request)
    vocabulary, normalization = _open_vocabulary(request)
    recipe = _recipe_of(request, vocabulary.fingerprint(normalization))
    contents = contents_reader(recipe, request.corpus)
    _check_scratch(request.how.scratch, output)
    return look(recipe, output, read_contents=contents, reads=[request.vocab], force=force)


def check_shard_settings(request: ShardRequest) -> None:
    """Raise `BadInput` for a setting that can't be used, whatever the vocabulary."""
    check_settings(request.corpus, request.sentences, request.instances, request.how)
    check_corpus_settings(request.corpus, request.sentences)
    check_instance_settings(request.instances, request.sentences)


def _open_vocabulary(request: ShardRequest) -> tuple[Vocabulary, Normalization]:
    vocabulary, normalization = open_vocabulary(request.vocab)
    if needs_chinese_words(request.instances, request.sentences):
        _check_characters_are_tokens(request.vocab, normalization)
    return vocabulary, normalization


def _recipe_of(request: ShardRequest, vocabulary: str) -> Recipe:
    """Return what decides the shards; `vocabulary` is the fingerprint of theirs."""
    return Recipe(
        stage=STAGE,
        format_version=FORMAT_VERSION,
        what=resolved(request.corpus, request.sentences, request.instances),
        inputs=list_inputs(request.inputs, on_bad_input=request.corpus.on_bad_input),
        earlier={"vocab": vocabulary},
        owns=_OWNS,
        mendable=MENDABLE,
    )


def _check_scratch(scratch: str | None, output: Path) -> None:
    if scratch is not None and output.resolve() in (
        Path(scratch).resolve(),
        *Path(scratch).resolve().parents,
    ):
        raise BadInput(
            f"--scratch {scratch} is --output {output}, or in it; expected a place of its own.",
            hint="What is in --output when it is finished is the result and nothing else.",
        )


def _check_characters_are_tokens(vocab: Path, normalization: Normalization) -> None:
    if not normalization.tokenize_chinese_chars:
        raise BadInput(
            f"--whole-word-mask with --language zh needs each Chinese character to be a token; "
            f"{vocab} says otherwise (tokenize_chinese_chars).",
            hint="Leave out --whole-word-mask, or use a vocabulary made by `bertctl vocab`.",
        )


def _work(
    site: Site, request: ShardRequest, vocabulary: Vocabulary, normalization: Normalization
) -> Finished:
    # Documents and sentences come by the million and in no cycles: looking for some among them, as
    # often as Python does by itself, is a twentieth of the whole time.
    gc.set_threshold(_NEW_OBJECTS_BETWEEN_COLLECTIONS)
    # Arrow and the tokenizer take their time to import: an up-to-date answer doesn't need them.
    from .run import run

    return run(site, request, vocabulary, normalization)
