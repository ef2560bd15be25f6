"""Each task from its files to a model, figures and predictions, held against other libraries."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
import torch
from transformers import (
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
)

from bertctl.pipeline.finetune.stage import finetune
from bertctl.pipeline.predict.opening import open_model
from bertctl.pipeline.predict.reading import read_source
from bertctl.pipeline.predict.request import PredictRequest
from bertctl.pipeline.predict.run import predict
from bertctl.pipeline.predict.settings import PredictHow
from bertctl.pipeline.stage.report import Silent
from bertctl.pipeline.verify.verify import verify

from .finetune_toys import (
    LABELS,
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
from .seqeval_oracle import entity_scores

COUNTS = {"train": 80, "validation": 20, "test": 35}
MAKERS = {
    "regression": scored_rows,
    "several": several_rows,
    "token-classification": tagged_rows,
    "multiple-choice": choice_rows,
}
LEARNED: dict[str, Any] = {"batch_size": 8, "learning_rate": 1e-2, "max_seq_length": 24}
EPOCHS = {"regression": 4, "several": 6, "multiple-choice": 3, "question-answering": 4}


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_start(tmp_path_factory.mktemp("start"))


@pytest.fixture(scope="module")
def done(start: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Every task's output, each made at its first use."""
    return _Outputs(start, tmp_path_factory.mktemp("tasks"))


class _Outputs(dict[str, Path]):
    def __init__(self, start: Path, directory: Path) -> None:
        super().__init__()
        self._start, self._directory = start, directory

    def __missing__(self, name: str) -> Path:
        place = self._directory / name
        place.mkdir()
        for seed, (part, count) in enumerate(COUNTS.items()):
            if name == "question-answering":
                (place / f"{part}.json").write_text(json.dumps(squad(count, seed)))
            else:
                more = 2 if name == "several" and part == "train" else 1
                write_lines(place / f"{part}.jsonl", MAKERS[name](more * count, seed))
        suffix = "json" if name == "question-answering" else "jsonl"
        task = "sequence-classification" if name == "several" else name
        asked = request(place, model=self._start, task=task, epochs=EPOCHS.get(name, 4), **LEARNED)
        files = {part: place / f"{part}.{suffix}" for part in COUNTS}
        finetune(replace(asked, **files), place / "out", reporter=Silent())
        self[name] = place / "out"
        return place / "out"


def predictions(output: Path) -> list[dict[str, Any]]:
    return read_lines(output / "predictions-test.jsonl")


def figures(output: Path) -> dict[str, float]:
    return json.loads((output / "metrics.json").read_text())["mean"]["test"]


def given(output: Path) -> list[dict[str, Any]]:
    return read_lines(output.parent / "test.jsonl")


@pytest.mark.parametrize(
    ("name", "figure", "least"),
    [
        ("regression", "pearson", 0.8),
        ("several", "micro_f1", 0.75),
        ("token-classification", "f1", 0.7),
        ("multiple-choice", "accuracy", 0.8),
        ("question-answering", "f1", 0.9),
    ],
)
def test_task_is_learned_and_every_row_has_a_prediction_in_the_order_of_the_file(
    done: Mapping[str, Path], name: str, figure: str, least: float
) -> None:
    assert figures(done[name])[figure] > least
    told = predictions(done[name])
    assert [each["row"] for each in told] == list(range(1, COUNTS["test"] + 1))


def test_numbers_are_told_in_their_own_unit_and_measured_as_scipy_does(
    done: Mapping[str, Path],
) -> None:
    told, found = predictions(done["regression"]), figures(done["regression"])
    truth, said = ([each[name] for each in told] for name in ("label", "prediction"))
    assert truth == [row["score"] for row in given(done["regression"])]
    assert found["pearson"] == pytest.approx(scipy.stats.pearsonr(truth, said)[0], abs=1e-6)
    assert found["spearman"] == pytest.approx(scipy.stats.spearmanr(truth, said)[0], abs=1e-6)
    assert found["mse"] == pytest.approx(sklearn.metrics.mean_squared_error(truth, said), rel=1e-5)
    config = json.loads((done["regression"] / "model" / "config.json").read_text())
    assert config["label_range"] == [300, 450]


def test_numbers_are_those_of_transformers_without_any_scaling(done: Mapping[str, Path]) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(done["regression"] / "model")
    assert (model.config.problem_type, model.config.num_labels) == ("regression", 1)
    tokenizer = AutoTokenizer.from_pretrained(done["regression"] / "model")
    texts = [row["text"] for row in given(done["regression"])]
    encoded = tokenizer(texts, padding=True, truncation=True, max_length=24, return_tensors="pt")
    with torch.no_grad():
        expected = model.eval()(**encoded).logits[:, 0].numpy()
    said = [each["prediction"] for each in predictions(done["regression"])]
    np.testing.assert_allclose(said, expected, rtol=1e-5)


def test_model_of_numbers_goes_on_where_it_was_in_another_range(
    done: Mapping[str, Path], tmp_path: Path
) -> None:
    place = done["regression"].parent
    # Fewer rows have another mean and deviation: the head has to be scaled to them and back.
    write_lines(tmp_path / "train.jsonl", scored_rows(31, 9)[1:])
    asked = request(
        tmp_path, model=done["regression"], parts=("train",), task="regression",
        **{**LEARNED, "epochs": 1, "learning_rate": 0.0},
    )  # fmt: skip
    asked = replace(asked, train=tmp_path / "train.jsonl", test=place / "test.jsonl")
    finetune(asked, tmp_path / "out", reporter=Silent())
    before, after = (
        [each["prediction"] for each in predictions(output)]
        for output in (done["regression"], tmp_path / "out")
    )
    np.testing.assert_allclose(after, before, rtol=1e-5)


def test_several_labels_are_measured_as_sklearn_does_and_read_by_transformers(
    done: Mapping[str, Path],
) -> None:
    output = done["several"]
    told, found = predictions(output), figures(output)
    truth, said = (
        np.array([[label in each[name] for label in LABELS] for each in told])
        for name in ("labels", "predictions")
    )
    for figure, average in (("micro_f1", "micro"), ("macro_f1", "macro")):
        expected = sklearn.metrics.f1_score(truth, said, average=average)
        assert found[figure] == pytest.approx(expected)
    assert found["exact_match"] == sklearn.metrics.accuracy_score(truth, said)
    model = AutoModelForSequenceClassification.from_pretrained(output / "model").eval()
    assert model.config.problem_type == "multi_label_classification"
    tokenizer = AutoTokenizer.from_pretrained(output / "model")
    texts = [row["text"] for row in given(output)]
    encoded = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = model(**encoded).logits.sigmoid().numpy()
    probabilities = [[each["probabilities"][label] for label in LABELS] for each in told]
    np.testing.assert_allclose(probabilities, expected, atol=2e-5)


def test_tags_are_those_of_transformers_at_the_first_piece_of_each_token(
    done: Mapping[str, Path],
) -> None:
    output = done["token-classification"]
    model = AutoModelForTokenClassification.from_pretrained(output / "model").eval()
    tokenizer = AutoTokenizer.from_pretrained(output / "model")
    for row, told in zip(given(output), predictions(output), strict=True):
        encoded = tokenizer(row["tokens"], is_split_into_words=True, return_tensors="pt")
        with torch.no_grad():
            probabilities = model(**encoded).logits[0].softmax(dim=-1)
        words = encoded.word_ids()
        firsts = [words.index(number) for number in range(len(row["tokens"]))]
        expected = [model.config.id2label[int(probabilities[place].argmax())] for place in firsts]
        assert told["predictions"] == expected
        sure = [float(probabilities[place].max()) for place in firsts]
        np.testing.assert_allclose(told["probabilities"], sure, atol=2e-4)


def test_entities_are_scored_as_seqeval_does(done: Mapping[str, Path]) -> None:
    output = done["token-classification"]
    told, found = predictions(output), figures(output)
    expected = entity_scores(
        [each["labels"] for each in told], [each["predictions"] for each in told]
    )
    assert (found["precision"], found["recall"], found["f1"]) == pytest.approx(expected)
    same = [
        a == b for each in told for a, b in zip(each["labels"], each["predictions"], strict=True)
    ]
    assert found["accuracy"] == pytest.approx(np.mean(same))


def test_choices_are_scored_by_transformers_the_same(done: Mapping[str, Path]) -> None:
    output = done["multiple-choice"]
    model = AutoModelForMultipleChoice.from_pretrained(output / "model").eval()
    tokenizer = AutoTokenizer.from_pretrained(output / "model")
    right: list[bool] = []
    for row, told in zip(given(output), predictions(output), strict=True):
        questions = [row["question"]] * len(row["choices"])
        encoded = tokenizer(questions, row["choices"], padding=True, return_tensors="pt")
        with torch.no_grad():
            logits = model(**{name: each[None] for name, each in encoded.items()}).logits[0]
        np.testing.assert_allclose(
            list(told["probabilities"].values()), logits.softmax(dim=-1).numpy(), atol=2e-5
        )
        right.append(int(logits.argmax()) == row["label"])
        assert told["label"] == str(row["label"])
    assert figures(output)["accuracy"] == pytest.approx(np.mean(right))


def test_best_stretch_of_transformers_scores_is_the_answer(done: Mapping[str, Path]) -> None:
    output = done["question-answering"]
    model = AutoModelForQuestionAnswering.from_pretrained(output / "model").eval()
    tokenizer = AutoTokenizer.from_pretrained(output / "model")
    asked = json.loads((output.parent / "test.json").read_text())["data"][0]["paragraphs"]
    for paragraph, told in zip(asked, predictions(output), strict=True):
        context, question = paragraph["context"], paragraph["qas"][0]
        encoded = tokenizer(
            question["question"], context, return_tensors="pt", return_offsets_mapping=True
        )
        offsets = encoded.pop("offset_mapping")[0].tolist()
        with torch.no_grad():
            said = model(**encoded)
        begins, ends = said.start_logits[0], said.end_logits[0]
        places = [n for n, segment in enumerate(encoded.sequence_ids()) if segment == 1]
        best = max(
            ((i, j) for i in places for j in places if i <= j),
            key=lambda span: float(begins[span[0]] + ends[span[1]]),
        )
        assert told["prediction"] == context[offsets[best[0]][0] : offsets[best[1]][1]]
        assert context.startswith(told["prediction"], told["start"])
        assert told["id"] == question["id"]
        assert sum(each["probability"] for each in told["n_best"]) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("name", ["several", "question-answering"])
def test_output_of_every_task_is_proven_by_verify(done: Mapping[str, Path], name: str) -> None:
    verdict = verify(done[name], reporter=Silent())
    assert not [check for check in verdict.checks if not check.ok]


@pytest.mark.parametrize(
    "name",
    ["regression", "several", "token-classification", "multiple-choice", "question-answering"],
)
def test_predict_says_of_the_test_file_what_fine_tuning_said(
    done: Mapping[str, Path], name: str
) -> None:
    """Columns, reading, weights and telling come from the model's directory and recipe alone."""
    output = done[name]
    (path,) = output.parent.glob("test.json*")
    how = PredictHow(n_best_size=20 if name == "question-answering" else None)
    numerics = request(path.parent, model="").numerics
    asked = PredictRequest(output, path, how, numerics)
    opened = open_model(asked, wants_vectors=False)
    reading = read_source(path, how, tagged=name == "token-classification")
    answered = list(predict(opened, asked, reading, reporter=Silent()))
    truths = ("label", "labels", "answers")
    expected = [{k: v for k, v in row.items() if k not in truths} for row in predictions(output)]
    found = [{"row": row.number, **answer} for row, answer in answered]
    if name == "regression":
        # The model that is kept tells numbers, the one that was trained told standard scores.
        numbers = [row.pop("prediction") for row in found]
        assert numbers == pytest.approx([row.pop("prediction") for row in expected], rel=1e-5)
    assert found == expected
