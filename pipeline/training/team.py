"""The processes that train together: what they add up, and what the first tells the others.

Alone, all of this does nothing and torch's distributed machinery isn't touched.
"""

from __future__ import annotations

import datetime
import secrets
import signal
import threading
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import DistStoreError
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from ..errors import OthersGone
from ..stage.stopping import STOPPING
from .place import Place

Told = TypeVar("Told")
_JOINING = datetime.timedelta(minutes=30)
_LEAVING = datetime.timedelta(seconds=20)
_ANSWERING = datetime.timedelta(seconds=2)


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
            "Another process of this run is gone.",
            hint="Where the launcher may, it starts all of them again, from the last checkpoint; "
            "else the same command does.",
        ) from error


class Meeting:
    """Where the processes meet before they work: whether there is work is known to the first.

    It alone looks at the output directory; the others wait for its word. The place they meet at
    may be one where processes that were killed met before them: so a word counts when the one who
    gave it answers.
    """

    _WORD = "bertctl/word"

    def __init__(self, place: Place) -> None:
        self._place = place
        with together(), _stopping_at_once():
            store, _, _ = next(rendezvous("env://", timeout=_JOINING))
        self._store: Store = store
        self._name = secrets.token_hex(8)
        """Of the session, in the first process; of this process, in the others."""
        self._is_over = False

    def call(self) -> None:
        """Let everybody come to work."""
        with together(), _stopping_at_once():
            self._say("work", within=_JOINING)

    def dismiss(self) -> None:
        """Let everybody go, if there was nothing to do; after `call` it does nothing."""
        if self._is_over:
            return
        try:
            self._say("rest", within=_LEAVING)
        except RuntimeError:
            # Who hasn't come within that time finds that the others have ended.
            return

    def is_called(self) -> bool:
        """Wait for the first process's word: is there work?"""
        with together(), _stopping_at_once():
            while True:
                session, word = self._store.get(self._WORD).decode().split()
                self._store.set(f"{session}/{self._place.rank}", self._name)
                try:
                    self._store.wait([f"{session}/{self._name}"], _ANSWERING)
                except DistStoreError:
                    continue
                self._store.set(f"{session}/{self._name}/heard", "")
                self._name = session
                return word == "work"

    def join(self, device: torch.device) -> Team:
        """Form the team that computes on such devices, of all who were called."""
        if device.type == "cuda":
            torch.cuda.set_device(device)
        with together():
            dist.init_process_group(
                "nccl" if device.type == "cuda" else "gloo",
                store=PrefixStore(self._name, self._store),
                rank=self._place.rank,
                world_size=self._place.size,
            )
        return Team(self._place, device)

    def _say(self, word: str, *, within: datetime.timedelta) -> None:
        """Give the word, and stay until everybody has it: this process may be whom they ask."""
        self._is_over = True
        self._store.set(self._WORD, f"{self._name} {word}")
        for rank in range(1, self._place.size):
            self._store.wait([f"{self._name}/{rank}"], within)
            name = self._store.get(f"{self._name}/{rank}").decode()
            self._store.set(f"{self._name}/{name}", "")
            self._store.wait([f"{self._name}/{name}/heard"], within)


@contextmanager
def _stopping_at_once() -> Generator[None]:
    """Let signals end the process as if nobody listened: waiting inside torch hears none of ours.

    Nothing has begun yet that would have to be kept.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.getsignal(each) for each in STOPPING}
    for each, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(each, signal.SIG_DFL)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def leave() -> None:
    """End what `Meeting.join` began."""
    if dist.is_initialized():
        dist.destroy_process_group()
