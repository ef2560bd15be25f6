"""How this process's memory allocator treats what a piece of work frees."""

from __future__ import annotations

import ctypes
import sys

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def keep_freed_memory() -> bool:
    """Make malloc keep what is freed for the next piece instead of giving it back to the kernel.

    Without this every large array or tensor is fresh pages, which the kernel has to clear one by
    one as they are touched: a seventh of a small model's step, a twentieth of making shards. The
    process then stays as large as its largest piece of work. For the whole process, and best before
    its first array; returns False where there is no glibc, and nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return False
    return all(
        mallopt(setting, value) == 1
        for setting, value in (
            (_M_MMAP_MAX, 0),
            (_M_TRIM_THRESHOLD, 2**31 - 1),
            (_M_TOP_PAD, 64 << 20),
        )
    )
