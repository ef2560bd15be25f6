"""Who does a stage's work: processes of this machine, a Dask cluster, or tasks of a job array.

Whoever does a piece of work, and in whatever order, its unit is the same: so none of this can
change a byte.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from ..errors import BadInput, ShareDone
from .settings import setting
from .units import UnitStore


class Task(Protocol):
    """A piece of work that ends as a committed unit."""

    @property
    def units(self) -> UnitStore:
        """Where the unit will stand."""
        ...

    @property
    def name(self) -> str:
        """The unit's name."""
        ...

    @property
    def key(self) -> str:
        """What the unit is made from."""
        ...


SomeTask = TypeVar("SomeTask", bound=Task)
Result = TypeVar("Result")


@dataclass(frozen=True)
class LabourSettings:
    """*How*: none of these changes a byte."""

    workers: int | Literal["auto"] = setting(
        "auto", "Processes that work; auto takes every processor.", minimum=1
    )
    chunk_megabytes: float = setting(
        8.0, "Text in one unit of work: what a kill can cost a worker.", minimum=0.000001
    )
    executor: Literal["local", "dask"] = setting(
        "local", "Work in processes of this machine, or on the Dask cluster that --dask names."
    )
    dask: str | None = setting(
        None, "Address of a Dask scheduler, tcp://HOST:PORT, whose workers see the same files."
    )
    task: str | None = setting(
        None,
        "Do the share I/N of the work: task I (from 1) of an array of N jobs, in any order. When "
        "they have ended, run them again for the next phase, or --finalize.",
    )
    finalize: bool = setting(
        False, "Do what the tasks of an array left undone, and declare the output complete."
    )


@dataclass(frozen=True)
class Share:
    """Task `number`, from 1, of `of` tasks."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


@dataclass(frozen=True)
class Labour:
    """How tasks are run."""

    workers: int | Literal["auto"] = 1
    dask: str | None = None
    share: Share | None = None

    def place(self, path: Path) -> Path:
        """Return a path as all who work find it: Dask's workers were started anywhere."""
        return path if self.dask is None else path.absolute()

    def run(
        self, call: Callable[[SomeTask], Result], tasks: Sequence[SomeTask]
    ) -> Iterator[Result]:
        """Yield `call(task)` for every task, in whatever order they end.

        Raises:
            ShareDone: only a share was asked for, and others haven't done theirs yet.
            WorkFailed: workers kept dying.
        """
        if self.share is None:
            yield from self._run_all(call, tasks)
            return
        own = tasks[self.share.number - 1 :: self.share.of]
        yield from self._run_all(call, own)
        mine = {task.name for task in own}
        others = [task for task in tasks if task.name not in mine]
        left = sum(task.units.find(task.name, task.key) is None for task in others)
        if left:
            raise ShareDone(
                f"Task {self.share} is done with its {len(own):,} of {len(tasks):,} pieces of "
                f"work; {left:,} are still left to other tasks.",
                hint="When all tasks have ended, run the array again: it goes on from there. "
                "--finalize, without --task, does whatever is left.",
            )
        yield from map(call, others)

    def leave_the_rest(self) -> None:
        """Raise `ShareDone` in a task of an array: what follows is not shared out."""
        if self.share is not None:
            raise ShareDone(
                f"All pieces of work are done, as far as task {self.share} sees.",
                hint="When all tasks have ended: the same command with --finalize, without --task.",
            )

    def _run_all(
        self, call: Callable[[SomeTask], Result], tasks: Sequence[SomeTask]
    ) -> Iterator[Result]:
        # What starts processes takes its time to import: one that works alone doesn't need it.
        if self.dask is not None:
            from .cluster import run_on_cluster

            return run_on_cluster(call, tasks, address=self.dask)
        workers = available_workers() if self.workers == "auto" else self.workers
        if workers <= 1:
            return map(call, tasks)
        from .workers import run_tasks

        return run_tasks(call, tasks, workers=workers)


def available_workers() -> int:
    """Return how many processors this process may use, which is less than all in a container."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def labour_of(settings: LabourSettings) -> Labour:
    """Read the settings.

    Raises:
        BadInput: they contradict each other.
    """
    if (settings.executor == "dask") != (settings.dask is not None):
        raise BadInput(
            "--executor dask and --dask tcp://HOST:PORT go together; only one of them is given.",
            hint="`dask scheduler` prints the address; --executor local needs none.",
        )
    if settings.task is not None and settings.finalize:
        raise BadInput(
            "--task does a share of the work and --finalize all that is left; expected one.",
            hint="Run --finalize once, when every task has ended.",
        )
    return Labour(settings.workers, settings.dask, _share(settings.task))


def _share(text: str | None) -> Share | None:
    if text is None:
        return None
    match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise BadInput(
            f"--task is {text!r}; expected I/N with I from 1 to N, such as 2/5.",
            hint="In a Slurm array of 5: --task $((SLURM_ARRAY_TASK_ID + 1))/5 for --array 0-4.",
        )
    return Share(int(match[1]), int(match[2]))
