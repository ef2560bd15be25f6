"""The processes that train together: what they add up, and what the first tells the others.

Alone, all of this does nothing and torch's distributed machinery isn't touched.
"""

from __future__ import annotations

import datetime
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from ..errors import OthersGone
from .place import Place

Told = TypeVar("Told")
_JOINING = datetime.timedelta(minutes=30)
_LEAVING = datetime.timedelta(seconds=20)


@dataclass(frozen=True)
class Team:
    """This process and those it trains with; every method is called by all of them alike."""

    place: Place = Place()  # noqa: RUF009
    device: torch.device = torch.device("cpu")  # noqa: RUF009

    @property
    def is_alone(self) -> bool:
        """Whether there is nobody to add anything up with."""
        return self.place.size == 1

    def add_up(self, values: Tensor) -> Tensor:
        """Return the sum over the team, the same on each; `values`: any shape."""
        if self.is_alone:
            return values
        total = values.to(self.device)
        with together():
            dist.all_reduce(total)
        return total.to(values.device)

    def smallest(self, value: int) -> int:
        """Return the least of everybody's numbers."""
        if self.is_alone:
            return value
        least = torch.tensor(value, device=self.device)
        with together():
            dist.all_reduce(least, dist.ReduceOp.MIN)
        return int(least)

    def tell(self, value: Told) -> Told:
        """Return what the first process has; what the others have is of no account."""
        if self.is_alone:
            return value
        told: list[Any] = [value]
        with together():
            dist.broadcast_object_list(told, device=self.device)
        return told[0]

    def gather(self, value: Told) -> list[Told]:
        """Return what each process has, in the order of their ranks."""
        if self.is_alone:
            return [value]
        gathered: list[Any] = [None] * self.place.size
        with together():
            dist.all_gather_object(gathered, value)
        return gathered

    def share(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite everybody's tensors with the first process's."""
        if self.is_alone:
            return
        with together():
            for each in tensors:
                dist.broadcast(each, 0)


ALONE = Team()


@contextmanager
def together() -> Generator[None]:
    """Say what it means where something done together fails: somebody is gone."""
    try:
        yield
    except RuntimeError as error:
        raise OthersGone(
            f"Another process of this run is gone ({_first_line(error)}).",
            hint="torchrun says which; it starts them again where --max-restarts allows it. The "
            "last checkpoint stands.",
        ) from error


class Meeting:
    """Where the processes meet before they work: whether there is work is known to the first.

    It alone looks at the output directory; the others wait for its word.
    """

    _WORD, _HEARD = "bertctl/word", "bertctl/heard"

    def __init__(self, place: Place) -> None:
        self._place = place
        with together():
            self._store, _, _ = next(rendezvous("env://", timeout=_JOINING))
        self._told = False

    def call(self) -> None:
        """Let everybody come to work."""
        self._tell("work")

    def dismiss(self) -> None:
        """Let everybody go, if there was nothing to do; after `call` it does nothing."""
        if self._told:
            return
        self._tell("rest")
        # The first process may be the one the others ask: it stays until they have heard.
        try:
            self._store.wait([self._HEARD], _LEAVING)
        except RuntimeError:
            return

    def is_called(self) -> bool:
        """Wait for the first process's word: is there work?"""
        with together():
            word = self._store.get(self._WORD).decode()
            if word == "rest" and self._store.add(f"{self._HEARD} by", 1) == self._place.size - 1:
                self._store.set(self._HEARD, "all")
        return word == "work"

    def join(self, device: torch.device) -> Team:
        """Form the team that computes on such devices, when everybody has come."""
        if device.type == "cuda":
            torch.cuda.set_device(device)
        with together():
            dist.init_process_group(
                "nccl" if device.type == "cuda" else "gloo",
                store=PrefixStore("bertctl/team", self._store),
                rank=self._place.rank,
                world_size=self._place.size,
            )
        return Team(self._place, device)

    def _tell(self, word: str) -> None:
        self._told = True
        with together():
            self._store.set(self._WORD, word)


def leave() -> None:
    """End what `Meeting.join` began."""
    if dist.is_initialized():
        dist.destroy_process_group()


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
