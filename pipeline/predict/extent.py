"""How much of a source has been read, and how much of that is answered: what progress shows."""

from __future__ import annotations

from dataclasses import dataclass

from ..stage.report import Progress


@dataclass
class Extent:
    """What a source is measured in, how much there is, and how far its reader is.

    A file is measured in its bytes as they are stored, which are known before it is read. Of other
    sources rows are counted, and `total` is None where nobody can know it.
    """

    unit: str = "rows"
    total: int | None = None
    read: int = 0
    """Of bytes: how far the reader is, which reads ahead"""


class WindowProgress:
    """Tells of a window's rows, in shares of it, as they are answered."""

    def __init__(self, progress: Progress, extent: Extent, *, since: int, before: int, rows: int):
        self._progress = progress
        self._is_bytes = extent.unit == "B"
        self._size = extent.read - since if self._is_bytes else rows
        self._before, self._rows = before, rows
        self._share = 0.0

    def advance(self, share: float) -> None:
        """Count another `share` of the window, from 0 to 1, as answered."""
        self._share += share
        figures: dict[str, float | str] = {}
        if self._is_bytes:
            figures["rows_done"] = self._before + round(self._share * self._rows)
        self._progress.advance(self._size * share, **figures)

    def finish(self) -> None:
        """Count what is left: rows of which nothing was asked."""
        if self._share < 1:
            self.advance(1 - self._share)


@dataclass(frozen=True)
class ItemProgress:
    """Counts of what a window's rows became, as shares of the window."""

    window: WindowProgress
    num_items: int

    def advance(self, amount: float, **figures: float | str) -> None:
        """Count `amount` more items as answered."""
        self.window.advance(amount / self.num_items)
