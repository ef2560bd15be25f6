"""Answers: how they are scored, where they stand, and that windows find what whole texts hold."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from bertctl.pipeline.errors import BadInput
from bertctl.pipeline.finetune.examples.questions import (
    choose_question_columns,
    learn_questions,
    read_question_rows,
)
from bertctl.pipeline.finetune.reading.rows import read_table
from bertctl.pipeline.finetune.settings import FinetuneSettings
from bertctl.pipeline.finetune.stage import finetune
from bertctl.pipeline.finetune.tasks.answer_metrics import (
    best_scores,
    cmrc_scores,
    cmrc_units,
    squad_scores,
)
from bertctl.pipeline.finetune.tasks.answering import Rules, answering, best_spans
from bertctl.pipeline.finetune.tasks.contexts import encode_contexts
from bertctl.pipeline.finetune.tasks.task import Items
from bertctl.pipeline.stage.report import Silent
from bertctl.pipeline.wordpiece.encode import WordPieceEncoder
from bertctl.pipeline.wordpiece.vocabulary import Normalization

from .finetune_toys import VOCABULARY, read_lines, request, squad, write_start, write_vocabulary

QA = "question-answering"


# By hand, from the published evaluation of SQuAD: lower case, no punctuation, no articles.
@pytest.mark.parametrize(
    ("said", "true", "expected"),
    [
        ("The Denver Broncos", "denver broncos!", (1, 1)),
        ("in the year 1963", "1963", (0, 2 * (1 / 3) / (4 / 3))),
        ("a", "the", (1, 1)),
        ("", "Paris", (0, 0)),
        ("to be or not to be", "to be", (0, 2 * (2 / 6) / (8 / 6))),
        ("U.S.A.", "usa", (1, 1)),
        ("red sky", "blue sea", (0, 0)),
    ],
)
def test_words_are_compared_as_squad_does(
    said: str, true: str, expected: tuple[float, float]
) -> None:
    assert squad_scores(said, true) == pytest.approx(expected)


# By hand, from the published evaluation of CMRC 2018: the longest common run of characters.
@pytest.mark.parametrize(
    ("said", "true", "expected"),
    [
        ("1963年", "1963年。", (1, 1)),
        ("他于1990年被擢升", "1990年", (0, 2 * (2 / 7) / (2 / 7 + 1))),
        ("《战国无双3》", "战国无双3", (1, 1)),
        ("光荣", "omega force", (0, 0)),
        ("上海北京", "北京上海", (0, 0.5)),
        ("光荣…", "光荣", (0, 2 * (2 / 3) / (2 / 3 + 1))),
    ],
)
def test_characters_are_compared_as_cmrc_does(
    said: str, true: str, expected: tuple[float, float]
) -> None:
    assert cmrc_scores(said, true) == pytest.approx(expected)


def test_chinese_characters_count_one_by_one_and_other_words_whole() -> None:
    assert cmrc_units("由光荣和ω-force开发，v1.5") == "由 光 荣 和 ωforce 开 发 v1.5".split()


def test_best_of_several_answers_counts_and_no_answer_is_right_where_there_is_none() -> None:
    assert best_scores("1963", ["in 1963", "1963"], "words") == (1, 1)
    assert best_scores("", [], "words") == (1, 1)
    assert best_scores("1963", [], "words") == (0, 0)


def rows_of(path: Path, content: Any) -> Any:
    path.write_text(json.dumps(content))
    table = read_table(path)
    asked = FinetuneSettings(task=QA)
    columns = choose_question_columns(table, asked)
    return read_question_rows(table, columns, asked, labelled=True)


def test_offset_that_does_not_fit_is_counted_named_and_not_learnt_from(tmp_path: Path) -> None:
    content = squad(4, 0)
    paragraphs = content["data"][0]["paragraphs"]
    paragraphs[1]["qas"][0]["answers"][0]["answer_start"] += 1
    # Counted from the end it would be right.
    paragraphs[3]["qas"][0]["answers"][0]["answer_start"] -= len(paragraphs[3]["context"])
    examples = rows_of(tmp_path / "train.json", content)
    (news,) = examples.news
    assert "2 of 4 answers" in news
    assert "row 2 (id 'q0-1')" in news
    starts = [row.answers[0].start for row in examples.rows]
    assert [start is None for start in starts] == [False, True, False, True]
    for each in paragraphs:
        each["qas"][0]["answers"][0]["answer_start"] = 99
    with pytest.raises(BadInput, match="not one of 4 answers stands"):
        learn_questions(rows_of(tmp_path / "bad.json", content), FinetuneSettings(task=QA))


def test_question_both_answered_and_impossible_is_refused_with_its_place(tmp_path: Path) -> None:
    content = squad(4, 0, impossible=True)
    empty, second = (each["qas"][0] for each in content["data"][0]["paragraphs"][:2])
    # Some write no answer so.
    empty["answers"] = [{"text": "", "answer_start": -1}]
    assert rows_of(tmp_path / "good.json", content).rows[0].answers == ()
    second["is_impossible"] = True
    with pytest.raises(BadInput, match=r"row 2 \(id 'q0-1'\): is_impossible, but with the answer"):
        rows_of(tmp_path / "bad.json", content)


def test_questions_none_of_which_has_an_answer_teach_nothing(tmp_path: Path) -> None:
    content = squad(1, 0, impossible=True)
    with pytest.raises(BadInput, match="no question has an answer"):
        learn_questions(rows_of(tmp_path / "bad.json", content), FinetuneSettings(task=QA))


def test_two_lists_beside_each_other_are_answers_too(tmp_path: Path) -> None:
    row = {
        "id": "1",
        "question": "who",
        "context": "a big red cat",
        "answers": {"text": ["red", "big red"], "answer_start": [6, 2]},
    }
    (tmp_path / "train.jsonl").write_text(json.dumps(row) + "\n")
    table = read_table(tmp_path / "train.jsonl")
    asked = FinetuneSettings(task=QA)
    columns = choose_question_columns(table, asked)
    (read,) = read_question_rows(table, columns, asked, labelled=True).rows
    assert [(each.text, each.start) for each in read.answers] == [("red", 6), ("big red", 2)]


@settings(max_examples=25)
@given(st.lists(st.text(" \tabé我,.x\u200b\u00a0", max_size=30), min_size=1, max_size=3))
def test_tokens_of_contexts_are_our_encoders_and_know_their_places(texts: list[str]) -> None:
    encoder = WordPieceEncoder(VOCABULARY, Normalization())
    contexts = encode_contexts(encoder, texts)
    for number, text in enumerate(texts):
        pieces = contexts.pieces.take(np.array([contexts.of_row[number]]))
        assert pieces.ids.tolist() == encoder.encode_text(text).tolist()


def encoded(tmp_path: Path, content: Any, **others: Any) -> tuple[Items, Any]:
    examples = rows_of(tmp_path / "some.json", content)
    asked = FinetuneSettings(task=QA, long_text="window", **others)
    encoder = WordPieceEncoder(VOCABULARY, Normalization())
    task = answering(learn_questions(examples, asked), asked, examples, encoder)
    return task.encode(encoder, examples), examples


def test_windows_and_answers_are_where_transformers_puts_them(tmp_path: Path) -> None:
    content = squad(7, 1, words=29)
    items, examples = encoded(tmp_path, content, max_seq_length=20, doc_stride=9)
    tokenizer = AutoTokenizer.from_pretrained(write_vocabulary(tmp_path / "vocab"))
    expected = tokenizer(
        [row.question for row in examples.rows],
        [row.context for row in examples.rows],
        max_length=20,
        truncation="only_second",
        # Theirs is what windows share, google-research/bert's how far apart they are.
        stride=20 - 3 - 3 - 9,
        return_overflowing_tokens=True,
    )
    assert items.rows.tolist() == expected["overflow_to_sample_mapping"]
    assert items.num_windowed == 7
    found = 0
    for item in range(len(items)):
        ids, _, _ = items.sequences.rows(np.array([item]))
        assert ids.tolist() == expected["input_ids"][item]
        sites = items.sites_of(np.array([item]))
        begin, end = (int(column.argmax()) for column in items.targets[sites].T)
        assert items.targets[sites].sum() == 2
        row = examples.rows[items.rows[item]]
        if begin:
            found += 1
            token = ids[items.sites[sites][begin]]
            assert VOCABULARY.tokens[token] == row.answers[0].text.lower()
            assert begin == end
        else:
            assert VOCABULARY.ids[row.answers[0].text.lower()] not in ids.tolist()
    assert found >= 7


def test_every_token_of_a_text_has_one_window_that_shows_it_best(tmp_path: Path) -> None:
    items, _ = encoded(tmp_path, squad(3, 2, words=31), max_seq_length=18, doc_stride=5)
    is_best, ends = items.extra.is_best, np.cumsum(items.num_sites)
    for row in range(3):
        mine = np.flatnonzero(items.rows == row).tolist()
        windows = {n: (items.extra.first[n], items.num_sites[n] - 1) for n in mine}
        shown: list[int] = []
        for item, (first, length) in windows.items():
            best = np.flatnonzero(is_best[ends[item] - length : ends[item]]) + first
            shown += best.tolist()
            for token in best.tolist():
                around = [
                    min(token - begin, begin + count - 1 - token)
                    for begin, count in windows.values()
                    if begin <= token < begin + count
                ]
                assert min(token - first, first + length - 1 - token) == max(around)
        assert sorted(shown) == list(range(31))


@given(st.integers(0, 2**32), st.integers(1, 14), st.integers(1, 6), st.integers(1, 25))
def test_best_stretches_are_those_of_trying_all(
    seed: int, count: int, longest: int, most: int
) -> None:
    random = np.random.default_rng(seed)
    scores = random.normal(size=(count, 2))
    is_best = random.integers(0, 2, size=count)
    rules = Rules(longest, 1000, may_be_none=False, metric="words")
    every = [
        (scores[i, 0] + scores[j, 1], i, j)
        for i in np.flatnonzero(is_best).tolist()
        for j in range(i, min(count, i + longest))
    ]
    every = sorted(every, key=lambda each: -each[0])
    assert best_spans(scores, is_best, rules) == every
    # However few are told, the best is found.
    few = best_spans(scores, is_best, replace(rules, n_best_size=most))
    assert few == every[: max(20, most)]


def test_what_is_told_of_a_question_does_not_depend_on_how_many_answers_are(
    tmp_path: Path,
) -> None:
    content = squad(3, 2, words=9, impossible=True)
    nothing = {"id": "x", "question": "on", "answers": [], "is_impossible": True}
    content["data"][0]["paragraphs"].append({"context": "\u200b", "qas": [nothing]})
    examples = rows_of(tmp_path / "some.json", content)
    encoder = WordPieceEncoder(VOCABULARY, Normalization())
    told: list[list[dict[str, Any]]] = []
    for most in (1, 20):
        asked = FinetuneSettings(task=QA, n_best_size=most, long_text="window", max_seq_length=30)
        task = answering(learn_questions(examples, asked), asked, examples, encoder)
        items = task.encode(encoder, examples)
        # Answers that begin last and end first are the likeliest, were they answers.
        outputs = np.linspace((-4, 4), (4, -4), len(items.sites), dtype=np.float32)
        judged = task.judge(items, outputs, examples, {})
        told.append([judged.tell(row) for row in range(4)])
    one, many = told
    for few, several in zip(one, many, strict=True):
        assert few["n_best"] == several["n_best"][:1]
        assert {**few, "n_best": []} == {**several, "n_best": []}
    assert [len(each["n_best"]) for each in one] == [1, 1, 1, 0]
    assert [each["null_margin"] is None for each in one] == [False] * 3 + [True]


def test_threshold_that_is_best_for_validation_is_kept_and_used(tmp_path: Path) -> None:
    start = write_start(tmp_path / "start")
    for seed, (part, count) in enumerate({"train": 60, "validation": 21, "test": 11}.items()):
        content = squad(count, seed, impossible=True)
        (tmp_path / f"{part}.json").write_text(json.dumps(content))
    asked = request(
        tmp_path, model=start, task=QA, epochs=3, batch_size=8, learning_rate=1e-2,
        max_seq_length=30,
    )  # fmt: skip
    files = {part: tmp_path / f"{part}.json" for part in ("train", "validation", "test")}
    finetune(replace(asked, **files), tmp_path / "out", reporter=Silent())
    config = json.loads((tmp_path / "out" / "model" / "config.json").read_text())
    threshold = config["null_score_diff_threshold"]
    found = json.loads((tmp_path / "out" / "metrics.json").read_text())["mean"]["validation"]
    told = read_lines(tmp_path / "out" / "predictions-validation.jsonl")
    scores: dict[float, float] = {}
    for other in (threshold, *(each["null_margin"] for each in told)):
        said = [each["n_best"][0]["text"] if each["null_margin"] <= other else "" for each in told]
        each = [best_scores(a, b["answers"], "words")[1] for a, b in zip(said, told, strict=True)]
        scores[other] = float(np.mean(each))
    assert scores[threshold] == pytest.approx(max(scores.values())) == found["f1"]
    assert [bool(each["prediction"]) for each in told] == [
        each["null_margin"] <= threshold for each in told
    ]
    assert {"has_answer_f1", "no_answer_f1"} <= found.keys()


def test_question_whose_answer_is_not_found_teaches_nothing(tmp_path: Path) -> None:
    start = write_start(tmp_path / "start")
    content = squad(12, 0)
    (tmp_path / "without.json").write_text(json.dumps(content))
    stray = squad(1, 5)["data"][0]["paragraphs"][0]
    stray["qas"][0]["answers"][0]["answer_start"] += 1
    content["data"][0]["paragraphs"].insert(4, stray)
    (tmp_path / "with.json").write_text(json.dumps(content))
    asked = request(tmp_path, model=start, parts=("train",), task=QA, epochs=1, max_seq_length=30)
    for name in ("without", "with"):
        again = replace(asked, train=tmp_path / f"{name}.json")
        finetune(again, tmp_path / name, reporter=Silent())
    one, other = (
        (tmp_path / name / "model" / "model.safetensors").read_bytes()
        for name in ("without", "with")
    )
    assert one == other


@pytest.mark.slow
def test_threshold_of_folds_is_used_for_the_model_of_all_rows(tmp_path: Path) -> None:
    start = write_start(tmp_path / "start")
    for seed, (part, count) in enumerate({"train": 40, "test": 11}.items()):
        (tmp_path / f"{part}.json").write_text(json.dumps(squad(count, seed, impossible=True)))
    asked = request(
        tmp_path, model=start, parts=("train",), task=QA, folds=2, max_seq_length=30, epochs=1
    )
    files = {part: tmp_path / f"{part}.json" for part in ("train", "test")}
    finetune(replace(asked, **files), tmp_path / "out", reporter=Silent())
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    name = "null_score_diff_threshold"
    mean = np.mean([each["tuned"][name] for each in metrics["folds"]])
    config = json.loads((tmp_path / "out" / "model" / "config.json").read_text())
    assert config[name] == pytest.approx(mean)
    for each in read_lines(tmp_path / "out" / "predictions-test.jsonl"):
        assert bool(each["prediction"]) == (each["null_margin"] <= config[name])
