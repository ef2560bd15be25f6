"""What can't be learnt from is refused with its file and row, before anything is written."""

import json
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bertctl.pipeline.errors import BadInput
from bertctl.pipeline.finetune.compatibility import check_compatibility
from bertctl.pipeline.finetune.examples.examples import Examples, Known
from bertctl.pipeline.finetune.examples.kinds import kind_of, settled
from bertctl.pipeline.finetune.reading.rows import read_table
from bertctl.pipeline.finetune.request import FinetuneRequest
from bertctl.pipeline.finetune.settings import FinetuneSettings
from bertctl.pipeline.finetune.stage import finetune
from bertctl.pipeline.stage.report import Silent

from .finetune_toys import request, tagged_rows, write_lines, write_start, write_task


def learnt(path: Path, content: str | bytes, **settings: Any) -> tuple[Examples[Any], Known]:
    """Read a training file and learn what it teaches, as the stage does."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    asked = FinetuneSettings(**settings)
    kind = kind_of(asked)
    table = read_table(path, kinds=kind.files)
    columns = kind.columns(table, asked)
    kind = settled(kind, table, columns, asked)
    examples = kind.read(table, columns, asked, labelled=True)
    known = kind.learn(examples, asked)
    return kind.fit(examples, known, asked), known


def lines(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


REGRESSION = {"task": "regression"}
TAGS = {"task": "token-classification"}
CHOICE = {"task": "multiple-choice"}
QUESTIONS = {"task": "question-answering"}
SENTENCE = "a\tO\nred\tB-X\nsky\tI-X\n\n"
CHOICES = 'question,sent0,sent1,label\n"what, now?",a sky,a tree,0\nwho,a cat,a dog,1\n'


@pytest.mark.parametrize(
    ("name", "content", "settings", "expected"),
    [
        (
            "t.csv",
            "text,score\na,1.5\nb,high\n",
            REGRESSION,
            r"row 2 \(line 3\): \"high\" in .*number",
        ),
        ("t.csv", "text,score\na,1\nb,inf\n", REGRESSION, r"row 2 \(line 3\): \"inf\""),
        ("t.csv", "text,score\na,1\nb,1_000\n", REGRESSION, r"row 2 .*1_000"),
        ("t.csv", "text,score\na,1\nb,\n", REGRESSION, r"row 2 \(line 3\): no label"),
        ("t.csv", "text,score\na,2\nb,2.0\n", REGRESSION, r"holds only the number 2"),
        ("t.csv", "text,label\na,x|y\nb,x|\nc,z\n", {}, None),
        ("t.csv", "text,label\na,x|y\nb,x|x\n", {}, r"row 2 .*all different"),
        ("t.csv", "text,label\na,x|y\nb,\n", {}, r"row 2 \(line 3\): no label"),
        ("t.csv", "text,label\na,x|y\nb,u|v\n", {}, r"4 different labels on 2 rows"),
        ("t.conll", SENTENCE + "sky O\n", TAGS, r"line 5: 1 instead of 2 fields|line 5: one field"),
        ("t.conll", "sky\n", TAGS, r"line 1: one field"),
        ("t.conll", "a\tO\nsky\t\n", TAGS, r"line 2: .*field"),
        (
            "t.conll",
            SENTENCE + "sky\tO\ntree\tI-X\n",
            TAGS,
            r"row 2 \(line 5\), token 2 \('tree'\): the tag is 'I-X'; IOB2 would have 'B-X'",
        ),
        ("t.conll", "a\tO\nsky\tO\n", TAGS, r"only the tag 'O'"),
        (
            "t.jsonl",
            lines({"tokens": ["a", "b"], "tags": ["O"]}),
            TAGS,
            r"row 1 \(line 1\): 1 tags for 2 tokens",
        ),
        ("t.jsonl", lines({"tokens": "a b", "tags": ["O"]}), TAGS, r"row 1 .*expected a list"),
        ("t.jsonl", lines({"tokens": ["a", " "], "tags": ["O", "O"]}), TAGS, r"row 1 .*no text"),
        (
            "t.jsonl",
            lines({"words": ["a"], "tokens": ["a"], "tags": ["O"]}),
            TAGS,
            r"isn't clear which columns",
        ),
        (
            "t.csv",
            CHOICES + "who,a,b,2\n",
            CHOICE,
            r"row 3 \(line 4\): the answer is '2'; expected one of 0, 1",
        ),
        ("t.csv", CHOICES + "who,a,,0\n", CHOICE, r"row 3 \(line 4\): 1 choices"),
        ("t.csv", CHOICES + "who,a,b,\n", CHOICE, r"row 3 \(line 4\): no answer"),
        ("t.csv", CHOICES[: CHOICES.rindex("who")], CHOICE, r"always stands in the same place"),
        ("t.csv", "question,sent0,sent1\nwho,a,b\n", CHOICE, r"isn't clear where the answer stand"),
        (
            "t.jsonl",
            lines({"choices": "a b", "label": 0}),
            CHOICE,
            r"row 1 .*expected a list of choices",
        ),
        (
            "t.jsonl",
            lines({"choices": ["a", "b"], "answer": "C"}),
            CHOICE,
            r"the answer is 'C'; expected one of 0, 1",
        ),
        (
            "t.json",
            '{"data": [{"paragraphs": [{"qas": []}]}]}',
            QUESTIONS,
            r"data 1, paragraphs 1 has no text 'context'",
        ),
        (
            "t.jsonl",
            lines({"choices": ["1", "0"], "label": 1}),
            CHOICE,
            r"row 1 .*may be a choice's number, or a choice itself",
        ),
        ("t.json", '{"data": 3}', QUESTIONS, r"the file has no list 'data'"),
        (
            "t.jsonl",
            lines({"question": "a", "context": " ", "answers": []}),
            QUESTIONS,
            r"row 1 \(line 1\): no text in the column 'context'",
        ),
        (
            "t.jsonl",
            lines({"question": "a", "context": "b", "answers": ["b"]}),
            QUESTIONS,
            r"row 1 .*expected a list of answers",
        ),
        (
            "t.jsonl",
            lines({"question": "a", "context": "b", "answers": None}),
            QUESTIONS,
            r"row 1 \(line 1\): no answers",
        ),
        (
            "t.jsonl",
            lines({"question": "a", "text": "b", "answers": None}),
            QUESTIONS,
            r"no column 'context'",
        ),
        ("t.parquet", b"PAR1 and no more", {}, r"can't be read as Parquet"),
    ],
)
def test_row_that_cannot_be_learned_from_is_refused_with_its_place(
    tmp_path: Path, name: str, content: str | bytes, settings: dict[str, Any], expected: str | None
) -> None:
    expected = expected or r"row 2 \(line 3\): .*all there"
    with pytest.raises(BadInput, match=expected) as refused:
        learnt(tmp_path / name, content, **settings)
    assert str(tmp_path / name) in refused.value.message
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_byte_order_mark_and_line_ends_of_windows_change_nothing(
    tmp_path: Path, line_end: str, mark: str
) -> None:
    content = "# id 7\n" + SENTENCE + "-DOCSTART-\tO\n\n" + SENTENCE.replace("sky", "#tree")
    examples, known = learnt(tmp_path / "t.conll", (mark + content).replace("\n", line_end), **TAGS)
    assert [row.tokens for row in examples.rows] == [("a", "red", "sky"), ("a", "red", "#tree")]
    assert known.labels == ("O", "B-X", "I-X")
    # A quoted field may hold a line end of its own.
    text = 'question,sent0,sent1,label\n"what\nnow",a,b,1\nwho,a,b,0\n'
    examples, _ = learnt(tmp_path / "t.csv", mark + text.replace("\n", line_end), **CHOICE)
    assert [row.right for row in examples.rows] == [1, 0]
    assert examples.rows[0].text.split() == ["what", "now"]


@pytest.mark.parametrize(
    "content",
    [
        "a O\nred B-X\n",
        "a\tDT\tO\nred\tJJ\tB-X\n",
        "a DT B-NP O\nred JJ I-NP B-X\n",
        "1\ta\tO\t-\t-\n2\tred\tB-X\t-\tme\n",
    ],
)
def test_tokens_and_tags_are_found_in_two_to_five_columns(tmp_path: Path, content: str) -> None:
    examples, _ = learnt(tmp_path / "t.txt", content, **TAGS)
    (row,) = examples.rows
    assert (row.tokens, row.tags) == (("a", "red"), ("O", "B-X"))


def test_named_columns_are_taken_instead(tmp_path: Path) -> None:
    content = "a DT B-NP O\nred JJ I-NP B-X\n"
    examples, known = learnt(tmp_path / "t.txt", content, label_column="2", **TAGS)
    assert examples.rows[0].tags == ("DT", "JJ")
    assert known.config == {}


def test_tags_are_learnt_in_another_scheme_where_that_is_asked_for(tmp_path: Path) -> None:
    examples, known = learnt(tmp_path / "t.conll", SENTENCE, convert_tags="BIOES", **TAGS)
    assert examples.rows[0].tags == ("O", "B-X", "E-X")
    assert known.labels == ("O", "B-X", "I-X", "E-X", "S-X")
    assert known.config == {"tag_scheme": "BIOES"}


def test_broken_tags_are_taken_as_they_are_where_that_is_asked_for(tmp_path: Path) -> None:
    content = SENTENCE + "sky\tO\ntree\tI-X\n"
    examples, _ = learnt(tmp_path / "t.conll", content, tag_scheme="any", **TAGS)
    assert examples.rows[1].tags == ("O", "I-X")


@pytest.mark.parametrize(
    ("content", "right"),
    [
        ("choice1,choice2,answer\na,b,2\na,b,1\n", [1, 0]),
        ("OptionA,OptionB,OptionC,answer\na,b,c,C\na,b,,B\n", [2, 1]),
        ("x,y,label\na,b,b\na,b,a\n", [1, 0]),
    ],
)
def test_right_choice_is_named_as_the_columns_are_or_by_itself(
    tmp_path: Path, content: str, right: list[int]
) -> None:
    given = {"choice_column": ("x", "y")} if content.startswith("x") else {}
    examples, _ = learnt(tmp_path / "t.csv", content, **CHOICE, **given)
    assert [row.right for row in examples.rows] == right


def test_lists_of_choices_are_of_any_length_and_lettered_or_numbered(tmp_path: Path) -> None:
    rows = [
        {"options": ["a", "b"], "question": "q", "answer": "B"},
        {"options": ["a", "b", "c"], "question": "q", "answer": 0},
        {"options": ["a", "b", "c", "d"], "question": "q", "answer": "d"},
    ]
    examples, _ = learnt(tmp_path / "t.jsonl", lines(*rows), **CHOICE)
    assert [row.right for row in examples.rows] == [1, 0, 3]


def test_parquet_is_read_like_the_other_tables(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a", "b"], "labels": [["x"], []]}), tmp_path / "t.parquet")
    content = (tmp_path / "t.parquet").read_bytes()
    examples, known = learnt(tmp_path / "t.parquet", content)
    assert [row.label for row in examples.rows] == [("x",), ()]
    assert known.config["problem_type"] == "multi_label_classification"
    assert examples.place(1).endswith("t.parquet, row 2")


def test_labels_of_parquet_that_json_lacks_are_named_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"

    def read(labels: list[Any], **settings: Any) -> list[Any]:
        pq.write_table(pa.table({"text": list("abcd")[: len(labels)], "label": labels}), path)
        return [row.label for row in learnt(path, path.read_bytes(), **settings)[0].rows]

    dates = [date(2020, 1, 2), date(2021, 3, 4), date(2020, 1, 2)]
    assert read(dates) == ["2020-01-02", "2021-03-04", "2020-01-02"]
    grades = [Decimal("1.50"), Decimal("-1.00"), Decimal("1.50"), Decimal("2.25")]
    assert read(grades, ignore_label=("-1.00",)) == ["1.50", None, "1.50", "2.25"]
    assert read([dates[:2], dates[2:]]) == [("2020-01-02", "2021-03-04"), ("2020-01-02",)]
    with pytest.raises(BadInput, match=r"t.parquet, row 1: b'x', bytes in the column 'label'"):
        read([b"x", b"y", b"x"])
    with pytest.raises(BadInput, match="expected labels that are all there"):
        read([[dates[0], dates[0]], dates[1:2]])


ASKED = FinetuneRequest(model="random:tiny", train=Path("t.csv"))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"task": "regression", "class_weights": "balanced"}, "--class-weights means nothing"),
        ({"max_answer_length": 9}, "--max-answer-length means nothing to --task sequence-"),
        ({"task": "question-answering", "long_text": "tail"}, "--long-text is 'tail'"),
        ({"task": "multiple-choice", "long_text": "window"}, "--long-text is 'window'"),
        ({"doc_stride": 9}, "--doc-stride means nothing where texts aren't read in windows"),
        ({"window_pooling": "vote", "long_text": "tail"}, "--window-pooling means nothing where"),
        ({"task": "token-classification", "ignore_label": ("X",)}, "--ignore-label means nothing"),
        ({"grid": True}, "--grid needs rows to choose by"),
        ({"early_stopping": 2}, "--early-stopping needs rows to choose by"),
        ({"grid": True, "folds": 3, "batch_size": 8}, "--batch-size is one of the things"),
    ],
)
def test_setting_that_would_mean_nothing_is_refused(
    settings: dict[str, Any], expected: str
) -> None:
    with pytest.raises(BadInput, match=expected):
        check_compatibility(replace(ASKED, settings=FinetuneSettings(**settings)))


def test_folds_beside_a_validation_file_are_refused() -> None:
    asked = replace(ASKED, validation=Path("v.csv"), settings=FinetuneSettings(folds=3))
    with pytest.raises(BadInput, match="there is a --validation file, too"):
        check_compatibility(asked)


def test_model_that_reads_left_to_right_judges_no_text_by_its_first_token(tmp_path: Path) -> None:
    start = write_start(tmp_path / "start")
    config = json.loads((start / "config.json").read_text())
    (start / "config.json").write_text(json.dumps({**config, "is_decoder": True}))
    write_task(tmp_path / "task", train=12)
    with pytest.raises(BadInput, match="reads from left to right"):
        finetune(request(tmp_path / "task", model=start), tmp_path / "out", reporter=Silent())
    tagged = write_lines(tmp_path / "t.jsonl", tagged_rows(12, 0))
    asked = request(tmp_path, model=start, parts=("train",), task="token-classification", epochs=1)
    finetune(replace(asked, train=tagged), tmp_path / "tags", reporter=Silent())


def test_more_layers_than_the_model_has_are_refused(tmp_path: Path) -> None:
    write_task(tmp_path / "task", train=12)
    asked = request(tmp_path / "task", model=write_start(tmp_path / "start"), train_layers=3)
    with pytest.raises(BadInput, match=r"--train-layers is 3; the model .* has 2 layers"):
        finetune(asked, tmp_path / "out", reporter=Silent())


def test_ignored_label_is_left_out_and_a_row_of_no_other_is_not_known(tmp_path: Path) -> None:
    content = "text,label\na,x|-\nb,-\nc,y|x\n"
    examples, known = learnt(tmp_path / "t.csv", content, ignore_label=("-",))
    assert [row.label for row in examples.rows] == [("x",), None, ("y", "x")]
    assert known.labels == ("x", "y")


def test_more_folds_than_different_rows_are_refused(tmp_path: Path) -> None:
    write_task(tmp_path / "task", train=3)
    train = (tmp_path / "task" / "train.csv").read_text()
    (tmp_path / "task" / "train.csv").write_text(train + train.partition("\n")[2])
    asked = request(
        tmp_path / "task", model=write_start(tmp_path / "start"), parts=("train",), folds=4
    )
    with pytest.raises(BadInput, match=r"--folds is 4; .*train\.csv has 3 different rows"):
        finetune(asked, tmp_path / "out", reporter=Silent())
