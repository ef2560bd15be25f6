from pathlib import Path

import pyarrow as pa
import pytest

from bertctl.pipeline.shard import instances

from .shard_files import CLS_ID, SEP_ID, write_shard


def test_an_instance_is_its_two_segments_in_their_frame(tmp_path: Path) -> None:
    tokenised = write_shard(tmp_path / "shard.arrow")
    text = tokenised.ids.tolist()
    for row in pa.ipc.open_file(tmp_path / "shard.arrow").read_all().to_pylist():
        ids = row["input_ids"]
        for position, original in zip(
            row["masked_lm_positions"], row["masked_lm_ids"], strict=True
        ):
            ids[position] = original
        end = row["segment_a_length"]
        assert ids[0] == CLS_ID
        assert ids[end - 1] == ids[-1] == SEP_ID
        for segment in (ids[1 : end - 1], ids[end:-1]):
            places = range(len(text) - len(segment) + 1)
            assert segment
            assert any(text[place : place + len(segment)] == segment for place in places)


def test_places_in_64_bits_give_the_same_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_shard(tmp_path / "32.arrow")
    monkeypatch.setattr(instances, "_MOST_IN_32_BITS", 0)
    write_shard(tmp_path / "64.arrow")
    assert (tmp_path / "32.arrow").read_bytes() == (tmp_path / "64.arrow").read_bytes()
