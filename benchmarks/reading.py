"""How fast shards become batches, beside reading them the plain way.

    python benchmarks/reading.py [SHARDS] [--batch-size 256] [--repetitions 5]

Instances per CPU-second, random ones from all over the training shards: every column that a step
needs, as tensors, the ids padded to the longest of the batch. In turn with it, the same from
`take`, `to_pylist` and `torch.tensor`. Without SHARDS they are made of the docstrings of the
installed packages.
"""

import argparse
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from corpus import BERTCTL, docstrings
from processes import spread, table
from torch import Tensor

from bertctl.pipeline.pretrain.reading import Ints, Shard, ShardSet

Batch = dict[str, Tensor]
COLUMNS = ("segment_a_length", "masked_lm_positions", "masked_lm_ids", "next_sentence_label")
LEAST_SECONDS = 2.0


def ours(paths: list[Path]) -> Callable[[Ints], Batch]:
    shards = ShardSet(paths, [len(Shard(path)) for path in paths])

    def read(rows: Ints) -> Batch:
        some = shards.read(rows)
        padded = np.zeros((len(some), some.lengths.max()), np.int64)
        padded[np.arange(padded.shape[1]) < some.lengths[:, None]] = some.input_ids
        columns = {
            "input_ids": padded,
            "segment_a_length": some.segment_a_lengths,
            "masked_lm_positions": some.masked_lm_positions,
            "masked_lm_ids": some.masked_lm_ids,
            "next_sentence_label": some.next_sentence_labels,
        }
        return {
            name: torch.from_numpy(each.astype(np.int64, copy=False))
            for name, each in columns.items()
        }

    return read


def plain(paths: list[Path]) -> Callable[[Ints], Batch]:
    files = [pa.ipc.open_file(pa.memory_map(str(path))).read_all() for path in paths]
    everything = pa.concat_tables(files)

    def read(rows: Ints) -> Batch:
        some = everything.take(rows)
        ids = some["input_ids"].to_pylist()
        longest = max(map(len, ids))
        batch = {"input_ids": torch.tensor([each + [0] * (longest - len(each)) for each in ids])}
        for name in COLUMNS:
            values = some[name].to_pylist()
            if isinstance(values[0], list):
                values = [value for each in values for value in each]
            batch[name] = torch.tensor(values)
        return batch

    return read


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shards", nargs="?", type=Path)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--repetitions", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        shards = arguments.shards or made_in(Path(directory))
        measure(shards, batch_size=arguments.batch_size, repetitions=arguments.repetitions)


def made_in(directory: Path) -> Path:
    text, vocab, shards = docstrings(directory), directory / "vocab", directory / "shards"
    for command in (
        ["vocab", str(text), "--vocab-size", "8000", "-q", "-o", str(vocab)],
        ["shard", str(text), "--vocab", str(vocab), "-q", "-o", str(shards)],
    ):
        subprocess.run([*BERTCTL, *command], check=True, stdout=subprocess.DEVNULL)
    return shards


def measure(shards: Path, *, batch_size: int, repetitions: int) -> None:
    paths = sorted(shards.glob("train-*.arrow"))
    readers = {"bertctl": ours(paths), "take, to_pylist, torch.tensor": plain(paths)}
    total = sum(len(Shard(path)) for path in paths)
    check = np.arange(0, total, max(1, total // 50))
    for name, found in readers["bertctl"](check).items():
        assert torch.equal(found, readers["take, to_pylist, torch.tensor"](check)[name]), name
    rates: dict[str, list[float]] = {name: [] for name in readers}
    for repetition in range(repetitions):
        for name, read in readers.items():
            chosen = np.random.default_rng(repetition)
            instances, begun = 0, time.process_time()
            while time.process_time() - begun < LEAST_SECONDS:
                read(chosen.integers(0, total, batch_size))
                instances += batch_size
            rates[name].append(instances / (time.process_time() - begun))
    first, second = rates.values()
    ratios = [ours / theirs for ours, theirs in zip(first, second, strict=True)]
    rows = [["", "instances per CPU-second", "×"]]
    rows += [
        [name, spread(each, ",.0f"), spread(ratios) if each is first else "1.0"]
        for name, each in rates.items()
    ]
    print(f"{total:,} instances, batches of {batch_size}")
    print(table(rows))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
