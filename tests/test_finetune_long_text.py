"""Texts that don't fit: cut by a rule, or read in windows that agree on an answer."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertctl.pipeline.finetune.examples.classes import SINGLE
from bertctl.pipeline.finetune.examples.examples import Examples, Known
from bertctl.pipeline.finetune.examples.tagged import TaggedRow
from bertctl.pipeline.finetune.examples.texts import TextRow
from bertctl.pipeline.finetune.reading.rows import Table
from bertctl.pipeline.finetune.settings import FinetuneSettings
from bertctl.pipeline.finetune.stage import finetune
from bertctl.pipeline.finetune.tasks.classes import classes
from bertctl.pipeline.finetune.tasks.sequences import Pieces, head_of, windows
from bertctl.pipeline.finetune.tasks.tagging import tagging
from bertctl.pipeline.finetune.tasks.task import Items
from bertctl.pipeline.finetune.tasks.texts import encode_texts
from bertctl.pipeline.stage.report import Silent
from bertctl.pipeline.wordpiece.encode import WordPieceEncoder
from bertctl.pipeline.wordpiece.vocabulary import Normalization

from .finetune_toys import (
    VOCABULARY,
    WORDS,
    read_lines,
    request,
    rows,
    write_csv,
    write_lines,
    write_start,
)

TABLE = Table(Path("some.csv"), "", {"": ["x"]}, [])


@pytest.fixture(scope="module")
def encoder() -> WordPieceEncoder:
    return WordPieceEncoder(VOCABULARY, Normalization())


@pytest.mark.parametrize(
    ("length", "kept", "head"), [(600, 510, 128), (799, 510, 128), (801, 510, 256), (150, 102, 26)]
)
def test_head_and_tail_are_kept_by_the_known_rule_scaled(length: int, kept: int, head: int) -> None:
    assert head_of(np.array([length]), np.array([kept])).tolist() == [head]


@given(st.lists(st.tuples(st.integers(0, 25), st.integers(0, 25)), min_size=1, max_size=5))
def test_cut_keeps_the_first_the_last_or_both_ends(sizes: list[tuple[int, int]]) -> None:
    lengths = np.array([max(pair) for pair in sizes])
    kept = np.array([min(pair) for pair in sizes])
    pieces = Pieces(np.arange(lengths.sum()), lengths)
    head = head_of(lengths, kept)
    starts = pieces.starts
    for how, first in {"head": kept, "tail": kept * 0, "head+tail": head}.items():
        found = pieces.cut(kept, how).ids.tolist()
        expected = [
            number
            for start, length, keep, begin in zip(starts, lengths, kept, first, strict=True)
            for number in (
                *range(start, start + begin),
                *range(start + length - keep + begin, start + length),
            )
        ]
        assert found == expected


@given(st.lists(st.integers(0, 60), min_size=1, max_size=5), st.integers(1, 20), st.integers(1, 20))
def test_windows_cover_every_token_and_end_with_the_text(
    lengths: list[int], room: int, stride: int
) -> None:
    stride = min(stride, room)
    some = np.array(lengths)
    found = windows(some, np.full(len(some), room), np.full(len(some), stride))
    assert found.lengths.max(initial=0) <= room
    for row, length in enumerate(lengths):
        mine = found.rows == row
        first, ends = found.first[mine], found.first[mine] + found.lengths[mine]
        assert first.tolist() == list(range(0, stride * mine.sum(), stride))
        covered = set().union(*(range(a, b) for a, b in zip(first, ends, strict=True)))
        assert covered == set(range(length))
        assert ends[-1] == length
        assert (ends[:-1] < length).all()


def texts_of(count: int, words: int) -> list[str]:
    random = np.random.default_rng(3)
    return [" ".join(random.choice(WORDS, size=words)) for _ in range(count)]


def encoded(
    encoder: WordPieceEncoder, texts: Sequence[str], pairs: Sequence[str | None], **settings: Any
) -> Items:
    some = [TextRow(text, pair, None) for text, pair in zip(texts, pairs, strict=True)]
    asked = FinetuneSettings(**settings)
    examples = Examples(TABLE, some, range(len(some)))
    return encode_texts(encoder, examples, np.arange(len(some)), asked)


def test_windows_of_a_pair_show_all_of_the_second_text_beside_the_first(
    encoder: WordPieceEncoder,
) -> None:
    first, second = texts_of(2, 9), texts_of(2, 30)
    items = encoded(encoder, first, second, max_seq_length=15, long_text="window", doc_stride=4)
    shown: list[set[int]] = [set(), set()]
    for item, row in enumerate(items.rows.tolist()):
        ids, length, segment_a = (each.tolist() for each in items.sequences.rows(np.array([item])))
        assert length[0] <= 15
        # Half of the 12 tokens there is room for is the first text's.
        assert ids[1 : segment_a[0] - 1] == encoder.encode_text(first[row]).tolist()[:6]
        place = 4 * int((items.rows[:item] == row).sum())
        b = ids[segment_a[0] : -1]
        assert b == encoder.encode_text(second[row]).tolist()[place : place + len(b)]
        shown[row] |= set(range(place, place + len(b)))
    assert shown == [set(range(30))] * 2
    assert (items.num_cut, items.num_windowed) == (2, 2)
    assert items.targets.tolist() == items.rows.tolist()


def judged(pooling: str) -> Any:
    """Judge three windows of a first text and one of a second, of which we know the logits."""
    known = Known(("x", "y"), {"problem_type": SINGLE})
    rows_ = [TextRow("a", None, "x"), TextRow("b", None, "y")]
    examples = Examples(TABLE, rows_, range(2))
    task = classes(known, FinetuneSettings(window_pooling=pooling), examples)  # pyright: ignore[reportArgumentType]
    sequences = encoded(WordPieceEncoder(VOCABULARY, Normalization()), ["a"] * 4, [None] * 4)
    items = replace(
        sequences, rows=np.array([0, 0, 0, 1]), targets=np.array([0, 0, 0, 1]), num_rows=2
    )
    outputs = np.log([[0.45, 0.55], [0.4, 0.6], [0.99, 0.01], [0.2, 0.8]]).astype(np.float32)
    return task.judge(items, outputs, examples, {})


def test_windows_agree_by_the_mean_of_their_probabilities_or_by_a_vote() -> None:
    mean, vote = judged("mean"), judged("vote")
    assert [mean.tell(row)["prediction"] for row in range(2)] == ["x", "y"]
    assert [vote.tell(row)["prediction"] for row in range(2)] == ["y", "y"]
    expected = (0.45 + 0.4 + 0.99) / 3
    assert mean.tell(0)["probabilities"]["x"] == pytest.approx(expected, abs=1e-5)
    assert mean.measure()["loss"] == pytest.approx(-np.log([expected, 0.8]).mean(), abs=1e-5)
    assert (mean.measure()["accuracy"], vote.measure()["accuracy"]) == (1, 0.5)


def test_token_is_tagged_once_in_the_window_that_shows_most_around_it(
    encoder: WordPieceEncoder,
) -> None:
    tokens = tuple("the red cat xyz sat on a big old dog in you".split())
    some = Examples(TABLE, [TaggedRow(tokens, None), TaggedRow(("sky", "\u200b"), None)], range(2))
    known = Known(("O", "B-X"), {"tag_scheme": "IOB2"})
    asked = FinetuneSettings(max_seq_length=9, doc_stride=2, long_text="window")
    items = tagging(known, asked, some).encode(encoder, some)
    # What no piece is made of is read as unknown, so that it has a tag, too.
    assert items.extra.tolist() == list(range(len(tokens) + 2))
    assert items.num_empty == 1
    pieces = [encoder.encode_text(token).tolist() for token in tokens]
    flat = [id for each in pieces for id in each]
    starts = np.cumsum([0, *map(len, pieces)])
    site = 0
    for item in np.flatnonzero(items.rows == 0).tolist():
        ids = items.sequences.rows(np.array([item]))[0].tolist()
        for place in items.sites[items.sites_of(np.array([item]))].tolist():
            assert ids[place] == pieces[site][0]
            around = min(place - 1, len(ids) - 2 - place)
            best = max(
                min(starts[site] - first, min(first + 7, len(flat)) - 1 - starts[site])
                for first in range(0, len(flat) - 7 + 2, 2)
            )
            assert around == best
            site += 1
    assert site == len(tokens)


@pytest.mark.slow
def test_text_beyond_a_window_is_learnt_and_judged_from_all_windows(tmp_path: Path) -> None:
    """The colour stands anywhere in texts four times as long as a sequence."""
    start = write_start(tmp_path / "start")
    for seed, (part, count) in enumerate({"train": 60, "validation": 21, "test": 24}.items()):
        long = rows(count, seed)
        for number, row in enumerate(long):
            padding = texts_of(1, 20)[0]
            row["text"] = f"{padding} {row['text']}" if number % 2 else f"{row['text']} {padding}"
        write_csv(tmp_path / f"{part}.csv", long)
    found: dict[str, Any] = {}
    for how in ("head", "window"):
        asked = request(tmp_path, model=start, long_text=how, max_seq_length=12, epochs=9)
        finetune(asked, tmp_path / how, reporter=Silent())
        found[how] = json.loads((tmp_path / how / "metrics.json").read_text())
        assert len(read_lines(tmp_path / how / "predictions-test.jsonl")) == 24
    means = {how: each["mean"]["test"]["accuracy"] for how, each in found.items()}
    assert means["window"] > means["head"] + 0.1
    assert found["window"]["windowed_texts"]["test"] == found["head"]["cut_texts"]["test"] == 24


def test_words_beyond_the_head_are_tagged_as_nothing_and_counted(tmp_path: Path) -> None:
    tokens = "a red sky and the red cat sat on the old tree".split()
    tags = ["B-X" if token == "red" else "O" for token in tokens]
    row = {"tokens": tokens, "tags": tags}
    for part in ("train", "test"):
        write_lines(tmp_path / f"{part}.jsonl", [row] * 12)
    asked = request(
        tmp_path, model=write_start(tmp_path / "start"), parts=("train",), epochs=4,
        task="token-classification", long_text="head", max_seq_length=8, batch_size=3,
    )  # fmt: skip
    files = {part: tmp_path / f"{part}.jsonl" for part in ("train", "test")}
    finetune(replace(asked, **files), tmp_path / "out", reporter=Silent())
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["cut_texts"] == {"train": 12, "test": 12}
    told = read_lines(tmp_path / "out" / "predictions-test.jsonl")[0]
    assert told["predictions"] == ["O", "B-X", *["O"] * (len(tokens) - 2)]
    # Five tokens in six pieces are read ("an ##d"): of the others nothing is certain.
    assert [each > 0 for each in told["probabilities"]] == [True] * 5 + [False] * 7
    # One of the two entities lies beyond.
    assert metrics["mean"]["test"]["recall"] == 0.5


def test_words_beyond_the_head_get_no_tag_where_none_means_nothing(
    encoder: WordPieceEncoder,
) -> None:
    row = TaggedRow(("sky", "red", "cat", "tree", "dog"), ("y", "x", "x", "y", "x"))
    some = Examples(TABLE, [row], range(1))
    asked = FinetuneSettings(max_seq_length=5, long_text="head")
    task = tagging(Known(("x", "y")), asked, some)
    items = task.encode(encoder, some)
    outputs = np.array([[0, 3], [3, 0], [0, 3]], np.float32)
    judged = task.judge(items, outputs, some, {})
    told = judged.tell(0)
    assert told["predictions"] == ["y", "x", "y", None, None]
    assert told["probabilities"] == [0.9526] * 3 + [0, 0]
    # Of x one of three is found, of y one of two, and one is said to be y that isn't.
    assert judged.measure() == {"accuracy": 2 / 5, "macro_f1": pytest.approx((2 / 4 + 2 / 4) / 2)}
