import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bertctl.pipeline.errors import BadInput
from bertctl.pipeline.finetune.examples.classes import check_single, learn_single, read_single
from bertctl.pipeline.finetune.examples.columns import Columns, choose_text_columns
from bertctl.pipeline.finetune.examples.examples import Examples, Known
from bertctl.pipeline.finetune.examples.texts import TextRow
from bertctl.pipeline.finetune.reading.rows import Table
from bertctl.pipeline.finetune.settings import FinetuneSettings

COLUMNS = Columns("text", None, "label")


def table(**columns: list[Any]) -> Table:
    count = len(next(iter(columns.values())))
    return Table(Path("some.csv"), "", columns, [2 * row + 3 for row in range(count)])


def read_examples(
    some: Table, columns: Columns, *, labelled: bool, ignore_label: Sequence[str] = ()
) -> Examples[TextRow]:
    asked = FinetuneSettings(ignore_label=tuple(ignore_label))
    return read_single(some, columns, asked, labelled=labelled)


def labels_of(examples: Examples[TextRow]) -> list[str | None]:
    return [row.label for row in examples.rows]


def label_names(examples: Examples[TextRow]) -> tuple[str, ...]:
    return learn_single(examples, FinetuneSettings()).labels


def named(*names: str) -> Table:
    return table(**{name: ["x"] for name in names})


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("text", "category"), ("text", None, "category")),
        (("Sentiment", "Text"), ("Text", None, "Sentiment")),
        (("premise", "hypothesis", "label"), ("premise", "hypothesis", "label")),
        (("id", "label0", "sentence1", "sentence2", "label"), ("sentence1", "sentence2", "label")),
        (("pair_ID", "sentence_A", "sentence_B", "label"), ("sentence_A", "sentence_B", "label")),
        (("question", "sentence", "label"), ("question", "sentence", "label")),
        (("label", "what was said"), ("what was said", None, "label")),
        (("text", "stars"), ("text", None, "stars")),
    ],
)
def test_columns_of_common_data_sets_are_guessed(
    names: tuple[str, ...], expected: tuple[str, str | None, str]
) -> None:
    assert choose_text_columns(named(*names), FinetuneSettings()) == Columns(*expected)


@pytest.mark.parametrize(
    ("names", "flag"),
    [
        (("a", "b"), "--text-column"),
        (("text", "review", "label"), "--text-column"),
        (("text", "sentence1", "sentence2", "label"), "--text-column"),
        (("text", "label", "category"), "--label-column"),
        (("What is it ?", "It is this .", "0"), "--text-column"),
    ],
)
def test_names_that_leave_it_open_are_asked_about(names: tuple[str, ...], flag: str) -> None:
    with pytest.raises(BadInput, match=r"it isn't clear which column") as refused:
        choose_text_columns(named(*names), FinetuneSettings())
    assert flag in refused.value.hint
    assert all(repr(name) in refused.value.message for name in names)


def test_what_is_named_is_not_guessed() -> None:
    settings = FinetuneSettings(text_column="title", label_column="stars")
    assert choose_text_columns(named("text", "title", "stars", "label"), settings) == Columns(
        "title", None, "stars"
    )
    settings = FinetuneSettings(text_pair_column="title")
    assert choose_text_columns(named("text", "title", "label"), settings) == Columns(
        "text", "title", "label"
    )


def test_named_column_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(BadInput, match=r"no column 'txt'; it has 'text', 'label'"):
        choose_text_columns(named("text", "label"), FinetuneSettings(text_column="txt"))
    with pytest.raises(BadInput, match=r"can't be two things"):
        choose_text_columns(
            named("text", "label"), FinetuneSettings(label_column="text", text_column="text")
        )


def test_labels_are_read_by_name_whatever_they_are_in_json() -> None:
    some = table(text=list("abcd"), label=["x ", 1, True, None])
    assert labels_of(read_examples(some, COLUMNS, labelled=False)) == ["x", "1", "true", None]


def test_labels_are_ordered_by_number_where_all_are_whole_numbers() -> None:
    def names(*labels: str) -> tuple[str, ...]:
        some = table(text=["t"] * len(labels), label=list(labels))
        return label_names(read_examples(some, COLUMNS, labelled=True))

    assert names("10", "9", "-1", "9") == ("-1", "9", "10")
    assert names("10", "9", "x", "9") == ("10", "9", "x")
    endless = "1" * 5000
    assert names(endless, "9", "9") == (endless, "9")


def test_ignored_labels_are_no_labels() -> None:
    some = table(text=list("abcd"), label=["x", "-", "y", "-"])
    examples = read_examples(some, COLUMNS, ignore_label=["-"], labelled=True)
    assert labels_of(examples) == ["x", None, "y", None]
    assert (len(examples), examples.num_labelled) == (4, 2)
    assert [row.text for row in examples.to_learn_from().rows] == ["a", "c"]
    assert examples.to_learn_from().place(1) == "some.csv, row 3 (line 7)"


def test_file_of_ignored_labels_alone_can_score_nothing() -> None:
    some = table(text=list("ab"), label=["x", "x"])
    with pytest.raises(BadInput, match="no row has a label"):
        read_examples(some, COLUMNS, ignore_label=["x"], labelled=True)


def test_rows_of_another_file_are_recognised_with_their_pair() -> None:
    columns = Columns("text", "pair", "label")
    train, test = (
        read_examples(table(text=list(texts), pair=list(pairs)), columns, labelled=False)
        for texts, pairs in (("aab", "xyz"), ("abba", "zzyx"))
    )
    assert test.num_also_in(train) == 2


def test_minus_is_a_label_where_plus_is_one() -> None:
    some = table(text=list("ab"), label=["+", "-"])
    assert labels_of(read_examples(some, COLUMNS, labelled=True)) == ["+", "-"]


def test_only_a_file_to_predict_may_lack_labels() -> None:
    some = table(text=["a", "b"])
    assert labels_of(read_examples(some, COLUMNS, labelled=False)) == [None, None]
    with pytest.raises(BadInput, match=r"no column 'label'"):
        read_examples(some, COLUMNS, labelled=True)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"text": ["a", " "], "label": ["x", "y"]}, r"row 2 \(line 5\): no text in .*'text'"),
        ({"text": ["a", None], "label": ["x", "y"]}, r"row 2 \(line 5\): no text"),
        ({"text": [7, "b"], "label": ["x", "y"]}, r"row 1 \(line 3\): 7 in the column 'text'"),
        ({"text": ["a", json.loads('"\\ud800"')], "label": ["x", "y"]}, r"row 2 .*surrogate"),
        ({"text": ["a", "b"], "label": ["x", ""]}, r"row 2 \(line 5\): no label"),
        ({"text": ["a", "b"], "label": ["x", "-"]}, r"row 2 \(line 5\): the label is '-'"),
        ({"text": ["a", "b"], "label": [["x", "y"], "x"]}, r"row 1 .*expected one label"),
        ({"text": ["a", "b"], "label": ["x", "x"]}, r"only the label 'x'"),
        ({"text": ["a", "b", "c"], "label": ["0.5", "0.1", "0.7"]}, r"a label of its own"),
    ],
)
def test_row_that_cannot_be_learned_from_is_refused_with_its_place(
    columns: dict[str, list[Any]], expected: str
) -> None:
    with pytest.raises(BadInput, match=expected):
        label_names(read_examples(table(**columns), COLUMNS, labelled=True))


def test_label_never_seen_in_training_is_refused_with_its_place() -> None:
    some = table(text=["a", "b", "c"], label=["x", "y", "z"])
    examples = read_examples(some, COLUMNS, labelled=True)
    with pytest.raises(
        BadInput, match=r"row 3 \(line 7\): the label 'z' was never seen"
    ) as refused:
        check_single(examples, Known(("x", "y")))
    assert "'x', 'y'" in refused.value.message
