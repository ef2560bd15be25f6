"""What a person sees: progress on stderr, the result on stdout."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import resource
import shutil
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..pipeline.errors import Stopped
from ..pipeline.stage.engine import Completion
from ..pipeline.stage.report import Progress

if TYPE_CHECKING:
    from rich.console import Console as Terminal
    from rich.text import Text
    from tqdm import tqdm

_SECONDS_BETWEEN_LINES = 5.0
_WIDE_ENOUGH = 130
_NARROW = "{desc} {n_fmt}/{total_fmt} ETA {remaining}{postfix}"
"""Where a bar would leave no room for what is worth more: loss, rate, memory."""
_SPARE = 2
_MANY = 1_000_000
"""Of fewer pieces of work every one is counted: a step's number is what people look for."""


class Console:
    """The reporter of the command line: bars on a terminal, plain lines anywhere else."""

    def __init__(
        self, *, as_json: bool, plain: bool, quiet: bool = False, verbose: bool = False
    ) -> None:
        self.as_json = as_json
        self._bars = not plain and not quiet and sys.stderr.isatty()
        self._colour = None if not plain else False
        self._quiet = quiet
        self._verbose = verbose

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Console:
        """Build the console that a command's common options describe."""
        return cls(
            as_json=values["as_json"],
            plain=values["plain"],
            quiet=values["quiet"],
            verbose=values["verbose"],
        )

    def detail(self, text: str) -> None:
        """Say something to whoever wants to know everything."""
        if self._verbose:
            self._say(text)

    def notice(self, text: str) -> None:
        """Say something, unless told to be quiet."""
        if not self._quiet:
            self._say(text)

    def warn(self, text: str) -> None:
        """Say something even when told to be quiet."""
        self._say(click.style("Warning: ", fg="yellow") + text)

    @contextmanager
    def phase(
        self, name: str, *, total: float | None, unit: str, done: float = 0
    ) -> Generator[Progress]:
        """Show one piece of work from its beginning to its end."""
        if not self._bars:
            lines = _Lines(self, name, total, unit, done)
            yield lines
            lines.finish()
            return
        # Importing a progress bar takes longer than answering that all is up to date.
        from tqdm import tqdm

        tqdm.monitor_interval = 0
        with tqdm(
            desc=name,
            total=total,
            initial=done,
            unit=unit if unit == "B" else f" {unit}",
            unit_scale=unit == "B" or total is None or total >= _MANY,
            dynamic_ncols=True,
            leave=False,
            smoothing=0.1,
            bar_format=_NARROW if _columns() < _WIDE_ENOUGH else None,
            file=sys.stderr,
        ) as bar:
            yield _Bar(bar)

    def completed(
        self,
        done: Completion,
        rows: Callable[[Completion], Sequence[tuple[str, str]]],
        **asked_for: Any,
    ) -> None:
        """Print a stage's result: names and values for a person, or one JSON object.

        An output that was complete before gets a line in place of its `rows`, unless they hold what
        was `asked_for` beside the output; that is in the JSON object too.
        """
        if self.as_json:
            result = {
                "output": done.name,
                "up_to_date": done.was_up_to_date,
                "statistics": done.manifest.statistics,
                **asked_for,
            }
            click.echo(json.dumps(result, ensure_ascii=False))
        elif self._quiet:
            return
        elif done.was_up_to_date and not asked_for:
            click.echo(f"{done.name} is up to date.")
        else:
            self.table(done.name, rows(done))

    def stopped(self, stopped: Stopped) -> None:
        """Say that work ended before its end, as somebody asked."""
        if self.as_json:
            click.echo(json.dumps({"stopped": stopped.message}))
        self._say(f"{stopped.message} The same command continues.")

    def table(
        self, title: str, rows: Sequence[Sequence[str | Text]], *, heading: Sequence[str] = ()
    ) -> None:
        """Print rows of as many cells each: names to the left, what is said of them to the right.

        `heading` names the columns.
        """
        from rich.table import Table

        table = Table(
            title=title,
            title_justify="left",
            show_header=bool(heading),
            box=None,
            pad_edge=False,
        )
        columns = len(heading or rows[0])
        names = iter(heading or [""] * columns)
        table.add_column(next(names), no_wrap=True, overflow="fold")
        for name in names:
            table.add_column(name, justify="right", overflow="fold")
        for row in rows:
            table.add_row(*row)
        self.terminal().print(table)

    def terminal(self) -> Terminal:
        """Return what writes styled text to stdout, without the style where nobody sees it."""
        from rich.console import Console as Terminal

        return Terminal(
            no_color=self._colour is False or None, highlight=False, markup=False, emoji=False
        )

    def _say(self, text: str) -> None:
        if self._bars:
            from tqdm import tqdm

            tqdm.write(text, file=sys.stderr)
        else:
            click.echo(text, err=True, color=self._colour)


class _Bar:
    """Progress as a bar that moves."""

    def __init__(self, bar: tqdm[Any]) -> None:
        self._bar = bar
        self._begun = time.monotonic()

    def advance(self, amount: float, **figures: float | str) -> None:
        """Move the bar on."""
        shown = self._fitting(_figures(figures, time.monotonic() - self._begun))
        self._bar.set_postfix_str(", ".join(shown), refresh=False)
        self._bar.update(amount)

    def _fitting(self, figures: Sequence[str]) -> list[str]:
        """Return those of the figures that there is room for, the first ones first, each whole."""
        facts = dict[str, Any](self._bar.format_dict)
        columns = facts["ncols"] or _columns()
        bare: dict[str, Any] = {**facts, "ncols": None, "postfix": None}
        # Before the line is drawn, the time that is left may need a character more.
        room = columns - len(self._bar.format_meter(**bare)) - _SPARE
        shown: list[str] = []
        for each in figures:
            room -= len(each) + len(", ")
            if room < 0:
                break
            shown.append(each)
        return shown


class _Lines:
    """Progress as a line every few seconds, for a file or a pipe."""

    def __init__(
        self, console: Console, name: str, total: float | None, unit: str, done: float
    ) -> None:
        self._console, self._name, self._total, self._unit = console, name, total, unit
        self._done = self._begun_with = self._done_when_said = done
        self._begun = self._said = time.monotonic()
        self._figures: list[str] = []

    def advance(self, amount: float, **figures: float | str) -> None:
        """Count; say so if it is time."""
        self._done += amount
        self._figures = _figures(figures, time.monotonic() - self._begun)
        if time.monotonic() - self._said >= _SECONDS_BETWEEN_LINES:
            self._line(since=self._said, begun_with=self._done_when_said)

    def finish(self) -> None:
        """Say how it ended, unless that was the last thing said."""
        if self._done != self._done_when_said or self._said == self._begun:
            self._total = self._done
            self._line(since=self._begun, begun_with=self._begun_with)

    def _line(self, *, since: float, begun_with: float) -> None:
        """Say how far it is, and how fast it went since then."""
        now = time.monotonic()
        rate = (self._done - begun_with) / max(now - since, 1e-9)
        parts = [f"{_scaled(self._done)} {self._unit}", f"{_scaled(rate)} {self._unit}/s"]
        if self._total and self._done < self._total:
            parts.insert(0, f"{self._done / self._total:.0%}")
            parts.append(f"{clock((self._total - self._done) / max(rate, 1e-9))} left")
        else:
            parts.append(clock(now - self._begun))
        self._said, self._done_when_said = now, self._done
        self._console.notice(f"{self._name}: " + ", ".join([*parts, *self._figures]))


def _columns() -> int:
    """Return how wide the terminal is that progress is shown on."""
    with suppress(OSError, ValueError):
        return os.get_terminal_size(sys.stderr.fileno()).columns
    return shutil.get_terminal_size().columns


def clock(seconds: float) -> str:
    """Return a duration as people write it: 0:07, 1:02:30."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _figures(figures: Mapping[str, float | str], seconds: float) -> list[str]:
    """Return figures in words, in the order in which they matter, and the memory taken."""
    shown: list[str] = []
    for name, value in figures.items():
        words = name.removesuffix("_done").replace("_", " ")
        if isinstance(value, str):
            shown.append(f"{words} {value}")
        elif name.endswith("_done"):
            rate = _scaled(value / max(seconds, 1e-9))
            shown.append(f"{_scaled(value)} {words}, {rate} {words}/s")
        else:
            shown.append(f"{words} {_scaled(value)}")
    return [*shown, f"mem {_scaled(_peak_memory_bytes())}B"]


def _peak_memory_bytes() -> float:
    """Return the most that a process of this run has taken: this one, or any of its workers."""
    unit = 1 if sys.platform == "darwin" else 1024
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ended = max(resource.getrusage(each).ru_maxrss for each in kinds) * unit
    return max([ended, *_peaks_of_workers()])


def _peaks_of_workers() -> list[float]:
    """Return the peak of each worker at work, where the system tells (Linux)."""
    peaks: list[float] = []
    for worker in multiprocessing.active_children():
        try:
            status = Path(f"/proc/{worker.pid}/status").read_text()
        except OSError:
            continue
        if found := re.search(r"VmHWM:\s*(\d+) kB", status):
            peaks.append(float(found[1]) * 1024)
    return peaks


def _scaled(value: float) -> str:
    for suffix in ("", "k", "M", "G"):
        if abs(value) < 1000:
            return f"{value:.3g}{suffix}" if suffix or value % 1 else f"{value:.0f}"
        value /= 1000
    return f"{value:,.1f}T"
