"""What a run computes on, settled once: device, precision, threads."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ...model.precision import Precision, bfloat16_supported
from ..allocator import keep_freed_memory
from ..errors import BadInput
from ..stage.labour import available_workers
from .place import Place
from .settings import NumericsSettings

_KERNEL_CACHES = ("LRU_CACHE_CAPACITY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY")
"""torch and oneDNN keep 1,024 bfloat16 kernels each, one for every number of tokens: with packed
batches 0.8 GB, even of a tiny model, for kernels that never come again. Read at the first use."""
_TOKENS_AT_ONCE = {"cpu": 4096, "cuda": 1 << 16, "mps": 1 << 14}


@dataclass(frozen=True)
class Machine:
    """The numerics of a run with every `auto` settled."""

    device: torch.device
    precision: Precision
    threads: int
    micro_batch_size: int
    """Instances of the greatest length computed at once."""
    tokens_at_once: int | None = None
    """What that number was made from; None where it was given."""
    processes: int = 1
    compiled: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return what is recorded beside a run's weights."""
        return {
            "device": self.device.type,
            "precision": self.precision,
            "threads": self.threads,
            "micro_batch_size": self.micro_batch_size,
            "processes": self.processes,
            "compiled": self.compiled,
            "torch": torch.__version__,
        }

    def instances_at_once(self, longest: int, batch_size: int) -> int:
        """Return how many instances of up to `longest` tokens make a micro-batch of such batches.

        Where that is left to us, all processes get as many micro-batches, all about as large.
        """
        if self.tokens_at_once is None:
            return self.micro_batch_size
        share = _ceil(batch_size, self.processes)
        parts = _ceil(share, max(1, self.tokens_at_once // longest))
        return _ceil(share, parts)

    def changes_since(self, recorded: Mapping[str, Any]) -> str | None:
        """Say in what this machine differs from one `as_json` recorded; None if in nothing."""
        changes = [
            f"{name} {recorded.get(name)} → {value}"
            for name, value in self.as_json().items()
            if recorded.get(name) != value
        ]
        if not changes:
            return None
        return (
            f"Other numerics than before ({', '.join(changes)}): the data stays the same, the "
            "last digits of the weights may not."
        )


def set_up(settings: NumericsSettings, *, longest: int, place: Place | None = None) -> Machine:
    """Settle the numerics and make torch keep to them, the same way every time.

    `longest`: tokens of the longest instance there is.

    Raises:
        BadInput: the device or precision asked for isn't there.
    """
    place = place or Place()
    device = _device(settings.device, place)
    supported = bfloat16_supported(device)
    precision = settings.precision
    if precision == "auto":
        precision = "bfloat16" if supported else "float32"
    threads = settings.threads
    if threads == "auto":
        threads = max(1, available_workers() // place.local_size)
    torch.set_num_threads(threads)
    keep_freed_memory()
    for cache in _KERNEL_CACHES:
        os.environ.setdefault(cache, "64")
    # cuBLAS multiplies in the same order each time only with a workspace of its own.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # Without this the sums of an embedding's gradient may be added up in any order on a GPU.
    # (`use_deterministic_algorithms` loads torch's compiler to tell it too: `compile_layers` does.)
    torch.set_deterministic_debug_mode("warn")
    # With it memory is filled before it is written, for whoever reads what nobody wrote.
    setattr(torch.utils.deterministic, "fill_uninitialized_memory", False)  # noqa: B010
    micro_batch_size, tokens_at_once = settings.micro_batch_size, None
    if micro_batch_size == "auto":
        tokens_at_once = _TOKENS_AT_ONCE[device.type]
        micro_batch_size = max(1, tokens_at_once // longest)
    return Machine(device, precision, threads, micro_batch_size, tokens_at_once, place.size)


def _device(wanted: str, place: Place) -> torch.device:
    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if wanted == "auto":
        wanted = next(name for name, there in present.items() if there)
    if not present[wanted]:
        raise BadInput(
            f"--device {wanted}: this PyTorch ({torch.__version__}) sees no such device; it sees "
            + ", ".join(name for name, there in present.items() if there)
            + ".",
            hint="Leave --device out to take the best there is.",
        )
    if wanted == "cuda" and place.size > 1:
        if place.local_rank >= torch.cuda.device_count():
            raise BadInput(
                f"There are {place.local_size} processes on this machine and "
                f"{torch.cuda.device_count()} GPUs; expected a GPU for each.",
                hint=f"Give --nproc-per-node {torch.cuda.device_count()}, or --device cpu.",
            )
        return torch.device("cuda", place.local_rank)
    return torch.device(wanted)


def _ceil(value: int, divisor: int) -> int:
    return -(-value // divisor)
