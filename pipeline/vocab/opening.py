"""A vocabulary that somebody names, opened for use: ours only if it is finished and unharmed."""

from __future__ import annotations

from pathlib import Path

from ..errors import BadInput
from ..stage.earlier import open_earlier
from ..stage.files import FileRecord, read_json
from ..stage.manifest import RECIPE
from ..stage.recipe import Recipe
from ..wordpiece.files import load_vocabulary
from ..wordpiece.vocabulary import Normalization, Vocabulary
from .settings import STAGE


def open_vocabulary(path: Path) -> tuple[Vocabulary, Normalization]:
    """Read what `--vocab` names: our own output, a BERT directory of anybody's, or a vocab.txt.

    Raises:
        BadInput: there is none, it can't be used, or it is ours and isn't finished or is damaged.
    """
    recipe = Recipe.from_json(read_json(path / RECIPE))
    if recipe is not None and recipe.stage == STAGE:
        earlier = open_earlier(path, STAGE)
        for name, record in earlier.manifest.files.items():
            if FileRecord.of(path / name) != record:
                raise BadInput(
                    f"{path / name} is damaged: its checksum isn't its manifest's.",
                    hint="Make the vocabulary again: the command that made it, with --force.",
                )
    vocabulary, normalization = load_vocabulary(path)
    if not len(vocabulary.replaceable_ids):
        raise BadInput(
            f"{path} has special tokens only: no word of any text is in it.",
            hint="Make one of your text: bertctl vocab.",
        )
    return vocabulary, normalization
