"""What predict says with fitted models from elsewhere, held against transformers."""

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from bertctl.model.finetuning import (
    BertForMultipleChoice,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
)
from bertctl.pipeline.errors import BadInput
from bertctl.pipeline.finetune.stage import finetune
from bertctl.pipeline.predict.reading import Reading, read_source
from bertctl.pipeline.predict.records import Record
from bertctl.pipeline.predict.settings import PredictHow
from bertctl.pipeline.predict.tokens import tokens_of
from bertctl.pipeline.stage.report import Silent

from .corpora import WORDS
from .finetune_toys import read_lines, squad, write_start, write_task
from .finetune_toys import request as toy_request
from .test_predict import CONFIG, Heard, ask, write
from .test_predict import tokens_of as inputs_of

TOLD_OF_LABELS = ("row", "label", "answers")
TAGS = ("O", "B-a", "I-a", "B-b", "I-b")


def names(labels: Sequence[str]) -> dict[str, str]:
    return {str(id): name for id, name in enumerate(labels)}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("models")
    tagger = BertForTokenClassification(CONFIG, num_labels=len(TAGS))
    write(place / "tagger", tagger, "BertForTokenClassification", id2label=names(TAGS))
    write(place / "reader", BertForQuestionAnswering(CONFIG), "BertForQuestionAnswering")
    write(place / "chooser", BertForMultipleChoice(CONFIG), "BertForMultipleChoice")
    classifier = BertForSequenceClassification(CONFIG, num_labels=2)
    write(place / "unnamed", classifier, "BertForSequenceClassification")
    return place


def rows(*values: dict[str, Any]) -> Reading:
    records = (Record(number, each, number) for number, each in enumerate(values, start=1))
    return Reading(Path("x.jsonl"), records, is_plain=False)


def words(*counts: int) -> list[str]:
    """Draw texts of so many words."""
    random = np.random.default_rng(5)
    return [" ".join(random.choice(WORDS, count)) for count in counts]


@torch.no_grad()
def test_tags_are_those_of_transformers(models: Path) -> None:
    oracle = transformers.AutoModelForTokenClassification.from_pretrained(models / "tagger").eval()
    texts = words(3, 11, 1, 7)
    answers = ask(models / "tagger", rows(*({"tokens": text.split()} for text in texts)))
    for text, answer in zip(texts, answers, strict=True):
        # Each word of this vocabulary is one piece.
        scores = oracle(**inputs_of(text)).logits[0, 1:-1].softmax(dim=1)
        assert answer["predictions"] == [TAGS[id] for id in scores.argmax(dim=1).tolist()]
        assert np.allclose(answer["probabilities"], scores.amax(dim=1), atol=1e-4)
        for each in answer["entities"]:
            assert each["tokens"] == text.split()[each["first"] : each["last"] + 1]


def test_text_is_cut_into_tokens_and_entities_out_of_the_text(models: Path) -> None:
    text = "  stone, river's (b.c.)  letter… 日本b."
    cut = ["stone", ",", "river's", "(", "b.c", ".", ")", "letter", "…", "日", "本", "b", "."]
    assert [token.text for token in tokens_of(text)] == cut
    (answer,) = ask(models / "tagger", text)
    (same,) = ask(models / "tagger", rows({"tokens": cut}))
    assert answer["tokens"] == [text[start:end] for start, end in answer["offsets"]] == cut
    for name in ("predictions", "probabilities"):
        assert answer[name] == same[name]
    for each in answer["entities"]:
        first, last = answer["offsets"][each["first"]], answer["offsets"][each["last"]]
        assert (each["start"], each["end"]) == (first[0], last[1])
        assert each["text"] == text[each["start"] : each["end"]]


def test_tagged_lines_are_read_with_or_without_their_tags(models: Path) -> None:
    how = PredictHow(input_format="conll")
    answers = [
        ask(models / "tagger", read_source(io.BytesIO(lines), how, tagged=True))
        for lines in (b"river O\nstone B-zz\n\nletter O\n", b"river\nstone\n\nletter\n")
    ]
    assert answers[0] == answers[1]
    assert [each["tokens"] for each in answers[0]] == [["river", "stone"], ["letter"]]


@torch.no_grad()
def test_answers_are_those_of_transformers_cut_from_the_text(models: Path) -> None:
    oracle = transformers.AutoModelForQuestionAnswering.from_pretrained(models / "reader").eval()
    asked = [
        {"id": str(length), "question": question, "context": context}
        for length, question, context in zip(
            (5, 12, 3), words(2, 3, 4), words(5, 12, 3), strict=True
        )
    ]
    answers = ask(models / "reader", rows(*asked), n_best_size=3)
    for row, answer in zip(asked, answers, strict=True):
        out = oracle(**inputs_of(row["question"], row["context"]))
        first = len(row["question"].split()) + 2
        start, end = (each[0, first:-1] for each in (out.start_logits, out.end_logits))
        scores = (start[:, None] + end).double()
        scores[torch.ones_like(scores, dtype=torch.bool).tril(-1)] = -torch.inf
        begins, ends = np.unravel_index(int(scores.argmax()), scores.shape)
        said = " ".join(row["context"].split()[begins : ends + 1])
        assert (answer["id"], answer["prediction"]) == (row["id"], said)
        assert row["context"].startswith(said, answer["start"])
        assert answer["probability"] == answer["n_best"][0]["probability"]
        assert len(answer["n_best"]) == 3
    for row, answer in zip(asked, ask(models / "reader", rows(*asked)), strict=True):
        assert "n_best" not in answer
        assert "answers" not in answer
        assert answer["question"] == row["question"]


def test_no_answer_is_given_where_it_scores_above_the_threshold(models: Path) -> None:
    asked = {"question": "river stone", "context": words(9)[0]}
    (certain,) = ask(models / "reader", rows(asked), null_score_diff_threshold=1e6)
    (unsure,) = ask(models / "reader", rows(asked), null_score_diff_threshold=-1e6)
    assert certain["prediction"] in asked["context"]
    assert (unsure["prediction"], unsure["start"]) == ("", None)
    margin = unsure["null_margin"]
    for shift, said in ((1e-3, certain["prediction"]), (-1e-3, "")):
        (answer,) = ask(models / "reader", rows(asked), null_score_diff_threshold=margin + shift)
        assert answer["prediction"] == said


@torch.no_grad()
def test_choices_are_those_of_transformers_however_many_a_row_has(models: Path) -> None:
    oracle = transformers.AutoModelForMultipleChoice.from_pretrained(models / "chooser").eval()
    asked = [
        {"question": question, "choices": words(*counts)}
        for question, counts in zip(words(3, 6), ((2, 5), (4, 1, 3)), strict=True)
    ]
    answers = ask(models / "chooser", rows(*asked))
    for row, answer in zip(asked, answers, strict=True):
        question, choices = row["question"], row["choices"]
        batch = inputs_of([question] * len(choices), choices, padding=True)
        batch = {name: each[None] for name, each in batch.items()}
        shares = oracle(**batch).logits[0].softmax(dim=0)
        assert np.allclose(list(answer["probabilities"].values()), shares, atol=1e-5)
        assert answer["prediction"] == str(int(shares.argmax()))
        assert "label" not in answer
    (told,) = ask(models / "chooser", asked[0]["question"], choice=tuple(asked[0]["choices"]))
    assert told == answers[0]


def test_scores_without_names_get_those_of_transformers(models: Path) -> None:
    (answer,) = ask(models / "unnamed", "river")
    assert list(answer["probabilities"]) == ["LABEL_0", "LABEL_1"]


def test_labels_of_a_file_are_not_looked_at(models: Path, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("text,label\nriver,-\nstone,never seen\n")
    answers = ask(models / "unnamed", tmp_path / "x.csv")
    assert answers == ask(models / "unnamed", rows({"text": "river"}, {"text": "stone"}))


def test_blank_lines_are_rows_of_which_nothing_is_said(models: Path) -> None:
    heard = Heard()
    stream = io.BytesIO(b"river\n\n  \nstone\n")
    answers = ask(models / "unnamed", read_source(stream, PredictHow()), reporter=heard)
    assert [each["prediction"] is None for each in answers] == [False, True, True, False]
    assert answers[3] == ask(models / "unnamed", "stone")[0]
    assert heard.said == [
        "standard input: 2 of 4 lines are blank: of them nothing is predicted (null)."
    ]


def test_long_texts_are_read_as_is_asked_for(models: Path) -> None:
    heard = Heard()
    text = words(40)[0]
    told = {
        how: ask(models / "unnamed", text, long_text=how, max_seq_length=12, reporter=heard)[0]
        for how in ("head", "tail", "window")
    }
    split = text.split()
    for how, part in (("head", split[:10]), ("tail", split[-10:])):
        assert told[how] == ask(models / "unnamed", " ".join(part))[0]
    assert told["window"] not in (told["head"], told["tail"])
    assert heard.said == [
        f"the text: 1 of 1 texts have more than 12 tokens (--max-seq-length): {what}"
        for what in (
            "their ends are cut off.",
            "their beginnings are cut off.",
            "they are read in windows, 7 in all.",
        )
    ]
    with pytest.raises(BadInput, match="token-classification takes one of auto, head, window"):
        ask(models / "tagger", text, long_text="tail")


def test_windows_of_rows_change_no_answer(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [{"tokens": text.split()} for text in words(*(1 + number % 9 for number in range(40)))]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
    together = ask(models / "tagger", tmp_path / "x.jsonl")
    monkeypatch.setattr("bertctl.pipeline.predict.windows.ROWS_AT_ONCE", 7)
    apart = ask(models / "tagger", tmp_path / "x.jsonl")
    for one, other in zip(together, apart, strict=True):
        assert one.pop("probabilities") == pytest.approx(other.pop("probabilities"), abs=1e-4)
        assert one == other


@pytest.mark.parametrize("task", ["sequence-classification", "question-answering"])
def test_windows_and_thresholds_are_those_of_the_fine_tuning(tmp_path: Path, task: str) -> None:
    start = write_start(tmp_path / "start")
    how: dict[str, Any] = {"max_seq_length": 12, "doc_stride": 3, "epochs": 1}
    if task == "sequence-classification":
        write_task(tmp_path, train=24, validation=7, test=19)
        how |= {"long_text": "window", "window_pooling": "vote"}
        asked = toy_request(tmp_path, model=start, **how)
    else:
        for seed, part in enumerate(("train", "validation", "test")):
            asked_of = squad(17, seed, words=23, impossible=True)
            (tmp_path / f"{part}.json").write_text(json.dumps(asked_of))
        asked = toy_request(tmp_path, model=start, task=task, n_best_size=4, **how)
        files = {part: tmp_path / f"{part}.json" for part in ("train", "validation", "test")}
        asked = replace(asked, **files)
    finetune(asked, tmp_path / "out", reporter=Silent())
    assert asked.test is not None
    n_best = {} if task == "sequence-classification" else {"n_best_size": 4}
    answers = ask(tmp_path / "out", asked.test, micro_batch_size=6, **n_best)
    for told, answer in zip(
        read_lines(tmp_path / "out" / "predictions-test.jsonl"), answers, strict=True
    ):
        expected = {name: each for name, each in told.items() if name not in TOLD_OF_LABELS}
        assert answer == expected


@pytest.mark.parametrize(
    ("model", "values", "said"),
    [
        ("tagger", [{"tokens": ["a"]}, {"tokens": []}], r"row 2 \(line 2\): \[\] in the column"),
        ("tagger", [{"tokens": ["a"]}, {"tokens": "b"}], r"row 1 \(line 1\): no text; expected"),
        ("tagger", [{"a": ["b"], "c": ["d"]}], "isn't clear which column is the text; it has 'a'"),
        ("reader", [{"question": "a"}], "has no column 'context'; it has 'question'"),
        ("reader", [{"question": "a", "context": " "}], "row 1 .*no text in the column 'context'"),
        ("chooser", [{"question": "a", "b": "c"}], "isn't clear where the choices stand"),
        ("chooser", [{"question": "a", "choices": ["b"]}], "1 choices; expected at least two"),
        ("unnamed", [{"a": "b", "c": "d"}], "isn't clear which column is the text"),
        ("unnamed", [{"text": "a"}, {"text": None}], r"row 2 \(line 2\): no text in the column"),
        ("unnamed", [{"text": "a"}, {"text": 3}], r"row 2 \(line 2\): 3 in the column 'text'"),
        ("unnamed", [{"text": "\ud800"}], "half a surrogate pair"),
    ],
)
def test_row_that_can_not_be_asked_about_is_named_with_its_place(
    models: Path, model: str, values: list[dict[str, Any]], said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        ask(models / model, rows(*values))


def test_what_a_text_alone_can_not_say_is_asked_for(models: Path) -> None:
    with pytest.raises(BadInput, match="expected the text it is asked of, too"):
        ask(models / "reader", "river")
    with pytest.raises(BadInput, match="1 choices; expected at least two"):
        ask(models / "chooser", "river", choice=("stone",))
