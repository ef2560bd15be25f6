from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from bertctl.pipeline.pretrain.reading import Instances, Shard, ShardSet

from .shard_files import CLS_ID, SEP_ID, write_shard


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    made = [tmp_path / f"{number}.arrow" for number in range(3)]
    for number, path in enumerate(made, start=1):
        write_shard(path, documents=5 * number, seed=number)
    return made


def rows_of(path: Path) -> list[dict[str, object]]:
    """Read a shard the plain way: every row as Python objects."""
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all().to_pylist()


def as_rows(instances: Instances) -> list[dict[str, object]]:
    id_ends, mask_ends = np.cumsum(instances.lengths), np.cumsum(instances.num_masked)
    return [
        {
            "input_ids": instances.input_ids[
                id_ends[i] - instances.lengths[i] : id_ends[i]
            ].tolist(),
            "segment_a_length": int(instances.segment_a_lengths[i]),
            "masked_lm_positions": instances.masked_lm_positions[
                mask_ends[i] - instances.num_masked[i] : mask_ends[i]
            ].tolist(),
            "masked_lm_ids": instances.masked_lm_ids[
                mask_ends[i] - instances.num_masked[i] : mask_ends[i]
            ].tolist(),
            "next_sentence_label": int(instances.next_sentence_labels[i]),
        }
        for i in range(len(instances))
    ]


def plain(row: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in row.items() if not name.startswith("document")}


def test_gathered_rows_equal_rows_read_the_plain_way(paths: list[Path]) -> None:
    expected = [plain(row) for path in paths for row in rows_of(path)]
    shards = ShardSet(paths, [len(Shard(path)) for path in paths])
    assert len(shards) == len(expected)
    order = np.random.default_rng(0).permutation(len(expected))
    assert as_rows(shards.read(order)) == [expected[row] for row in order]
    assert as_rows(shards.read(np.array([0, 0, 2]))) == [expected[row] for row in (0, 0, 2)]


def test_taken_instances_are_those_asked_for(paths: list[Path]) -> None:
    everything = Shard(paths[2]).read(np.arange(len(Shard(paths[2]))))
    order = np.random.default_rng(1).permutation(len(everything))
    taken = as_rows(everything.take(order))
    assert taken == [as_rows(everything)[row] for row in order]


def test_rows_are_framed_and_lossless(paths: list[Path]) -> None:
    tokenised = write_shard(paths[0], documents=9, seed=4)
    text = tokenised.ids.tolist()
    runs = {tuple(text[at : at + 3]) for at in range(len(text) - 2)}
    for row in rows_of(paths[0]):
        ids = list(row["input_ids"])
        a = row["segment_a_length"]
        assert (ids[0], ids[a - 1], ids[-1]) == (CLS_ID, SEP_ID, SEP_ID)
        for position, original in zip(
            row["masked_lm_positions"], row["masked_lm_ids"], strict=True
        ):
            ids[position] = original
        for segment in (ids[1 : a - 1], ids[a:-1]):
            assert segment
            assert not {CLS_ID, SEP_ID} & set(segment)
            for at in range(len(segment) - 2):
                assert tuple(segment[at : at + 3]) in runs


def test_each_shard_is_announced_once_before_it_is_read(paths: list[Path]) -> None:
    opened: list[Path] = []
    shards = ShardSet(paths, [len(Shard(path)) for path in paths], on_opening=opened.append)
    assert opened == []
    shards.read(np.array([0]))
    shards.read(np.array([0, len(shards) - 1]))
    assert opened == [paths[0], paths[2]]
