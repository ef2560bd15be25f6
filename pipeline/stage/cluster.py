"""Tasks on a Dask cluster (the extra `dask`), whose workers see the same files as this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import closing
from typing import Any, TypeVar

from ..errors import BadInput, WorkFailed
from .workers import AHEAD, completed

Task = TypeVar("Task")
Result = TypeVar("Result")

_SECONDS_TO_CONNECT = 20


def run_on_cluster(
    call: Callable[[Task], Result], tasks: Sequence[Task], *, address: str
) -> Iterator[Result]:
    """Yield `call(task)` for every task, in whatever order they end.

    A worker that dies costs nothing but its time: the scheduler gives its tasks to others.

    Raises:
        BadInput: there is no such cluster, or the extra isn't installed.
        WorkFailed: a task's workers kept dying, or the scheduler did.
    """
    with closing(_connected(address)) as client:
        from distributed import KilledWorker

        threads = sum(client.nthreads().values())
        if not threads:
            raise BadInput(
                f"--dask {address}: the scheduler has no workers.",
                hint=f"Start some: dask worker {address}",
            )
        # Calls have effects, so equal ones are not to be taken for each other.
        executor = client.get_executor(pure=False)
        left = dict(enumerate(tasks))
        try:
            for _, result in completed(executor, call, left, AHEAD * threads):
                yield result
        except CancelledError as error:
            raise WorkFailed(
                f"--dask {address}: the scheduler is gone, or gave the work up.",
                hint="What is finished is kept: the same command continues.",
            ) from error
        except KilledWorker as error:
            raise WorkFailed(
                f"--dask {address}: {error}",
                hint="A worker that runs out of memory is killed: give workers more, or smaller "
                "--chunk-megabytes. What is finished is kept.",
            ) from error
        finally:
            executor.shutdown(wait=False)


def _connected(address: str) -> Any:
    try:
        from distributed import Client
    except ImportError as error:
        raise BadInput(
            "--executor dask needs Dask, which isn't installed.",
            hint="pip install 'bertctl[dask]', here and where the workers run.",
        ) from error
    try:
        return Client(address, timeout=_SECONDS_TO_CONNECT, set_as_default=False)
    except (OSError, ValueError) as error:
        raise BadInput(
            f"--dask {address}: no scheduler answers there ({error}).",
            hint="`dask scheduler` prints its address when it starts: tcp://HOST:8786.",
        ) from error
