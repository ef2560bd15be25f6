"""The gradients of several processes, added up while the backward pass is still under way.

torch's DistributedDataParallel rebuilds its buckets after its first backward pass, in the order it
saw: a resumed run then adds up in another order than the run it continues, and their last digits
part. These buckets depend on nothing but the model.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial

import torch
import torch.distributed as dist
from torch import Tensor, nn

from .team import together

_BUCKET_BYTES = 25 << 20
"""Large enough for the network, small enough that the first is on its way early."""


@dataclass
class _Bucket:
    """Neighbouring parameters whose gradients travel as one tensor."""

    parameters: list[nn.Parameter]
    flat: Tensor
    """All their gradients, one after another."""
    views: list[Tensor]
    """The place of each in `flat`."""
    missing: int = 0
    """How many of them the last backward pass has still to finish."""
    sending: dist.Work | None = field(default=None)


class GradientSum:
    """Gradients that are sums over all processes when a step's backward passes are done."""

    def __init__(
        self, parameters: Iterable[nn.Parameter], *, bucket_bytes: int = _BUCKET_BYTES
    ) -> None:
        # The last parameters' gradients are the first to be ready.
        trainable = [each for each in parameters if each.requires_grad][::-1]
        self._buckets = [_bucket(each) for each in _cut(trainable, bucket_bytes)]
        self._is_last = False
        self._sent = 0
        for bucket in self._buckets:
            for each in bucket.parameters:
                each.register_post_accumulate_grad_hook(partial(self._count, bucket))

    def begin(self) -> None:
        """Set all gradients to zero before a step's first backward pass."""
        self._is_last, self._sent = False, 0
        for bucket in self._buckets:
            bucket.flat.zero_()
            bucket.missing = len(bucket.parameters)
            for parameter, view in zip(bucket.parameters, bucket.views, strict=True):
                parameter.grad = view

    def expect_last(self) -> None:
        """Say that the next backward pass is this process's last of the step."""
        self._is_last = True

    def finish(self) -> None:
        """Wait until every gradient is the sum over all processes."""
        # A process without a part in this step has sent nothing yet.
        self._send(len(self._buckets))
        with together():
            for bucket in self._buckets:
                assert bucket.sending is not None
                bucket.sending.wait()
                bucket.sending = None

    def _count(self, bucket: _Bucket, _: Tensor) -> None:
        if not self._is_last:
            return
        bucket.missing -= 1
        ready = self._sent
        while ready < len(self._buckets) and self._buckets[ready].missing == 0:
            ready += 1
        self._send(ready)

    def _send(self, end: int) -> None:
        """Send the buckets before `end`: in the same order in every process."""
        with together():
            for bucket in self._buckets[self._sent : end]:
                bucket.sending = dist.all_reduce(bucket.flat, async_op=True)
        self._sent = max(self._sent, end)


def _cut(parameters: list[nn.Parameter], bucket_bytes: int) -> list[list[nn.Parameter]]:
    groups: list[list[nn.Parameter]] = []
    room = 0
    for each in parameters:
        size = each.numel() * each.element_size()
        if size > room or not groups:
            groups.append([])
            room = bucket_bytes
        groups[-1].append(each)
        room -= size
    return groups


def _bucket(parameters: list[nn.Parameter]) -> _Bucket:
    flat = torch.zeros(
        sum(each.numel() for each in parameters),
        dtype=parameters[0].dtype,
        device=parameters[0].device,
    )
    pieces = flat.split([each.numel() for each in parameters])
    views = [piece.view_as(each) for piece, each in zip(pieces, parameters, strict=True)]
    return _Bucket(parameters, flat, views)
