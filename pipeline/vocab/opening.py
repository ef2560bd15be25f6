"""A vocabulary that somebody names, opened for use: ours only if it is finished and unharmed."""

from __future__ import annotations

from pathlib import Path

from ..errors import BadInput
from ..stage.earlier import open_earlier
from ..stage.files import FileRecord, read_json
from ..stage.manifest import RECIPE, Manifest
from ..stage.recipe import Recipe
from ..wordpiece.files import TOKENIZER_FILES, load_vocabulary
from ..wordpiece.vocabulary import Normalization, Vocabulary
from .settings import STAGE


def open_vocabulary(path: Path) -> tuple[Vocabulary, Normalization]:
    """Read what `--vocab` names: our own output, a BERT directory of anybody's, or a vocab.txt.

    Raises:
        BadInput: there is none, it can't be used, or it is ours and isn't finished or is damaged.
    """
    recipe = Recipe.from_json(read_json(path / RECIPE))
    if recipe is not None and recipe.stage == STAGE:
        open_earlier(path, STAGE)
    _check_files(path)
    vocabulary, normalization = load_vocabulary(path)
    if not len(vocabulary.replaceable_ids):
        raise BadInput(
            f"{path} has special tokens only: no word of any text is in it.",
            hint="Make one of your text: bertctl vocab.",
        )
    return vocabulary, normalization


def _check_files(directory: Path) -> None:
    """Refuse a tokenizer's file that isn't what a manifest of ours, of any stage, says it is."""
    manifest = Manifest.read(directory)
    recorded = {} if manifest is None else manifest.files
    for name in TOKENIZER_FILES:
        if (record := recorded.get(name)) is None:
            continue
        path = directory / name
        if not path.is_file() or FileRecord.of(path) != record:
            raise BadInput(
                f"{path} is damaged: it isn't the file that its manifest lists.",
                hint=f"Make {directory} again: the command that made it, with --force.",
            )
