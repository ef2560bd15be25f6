"""Answers written to a file, whole or not at all: JSON Lines, or Parquet for vectors."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import BadInput, OutputRefused
from ..stage.files import publish
from .rows import Row

_ROWS_AT_ONCE = 1024
_VECTORS = ("cls", "mean")
_SIGNIFICANT = 7
"""Digits of a float32."""

Put = Callable[[Row, Mapping[str, Any]], None]


def is_for_vectors(path: Path | None) -> bool:
    """Whether a file is one that only vectors are written to."""
    return path is not None and path.suffix.lower() == ".parquet"


def check_output(path: Path, task: str, *, force: bool) -> None:
    """Raise before there is work where an answer can't be written."""
    if path.suffix.lower() not in (".jsonl", ".parquet"):
        raise BadInput(
            f"--output is {path}; expected a file that ends in .jsonl, or for vectors in .parquet."
        )
    if is_for_vectors(path) and task != "embeddings":
        raise BadInput(
            f"--output is {path}, and {task} gives no vectors; expected a .jsonl file.",
            hint="Vectors are --task embeddings.",
        )
    if path.is_dir() or not path.parent.is_dir():
        found = "a directory" if path.is_dir() else "in no directory that there is"
        raise BadInput(f"--output {path} is {found}; expected a file.")
    if path.exists() and not force:
        raise OutputRefused(
            f"--output {path} is there already.", hint="Give another name, or --force."
        )


def as_line(row: Row, answer: Mapping[str, Any]) -> str:
    """Return an answer as one line of JSON."""
    plain = {
        name: [float(f"{each:.{_SIGNIFICANT}g}") for each in value] if name in _VECTORS else value
        for name, value in answer.items()
    }
    return json.dumps({"row": row.number, **plain}, ensure_ascii=False)


@contextmanager
def writing(path: Path, *, hidden_size: int) -> Generator[Put]:
    """Give what writes a row; the file has its name when the block ends well, and not before."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    kind = _parquet if is_for_vectors(path) else _lines
    try:
        with kind(aside, hidden_size) as put:
            yield put
        publish(aside, path)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def _lines(path: Path, hidden_size: int) -> Generator[Put]:
    with path.open("w", encoding="utf-8", newline="\n") as file:

        def put(row: Row, answer: Mapping[str, Any]) -> None:
            file.write(as_line(row, answer) + "\n")

        yield put


@contextmanager
def _parquet(path: Path, hidden_size: int) -> Generator[Put]:
    """Write `row` (int64), and `cls` and `mean`: lists of `hidden_size` float32."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    vector = pa.list_(pa.float32(), hidden_size)
    schema = pa.schema([("row", pa.int64()), *((name, vector) for name in _VECTORS)])
    waiting: list[tuple[int, Mapping[str, Any]]] = []
    with pq.ParquetWriter(path, schema) as writer:

        def flush() -> None:
            columns = [
                pa.FixedSizeListArray.from_arrays(
                    np.concatenate([answer[name] for _, answer in waiting]), hidden_size
                )
                for name in _VECTORS
            ]
            numbers = pa.array([number for number, _ in waiting], pa.int64())
            writer.write_batch(pa.record_batch([numbers, *columns], schema=schema))
            waiting.clear()

        def put(row: Row, answer: Mapping[str, Any]) -> None:
            waiting.append((row.number, answer))
            if len(waiting) == _ROWS_AT_ONCE:
                flush()

        yield put
        if waiting:
            flush()
