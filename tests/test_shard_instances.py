from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from bertctl.pipeline.randomness import KeyedRandom
from bertctl.pipeline.shard import instances
from bertctl.pipeline.shard.pairs import draw_pairs
from bertctl.pipeline.shard.settings import InstanceSettings

from .shard_files import CLS_ID, SEP_ID, write_shard


def test_rows_are_the_pairs_in_their_frames_in_the_order_drawn(tmp_path: Path) -> None:
    tokenised = write_shard(tmp_path / "shard.arrow", documents=70, seed=3)
    pairs = draw_pairs(tokenised, InstanceSettings(max_seq_length=40), KeyedRandom(3, "pairs"))
    order = KeyedRandom(3, "masks").permutation(len(pairs))
    rows = pa.ipc.open_file(tmp_path / "shard.arrow").read_all().to_pylist()
    assert len(rows) == len(pairs) > 100
    for row, number in zip(rows, order.tolist(), strict=True):
        ids = np.array(row["input_ids"])
        ids[row["masked_lm_positions"]] = row["masked_lm_ids"]
        a, b = (
            tokenised.ids[start[number] :][: length[number]].tolist()
            for start, length in (
                (pairs.a_start, pairs.a_length),
                (pairs.b_start, pairs.b_length),
            )
        )
        assert ids.tolist() == [CLS_ID, *a, SEP_ID, *b, SEP_ID]
        assert row["segment_a_length"] == len(a) + 2
        assert row["next_sentence_label"] == pairs.not_next[number]


def test_places_in_64_bits_give_the_same_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_shard(tmp_path / "32.arrow")
    monkeypatch.setattr(instances, "_MOST_IN_32_BITS", 0)
    write_shard(tmp_path / "64.arrow")
    assert (tmp_path / "32.arrow").read_bytes() == (tmp_path / "64.arrow").read_bytes()
