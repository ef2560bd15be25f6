"""Jobs done one after another, each by a process of its own, as a person would have typed it.

A process of its own gives its memory back, may be killed without taking the others along, and does
exactly what the command does that is shown.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType
from typing import Literal

from ..stage.orphans import PARENT
from ..stage.stopping import STOPPING
from .commands import arguments_of
from .jobs import Job
from .shapes import is_complete
from .standing import Standing

Ending = Literal["up to date", "made", "failed", "stopped", "left out"]


@dataclass(frozen=True)
class Outcome:
    """What became of a job."""

    job: Job
    ending: Ending
    exit_code: int = 0
    because_of: str = ""
    """The job without which this one was left out"""
    printed: str = ""
    """What its command printed, where that was caught"""


class Runner:
    """Runs commands, and passes on to them whoever asks for an end."""

    def __init__(self, options: Sequence[str], *, environment: Mapping[str, str], catch: bool):
        """Take what every command gets, whether what it prints is caught or shown."""
        self._options = tuple(options)
        self._environment = dict(environment)
        self._catch = catch
        self._process: subprocess.Popen[str] | None = None
        self._is_passed_on = False
        self.signal: signal.Signals | None = None

    def run(self, job: Job, *, force: bool) -> tuple[int, str]:
        """Do one job; return its exit code, as a shell gives it, and what was caught."""
        options = (*self._options, *(["--force"] if force else []))
        # A signal waits until there is who can answer it: here, for a process to pass it on to;
        # there, for the handlers of `cli.entry`, which lets it through.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        try:
            if self._is_asked():
                return 128 + (self.signal or 0), ""
            # A group of its own: a terminal's Ctrl-C then reaches it by way of us, and once.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bertctl", *arguments_of(job), *options],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if self._catch else None,
                env=self._environment,
                text=True,
                process_group=0,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        if self._is_asked() and not self._is_passed_on:
            # Another thread of ours took it while there was no process yet.
            self._process.send_signal(self.signal or signal.SIGTERM)
        try:
            printed, _ = self._process.communicate()
            code = self._process.returncode
        finally:
            self._process = None
        return (128 - code if code < 0 else code), printed or ""

    def pass_on(self, number: int, frame: FrameType | None) -> None:
        """Tell the command at work that somebody asked for an end: a handler of signals."""
        self.signal = signal.Signals(number)
        if self._process is not None:
            self._is_passed_on = True
            self._process.send_signal(number)

    def pause(self, number: int, frame: FrameType | None) -> None:
        """Stop along with the command at work, and let it go on when we do: a handler of Ctrl-Z."""
        self._signal_group(signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGSTOP)
        self._signal_group(signal.SIGCONT)

    def _signal_group(self, number: signal.Signals) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def _is_asked(self) -> bool:
        return self.signal is not None

    def listen(self) -> Callable[[], None]:
        """Pass on every signal that asks for an end; return what ends that."""
        before = {each: signal.getsignal(each) for each in (*STOPPING, signal.SIGTSTP)}
        for each, handler in before.items():
            # nohup has SIGHUP ignored, and wants it to stay so.
            if handler is not signal.SIG_IGN:
                signal.signal(each, self.pause if each is signal.SIGTSTP else self.pass_on)

        def restore() -> None:
            for each, handler in before.items():
                signal.signal(each, handler)

        return restore


def run_jobs(
    standings: Sequence[Standing],
    runner: Runner,
    *,
    forced: Set[str],
    announce: Callable[[Job], None],
) -> Iterator[Outcome]:
    """Do what is to be done, in the order of `standings`, and yield what became of each job.

    One that fails costs those that are made from it; the others go on. A signal costs all that
    follow.
    """
    missing: dict[str, str] = {}
    for standing in standings:
        job = standing.job
        if runner.signal is not None:
            yield Outcome(job, "left out" if standing.has_work else "up to date")
            continue
        if standing.state == "up to date":
            yield Outcome(job, "up to date")
            continue
        if lacking := next((each for each in job.made_from if each.name in missing), None):
            missing[job.name] = missing[lacking.name]
            yield Outcome(job, "left out", because_of=missing[lacking.name])
            continue
        announce(job)
        code, printed = runner.run(job, force=job.name in forced)
        ending: Ending = "failed" if code else "made"
        if not (code == 0 and is_complete(job)) and (runner.signal is not None or code == 0):
            # Somebody asked, or its time is up: what it has is kept.
            ending = "stopped"
        if ending != "made":
            missing[job.name] = job.name
        yield Outcome(job, ending, code, printed=printed)


def exit_code_of(outcomes: Sequence[Outcome], runner: Runner) -> int:
    """Return the exit code of them all: 128 and the signal's, else the worst there was."""
    if runner.signal is not None:
        return 128 + runner.signal
    codes = {each.exit_code for each in outcomes if each.ending == "failed"}
    return 0 if not codes else 2 if codes == {2} else 1


def environment_of(environment: Mapping[str, str], pid: int) -> dict[str, str]:
    """Return the environment of commands that end when the process `pid` does."""
    return {**environment, PARENT: str(pid)}
