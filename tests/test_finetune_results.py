"""What is told of a finished run beside its figures, and of rows without a label."""

import json
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.metrics

from bertctl.pipeline.finetune.examples.classes import SINGLE
from bertctl.pipeline.finetune.examples.examples import Examples, Known
from bertctl.pipeline.finetune.examples.texts import TextRow
from bertctl.pipeline.finetune.reading.rows import Table
from bertctl.pipeline.finetune.results import by_length, intervals, worst_errors
from bertctl.pipeline.finetune.settings import FinetuneSettings
from bertctl.pipeline.finetune.stage import finetune
from bertctl.pipeline.finetune.tasks.classes import classes
from bertctl.pipeline.finetune.tasks.sequences import Sequences
from bertctl.pipeline.finetune.tasks.task import Items, Judgement, whole_sequences
from bertctl.pipeline.stage.report import Silent

from .finetune_toys import (
    choice_rows,
    read_lines,
    request,
    scored_rows,
    several_rows,
    squad,
    tagged_rows,
    write_lines,
    write_start,
)

LABELS = ("x", "y", "z")
ROWS = 200


def judged() -> tuple[Judgement, Items, Examples[TextRow]]:
    """Judge rows of every length, a third of them wrong, of which some have no label."""
    random = np.random.default_rng(1)
    truth = random.integers(0, 3, size=ROWS)
    said = np.where(random.uniform(size=ROWS) < 0.66, truth, random.integers(0, 3, size=ROWS))
    outputs = random.normal(size=(ROWS, 3)).astype(np.float32)
    outputs[np.arange(ROWS), said] += 4
    truth[::9] = -1
    lengths = random.integers(3, 700, size=ROWS)
    some = [TextRow(f"t{n}", None, None if t < 0 else LABELS[t]) for n, t in enumerate(truth)]
    examples = Examples(Table(Path("t.csv"), "", {"": some}, []), some, range(ROWS))
    task = classes(Known(LABELS, {"problem_type": SINGLE}), FinetuneSettings(), examples)
    sequences = Sequences(np.zeros(lengths.sum(), np.uint16), lengths, lengths)
    items = whole_sequences(sequences, np.arange(ROWS), truth, num_rows=ROWS)
    return task.judge(items, outputs, examples, {}), items, examples


def test_interval_is_that_of_drawing_rows_again_and_always_the_same() -> None:
    some, _, _ = judged()
    told = intervals(some, seed=3, name="test")
    assert told is not None
    assert told == intervals(some, seed=3, name="test")
    assert told != intervals(some, seed=4, name="test") != intervals(some, seed=4, name="other")
    found = some.measure()
    assert found is not None
    for figure, (low, high) in told.items():
        assert low < found[figure] < high
    share, count = found["accuracy"], len(some.scored)
    # The share of right ones among drawn rows is binomial.
    half = 1.96 * np.sqrt(share * (1 - share) / count)
    assert told["accuracy"] == pytest.approx([share - half, share + half], abs=0.02)


def test_table_by_length_parts_the_scored_rows() -> None:
    some, items, _ = judged()
    table = by_length(some, items)
    assert list(table) == ["1-16", "17-32", "33-64", "65-128", "129-256", "257-512", "513-more"]
    assert sum(each["rows"] for each in table.values()) == len(some.scored)
    found = some.measure()
    assert found is not None
    mean = sum(each["rows"] * each["accuracy"] for each in table.values()) / len(some.scored)
    assert mean == pytest.approx(found["accuracy"])
    lengths = items.sequences.lengths[some.scored]
    assert table["33-64"]["rows"] == ((lengths > 32) & (lengths <= 64)).sum()


def test_errors_are_wrong_and_the_surest_come_first() -> None:
    some, _, examples = judged()
    errors = worst_errors(some, examples)
    assert all(each["text"] == f"t{each['row'] - 1}" for each in errors)
    assert len(errors) == 20
    sure = [each["confidence"] for each in errors]
    assert sure == sorted(sure, reverse=True)
    assert all(each["label"] not in (None, each["prediction"]) for each in errors)
    others = [
        max(told["probabilities"].values())
        for row in range(ROWS)
        if row + 1 not in {each["row"] for each in errors}
        if (told := some.tell(row))["label"] not in (None, told["prediction"])
    ]
    assert max(others) <= sure[-1] + 1e-6


def test_table_by_class_is_sklearns() -> None:
    some, _, _ = judged()
    told = [some.tell(row) for row in some.scored.tolist()]
    expected = sklearn.metrics.precision_recall_fscore_support(
        [each["label"] for each in told], [each["prediction"] for each in told], labels=LABELS
    )
    for name, *figures in zip(LABELS, *expected, strict=True):
        assert list(some.tables["per_class"][name].values()) == pytest.approx(figures)


def test_memory_for_figures_grows_with_the_classes_and_not_their_square() -> None:
    count = 1500
    labels = tuple(f"l{number}" for number in range(count))
    some = [TextRow(f"t{number}", None, labels[7 * number]) for number in range(5)]
    examples = Examples(Table(Path("t.csv"), "", {"": some}, []), some, range(5))
    asked = FinetuneSettings(window_pooling="vote")
    task = classes(Known(labels, {"problem_type": SINGLE}), asked, examples)
    lengths = np.full(5, 3)
    sequences = Sequences(np.zeros(15, np.uint16), lengths, lengths)
    items = whole_sequences(sequences, np.arange(5), 7 * np.arange(5), num_rows=5)
    outputs = np.random.default_rng(2).normal(size=(5, count)).astype(np.float32)
    tracemalloc.start()
    task.judge(items, outputs, examples, {}).measure()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < count**2


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_start(tmp_path_factory.mktemp("start"))


def without(rows: Sequence[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != name} for row in rows]


@pytest.mark.parametrize(
    ("task", "make", "label", "told"),
    [
        ("regression", scored_rows, "score", "label"),
        ("sequence-classification", several_rows, "labels", "labels"),
        ("token-classification", tagged_rows, "tags", "labels"),
        ("multiple-choice", choice_rows, "label", "label"),
        ("question-answering", None, "answers", "answers"),
    ],
)
def test_rows_without_a_label_are_predicted_and_not_scored(
    start: Path, tmp_path: Path, task: str, make: Any, label: str, told: str
) -> None:
    suffix = "jsonl" if make else "json"
    files = {part: tmp_path / f"{part}.{suffix}" for part in ("train", "test")}
    if make:
        write_lines(files["train"], make(12, 0))
        some = make(8, 1)
        write_lines(files["test"], [*without(some[:5], label), *some[5:]])
    else:
        content = squad(8, 1)
        for paragraph in content["data"][0]["paragraphs"][:5]:
            del paragraph["qas"][0]["answers"]
        files["train"].write_text(json.dumps(squad(12, 0)))
        files["test"].write_text(json.dumps(content))
    asked = request(tmp_path, model=start, parts=("train",), task=task, epochs=1)
    finetune(replace(asked, **files), tmp_path / "out", reporter=Silent())
    lines = read_lines(tmp_path / "out" / "predictions-test.jsonl")
    assert [each[told] is None for each in lines] == [True] * 5 + [False] * 3
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert (metrics["rows"]["test"], metrics["labelled_rows"]["test"]) == (8, 3)
    assert metrics["mean"]["test"] is not None
