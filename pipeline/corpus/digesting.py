"""How a finished output tells a moved or touched corpus from a changed one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..stage.engine import ContentReader
from ..stage.recipe import ListedInput, Recipe
from .settings import CorpusSettings


def contents_reader(recipe: Recipe, corpus: CorpusSettings) -> ContentReader:
    """Return what digests the changed among the recipe's inputs again."""

    def read(changed: Sequence[ListedInput]) -> Mapping[str, str]:
        # The readers are imported where there is something to read, not to find all in place.
        from .piecewise import read_contents

        return read_contents(changed, corpus=corpus, listed=recipe.inputs)

    return read
