"""A safetensors file read with nothing but json and numpy: its header, and values block by block.

The format: 8 bytes, the header's length, little-endian; the header, JSON; the tensors' bytes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_LENGTH_BYTES = 8
_BLOCK_VALUES = 1 << 18
_PLAIN = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4"}
_BFLOAT16 = "BF16"
"""The upper half of a float32."""

Values = npt.NDArray[Any]


class Malformed(Exception):
    """The file isn't what the format allows; the message says how."""


@dataclass(frozen=True)
class Stored:
    """One tensor: its type, its shape, and the bytes it takes in the file."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def size(self) -> int:
        """How many values it has."""
        return math.prod(self.shape)

    @property
    def item_bytes(self) -> int:
        """Bytes of a value.

        Raises:
            Malformed: the type is none that a BERT is stored in.
        """
        if self.dtype == _BFLOAT16:
            return 2
        if self.dtype not in _PLAIN:
            raise Malformed(f"type {self.dtype}")
        return np.dtype(_PLAIN[self.dtype]).itemsize


@dataclass(frozen=True)
class TensorFile:
    """The tensors of a file, by name."""

    path: Path
    tensors: Mapping[str, Stored]

    def blocks(self, name: str) -> Iterator[Values]:
        """Yield a tensor's values, flat, some at a time; bfloat16 as float32."""
        stored = self.tensors[name]
        kind = "<u2" if stored.dtype == _BFLOAT16 else _PLAIN[stored.dtype]
        with self.path.open("rb") as file:
            file.seek(stored.begin)
            for start in range(0, stored.size, _BLOCK_VALUES):
                count = min(_BLOCK_VALUES, stored.size - start)
                values = np.frombuffer(file.read(count * stored.item_bytes), kind)
                if stored.dtype == _BFLOAT16:
                    values = (values.astype("<u4") << 16).view("<f4")
                yield values

    def whole(self, name: str) -> Values:
        """Return a tensor in its shape, as float64."""
        flat = [block.astype(np.float64) for block in self.blocks(name)]
        return np.concatenate(flat or [np.zeros(0)]).reshape(self.tensors[name].shape)

    def not_finite(self, name: str) -> int:
        """Count the values of a tensor that are NaN or infinite."""
        return sum(int((~np.isfinite(block)).sum()) for block in self.blocks(name))

    def unlike(self, name: str, other: str) -> int:
        """Count the values in which two tensors of one size differ."""
        pairs = zip(self.blocks(name), self.blocks(other), strict=True)
        return sum(int((one != two).sum()) for one, two in pairs)


def read_header(path: Path) -> TensorFile:
    """Read which tensors a file holds.

    Raises:
        Malformed: it isn't such a file, or its tensors don't fill it, one after another.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
            if size < _LENGTH_BYTES or length > size - _LENGTH_BYTES:
                raise Malformed("no header")
            header = json.loads(file.read(length))
    except OSError as error:
        raise Malformed(str(error.strerror)) from error
    except ValueError as error:
        raise Malformed("the header isn't JSON") from error
    data = _LENGTH_BYTES + length
    try:
        tensors = {
            name: Stored(
                each["dtype"], tuple(each["shape"]), *(data + at for at in each["data_offsets"])
            )
            for name, each in header.items()
            if name != "__metadata__"
        }
    except (TypeError, KeyError, AttributeError) as error:
        raise Malformed("the header isn't one of tensors") from error
    at = data
    for name, each in sorted(tensors.items(), key=lambda pair: (pair[1].begin, pair[1].end)):
        if each.begin != at or each.end - each.begin != each.size * each.item_bytes:
            raise Malformed(f"{name} isn't where its shape says")
        at = each.end
    if at != size:
        raise Malformed(f"{size:,} bytes; its tensors take {at:,}")
    return TensorFile(path, tensors)
