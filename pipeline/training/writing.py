"""Large files written so that a full disk names the one that it was."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], *, metadata: dict[str, str] | None = None
) -> None:
    """Write a safetensors file; raise `OSError` that names it where the disk won't take it."""
    with naming(path):
        try:
            safetensors.torch.save_file(dict(tensors), path, metadata=metadata)
        except safetensors.SafetensorError as error:
            # The library hands on what the system said in words only.
            found = re.search(r"os error (\d+)", str(error))
            if found is None:
                raise
            raise OSError(int(found[1]), os.strerror(int(found[1])), str(path)) from error


@contextmanager
def naming(path: Path) -> Generator[None]:
    """Let an `OSError` that is raised meanwhile name `path`: of a full disk the system names none.

    A copy that doesn't fit would name what it was copied from.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None or error.errno in _NO_ROOM:
            error.filename, error.filename2 = str(path), None
        raise
