"""Many tasks over many processes: any number of them, any order, and none lost when one dies."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TypeVar

from ..errors import WorkFailed
from .orphans import end_with
from .stopping import STOPPING

Task = TypeVar("Task")
Result = TypeVar("Result")

_ATTEMPTS = 3
AHEAD = 2
"""Tasks handed out per worker: enough that none waits, few enough to stop soon."""


def run_tasks(
    call: Callable[[Task], Result], tasks: Sequence[Task], *, workers: int
) -> Iterator[Result]:
    """Yield `call(task)` for every task, in whatever order they end.

    With one worker everything happens in this process. A worker that is killed costs nothing but
    its time: what it had not finished is given to new ones, `_ATTEMPTS` times in all.

    Raises:
        WorkFailed: workers kept dying, as they do when memory runs out.
    """
    if workers <= 1 or len(tasks) <= 1:
        yield from map(call, tasks)
        return
    left = dict(enumerate(tasks))
    for _ in range(_ATTEMPTS):
        with _local_executor(min(workers, len(left))) as executor:
            try:
                for number, result in completed(executor, call, left, AHEAD * workers):
                    del left[number]
                    yield result
            except BrokenProcessPool:
                continue
            except BaseException:
                executor.shutdown(wait=True, cancel_futures=True)
                raise
            return
    raise WorkFailed(
        f"Worker processes were killed {_ATTEMPTS} times, with {len(left):,} of {len(tasks):,} "
        "pieces of work undone; the system does that when memory runs out.",
        hint="Give fewer --workers. What is finished is kept: the same command continues.",
    )


def completed(
    executor: Executor, call: Callable[[Task], Result], left: dict[int, Task], ahead: int
) -> Iterator[tuple[int, Result]]:
    """Yield number and result of each task as it ends, with `ahead` tasks handed out at a time."""
    waiting = iter(list(left.items()))
    running: dict[Future[Result], int] = {}

    def submit(some: Iterable[tuple[int, Task]]) -> None:
        running.update({executor.submit(call, task): number for number, task in some})

    submit(islice(waiting, ahead))
    while running:
        ended, _ = wait(running, return_when=FIRST_COMPLETED)
        # What is whole counts even when a neighbour broke the pool.
        for future in sorted(ended, key=lambda one: one.exception() is not None):
            number = running.pop(future)
            yield number, future.result()
        submit(islice(waiting, len(ended)))


def _local_executor(workers: int) -> Executor:
    methods = multiprocessing.get_all_start_methods()
    # Forked workers share what the parent has loaded, a warm tokeniser above all, page by page.
    context = multiprocessing.get_context("fork" if "fork" in methods else "spawn")
    return ProcessPoolExecutor(
        workers, mp_context=context, initializer=_begin_worker, initargs=(os.getpid(),)
    )


def _begin_worker(parent: int) -> None:
    # A terminal or a scheduler signals the whole group: the parent decides, its workers finish.
    for each in STOPPING:
        signal.signal(each, signal.SIG_IGN)
    end_with(parent)
