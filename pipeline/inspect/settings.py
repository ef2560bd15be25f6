"""The settings of `bertctl inspect`, each written once; none of them writes anything."""

from __future__ import annotations

from dataclasses import dataclass

from ..stage.settings import setting


@dataclass(frozen=True)
class InspectHow:
    """*How*: which part is shown."""

    number: int = setting(3, "Instances, or documents, to show.", minimum=0)
    seed: int = setting(0, "Another number shows others.", minimum=0)
    row: tuple[int, ...] = setting(
        (), "Shards: show this row, counted from 0, over all shards of a directory.", minimum=0
    )
    document: str | None = setting(
        None,
        "Shards: show instances made from this document: 16 hexadecimal digits, as errors and "
        "this command name it, or a decimal number, as other readers of the columns do.",
    )
    text: str | None = setting(None, "Vocabulary: cut this text into its pieces.")
