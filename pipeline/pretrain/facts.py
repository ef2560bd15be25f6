"""What training needs to know of shards, read from their manifest and checked; nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import BadInput
from ..stage.earlier import EarlierStage
from ..stage.manifest import MANIFEST

_SETTINGS = ("max_seq_length", "dupe_factor", "next_sentence", "masked_lm_prob", "whole_word_mask")
_KINDS = {"rows": dict, "next_sentence": str, "masked_lm_prob": float, "whole_word_mask": bool}


@dataclass(frozen=True)
class ShardFacts:
    """The numbers in a manifest that fix how its shards are read."""

    vocab_size: int
    pad_token_id: int
    max_seq_length: int
    """Tokens of the longest instance there may be."""
    dupe_factor: int
    """Copies of the corpus, each the same number of training shards."""
    next_sentence: str
    masked_lm_prob: float
    whole_word_mask: bool
    rows: Mapping[str, int]
    """Instances in each shard, by the file's name."""

    @classmethod
    def of(cls, shards: EarlierStage) -> ShardFacts:
        """Take them from the manifest.

        Raises:
            BadInput: it lacks one, or one is no such number.
        """
        what, statistics = shards.manifest.recipe.what, shards.manifest.statistics
        found: dict[str, Any] = {
            **{name: statistics.get(name) for name in ("vocab_size", "pad_token_id", "rows")},
            **{name: what.get(name) for name in _SETTINGS},
        }
        rows = found["rows"]
        files = [name for name in shards.manifest.files if name.endswith(".arrow")]
        wrong = [name for name, each in found.items() if type(each) is not _KINDS.get(name, int)]
        if not wrong:
            wrong = [f"rows of {name}" for name in files if type(rows.get(name)) is not int]
        if wrong:
            raise BadInput(
                f"{shards.directory / MANIFEST} is damaged: it doesn't say {wrong[0]}.",
                hint="Copy it again, or make the shards again with --force.",
            )
        found["rows"] = {name: rows[name] for name in files}
        return cls(**found)

    def names(self, split: str) -> list[str]:
        """Return the names of one split's shards, in their order."""
        return sorted(name for name in self.rows if name.startswith(f"{split}-"))

    def copy_sizes(self) -> list[int]:
        """Return how many training instances each copy of the corpus has."""
        counts = [self.rows[name] for name in self.names("train")]
        per_copy = len(counts) // self.dupe_factor
        return [
            sum(counts[copy * per_copy : (copy + 1) * per_copy]) for copy in range(self.dupe_factor)
        ]
