"""`bertctl vocab`: a corpus turned into a WordPiece vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ..corpus.digesting import contents_reader
from ..corpus.listing import list_inputs
from ..corpus.settings import MENDABLE
from ..elsewhere.output import Output, complete_at
from ..errors import BadInput
from ..stage.engine import Completion, Finished, Site, look
from ..stage.labour import labour_of
from ..stage.manifest import Manifest
from ..stage.recipe import Recipe, resolved
from ..stage.report import Reporter
from ..stage.settings import check_settings
from ..wordpiece.files import TOKENIZER_FILES
from ..wordpiece.vocabulary import SPECIAL_TOKENS, check_special_tokens
from .opening import open_vocabulary
from .request import HELD_OUT_FILE, VocabRequest
from .settings import STAGE, VocabSettings

FORMAT_VERSION = 2
_OWNS = (*TOKENIZER_FILES, HELD_OUT_FILE)


def vocab(
    request: VocabRequest, output: Output, *, reporter: Reporter, force: bool = False
) -> Completion:
    """Bring `output` to the vocabulary that `request` describes, doing only what is missing.

    Raises:
        BadInput: a setting or an input can't be used.
        OutputRefused: `output` isn't ours, is in use or was made by another recipe.
    """
    recipe = recipe_of(request)
    labour = labour_of(request.how)
    work = partial(_work, request=request)
    contents = contents_reader(recipe, request.corpus)
    if isinstance(output, Path) and request.how.scratch is not None:
        reporter.warn("--scratch is of no use: --output is a directory of this machine already.")
    return complete_at(
        recipe,
        output,
        work,
        scratch=request.how.scratch,
        reporter=reporter,
        read_contents=contents,
        labour=labour,
        force=force,
        makes_room=True,
    )


def look_at(request: VocabRequest, output: Path, *, force: bool = False) -> Completion | None:
    """Return the output if it is complete; None where there is work to do, which can begin.

    Raises:
        BadInput, OutputRefused: as `vocab`.
    """
    recipe = recipe_of(request)
    contents = contents_reader(recipe, request.corpus)
    return look(recipe, output, read_contents=contents, force=force)


def recipe_of(request: VocabRequest) -> Recipe:
    """Return what decides the vocabulary.

    Raises:
        BadInput: a setting or an input can't be used.
    """
    check_settings(request.vocab, request.corpus, request.how)
    _check(request.vocab)
    if request.how.compare is not None:
        open_vocabulary(Path(request.how.compare))
    return Recipe(
        stage=STAGE,
        format_version=FORMAT_VERSION,
        what=resolved(request.vocab, request.corpus),
        inputs=list_inputs(request.inputs, on_bad_input=request.corpus.on_bad_input),
        owns=_OWNS,
        mendable=MENDABLE,
    )


def compare(done: Completion, other: Path) -> Mapping[str, Any] | None:
    """Return how another vocabulary does on the text that `done` held out; None if there is none.

    It is measured each time it is asked for, and is no part of the output.

    Raises:
        BadInput: there is no such vocabulary, or it can't be used.
    """
    if done.uri and Manifest.read(done.directory) != done.manifest:
        raise BadInput(
            f"--compare needs {HELD_OUT_FILE} of {done.uri}, whose copy isn't in {done.directory}.",
            hint="Give the --scratch that it was made in, or copy all of it there.",
        )
    from .measuring import measure
    from .tables import Table

    return measure(*open_vocabulary(other), Table(done.directory / HELD_OUT_FILE))


def _check(settings: VocabSettings) -> None:
    """Find before the text is read what no text could make good."""
    check_special_tokens(settings.special_token)
    named = len(SPECIAL_TOKENS) + len(settings.special_token) + settings.unused_tokens
    if named >= settings.vocab_size:
        raise BadInput(
            f"--vocab-size {settings.vocab_size:,} leaves no room for words: the special tokens "
            f"and --unused-tokens are {named:,} already.",
            hint="Give a larger --vocab-size, or fewer --unused-tokens.",
        )


def _work(site: Site, request: VocabRequest) -> Finished:
    from .run import run

    return run(site, request)
