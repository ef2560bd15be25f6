"""`bertctl vocab`: a corpus turned into a WordPiece vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ..corpus.listing import list_inputs
from ..corpus.settings import CorpusSettings
from ..stage.engine import Completion, Finished, Site, complete
from ..stage.recipe import ListedInput, Recipe, resolved
from ..stage.report import Reporter
from ..stage.settings import check_settings
from ..wordpiece.files import TOKENIZER_FILES
from .settings import VocabHow, VocabSettings

STAGE = "vocab"
FORMAT_VERSION = 1
_OWNS = TOKENIZER_FILES


@dataclass(frozen=True)
class VocabRequest:
    """Everything `bertctl vocab` was asked for."""

    inputs: tuple[str, ...]
    vocab: VocabSettings = field(default_factory=VocabSettings)
    corpus: CorpusSettings = field(default_factory=CorpusSettings)
    how: VocabHow = field(default_factory=VocabHow)


def vocab(
    request: VocabRequest, output: Path, *, reporter: Reporter, force: bool = False
) -> Completion:
    """Bring `output` to the vocabulary that `request` describes, doing only what is missing.

    Raises:
        BadInput: a setting or an input can't be used.
        OutputRefused: `output` isn't ours, is in use or was made by another recipe.
    """
    check_settings(request.vocab, request.corpus, request.how)
    recipe = Recipe(
        stage=STAGE,
        format_version=FORMAT_VERSION,
        what=resolved(request.vocab, request.corpus),
        inputs=list_inputs(request.inputs, on_bad_input=request.corpus.on_bad_input),
        owns=_OWNS,
    )
    return complete(
        recipe,
        output,
        partial(_work, request=request),
        reporter=reporter,
        read_contents=partial(_read_contents, corpus=request.corpus, listed=recipe.inputs),
        force=force,
    )


def _read_contents(
    files: Sequence[ListedInput], corpus: CorpusSettings, listed: Sequence[ListedInput]
) -> dict[str, str]:
    from ..corpus.piecewise import read_contents

    # Which documents are the first N is a question to all files together.
    return read_contents(files if corpus.max_documents is None else listed, corpus)


def _work(site: Site, request: VocabRequest) -> Finished:
    from .run import run

    return run(site, request)
