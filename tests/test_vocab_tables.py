import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertctl.pipeline.vocab import tables
from bertctl.pipeline.vocab.tables import (
    Table,
    WordCounts,
    added_up,
    sum_counts,
    system_memory,
    write_table,
)

WORD = st.text(st.sampled_from("abéß中😀\uffff"), min_size=1, max_size=3)


def table_of(counts: dict[str, int]) -> WordCounts:
    words = sorted(counts)
    numbers = [counts[word] for word in words]
    return WordCounts(pa.array(words, pa.string()), pa.array(numbers, pa.int64()))


def rows_of(batches: Iterator[WordCounts]) -> list[tuple[str, int]]:
    return [
        row
        for batch in batches
        for row in zip(batch.words.to_pylist(), batch.counts.to_pylist(), strict=True)
    ]


def in_batches(table: WordCounts, seed: int) -> Iterator[WordCounts]:
    chooser, start = random.Random(seed), 0
    while start < len(table):
        size = chooser.randint(0, 3)
        yield table[start : start + size]
        start += size


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.dictionaries(WORD, st.integers(1, 2**60), max_size=12), max_size=5),
    st.integers(0, 2**32),
)
def test_tables_add_up_to_the_sum_of_their_counts_in_the_order_of_their_bytes(
    some: list[dict[str, int]], seed: int
) -> None:
    expected: Counter[str] = Counter()
    for counts in some:
        expected.update(counts)
    rows = rows_of(added_up([list(in_batches(table_of(each), seed)) for each in some]))
    assert rows == sorted(expected.items(), key=lambda row: row[0].encode())


def test_sum_of_unordered_tables_is_in_order() -> None:
    counted = WordCounts(pa.array(["b", "a", "b"]), pa.array([1, 2, 5]))
    assert rows_of(iter([sum_counts([counted])])) == [("a", 2), ("b", 6)]
    assert not len(sum_counts([]))


def test_equal_counts_are_equal_bytes_however_they_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "ROWS_AT_ONCE", 7)
    whole = table_of({f"wörd{number}": 1 + number % 5 for number in range(100)})
    assert write_table(tmp_path / "whole", [whole]) == (300, 100)
    for seed in range(5):
        assert write_table(tmp_path / "parts", in_batches(whole, seed)) == (300, 100)
        assert (tmp_path / "parts").read_bytes() == (tmp_path / "whole").read_bytes()
    table = Table(tmp_path / "whole")
    # It can be gone over again.
    assert rows_of(iter(table)) == rows_of(iter(table)) == rows_of(iter([whole]))
    assert max(map(len, table)) == 7


def test_table_without_words_is_a_table(tmp_path: Path) -> None:
    assert write_table(tmp_path / "none", []) == (0, 0)
    assert list(Table(tmp_path / "none")) == []
    assert list(added_up([Table(tmp_path / "none"), []])) == []


def test_memory_pool_is_what_it_was_after_the_work() -> None:
    before = pa.default_memory_pool().backend_name

    @system_memory()
    def fail() -> None:
        assert pa.default_memory_pool().backend_name == "system"
        raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert pa.default_memory_pool().backend_name == before
