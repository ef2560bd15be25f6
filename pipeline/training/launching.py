"""One command turned into several processes of it on this machine, by torchrun's own launcher."""

from __future__ import annotations

import dataclasses
import logging
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from ..errors import BadInput, WorkFailed
from .ending import ENDING, read_ending, read_stop

_MAX_RESTARTS = 3
_SIGNALS = "SIGTERM,SIGINT,SIGHUP,SIGUSR1"
_SHUTDOWN_SECONDS = 600
"""How long a process may take to save what it has when it is asked to stop."""


def number_of_processes(wanted: int | Literal["auto"], device: str) -> int:
    """Return how many processes to start: as many as there are GPUs, where that is left to us.

    Raises:
        BadInput: there aren't as many GPUs as processes that each want one.
    """
    gpus = torch.cuda.device_count()
    if wanted == "auto":
        return max(1, gpus if device in ("auto", "cuda") else 1)
    if device == "cuda" and wanted > gpus:
        raise BadInput(
            f"--nproc-per-node is {wanted}, and this machine has {gpus} GPUs; expected a GPU for "
            "each process.",
            hint=f"Give --nproc-per-node {max(1, gpus)}, or --device cpu.",
        )
    return wanted


@dataclass(frozen=True)
class Ending:
    """How processes that were launched ended: with the exit code of the first, or of who stopped.

    `is_told`: whether the first has said to people how.
    """

    exit_code: int
    is_told: bool


def launch(command: Sequence[str], num_processes: int) -> Ending:
    """Run `command` in several processes that train together; return how they ended.

    A process that is killed is started again, with all the others, from the last checkpoint.

    Raises:
        WorkFailed: they failed again and again.
    """
    _silence()
    with tempfile.TemporaryDirectory(prefix="bertctl-") as scratch:
        ending = Path(scratch, "ending")
        os.environ[ENDING] = str(ending)
        # What the processes say of their sockets is of no use to people.
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
        try:
            elastic_launch(_config(num_processes), command[0])(*command[1:])
        except SignalException as stopped:
            return Ending(128 + stopped.sigval, is_told=read_ending(ending) is not None)
        except ChildFailedError as failed:
            told = read_ending(ending)
            if told is not None:
                return Ending(told, is_told=True)
            raise WorkFailed(
                f"The processes failed {_MAX_RESTARTS + 1} times; what the last said stands above "
                f"({_summary(failed)}).",
                hint="The last checkpoint stands: the same command goes on from it.",
            ) from failed
        finally:
            del os.environ[ENDING]
        # Where somebody asked another than the first to stop, all have, and that one knows why.
        return Ending(read_ending(ending) or read_stop(ending) or 0, is_told=True)


def _silence() -> None:
    """Keep the launcher's own log out of what people read: each of its modules has a logger."""
    for name in logging.root.manager.loggerDict:
        if name.startswith("torch.distributed.elastic"):
            logging.getLogger(name).setLevel(logging.CRITICAL)


def _config(num_processes: int) -> LaunchConfig:
    config: dict[str, Any] = {
        "min_nodes": 1,
        "max_nodes": 1,
        "nproc_per_node": num_processes,
        "rdzv_backend": "c10d",
        "rdzv_endpoint": "localhost:0",
        "run_id": f"bertctl-{os.getpid()}",
        "max_restarts": _MAX_RESTARTS,
        "local_addr": "localhost",
    }
    # Older versions of torch take these from the environment, or not at all.
    newer: Mapping[str, Any] = {
        "signals_to_handle": _SIGNALS,
        "shutdown_timeout": _SHUTDOWN_SECONDS,
    }
    known = {field.name for field in dataclasses.fields(LaunchConfig)}
    return LaunchConfig(**config, **{k: v for k, v in newer.items() if k in known})


def _summary(failed: ChildFailedError) -> str:
    return ", ".join(
        f"process {rank} ended with {failure.exitcode}"
        for rank, failure in sorted(failed.failures.items())
    )
