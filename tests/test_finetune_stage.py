import json
import shutil
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import sklearn.metrics
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from bertctl.pipeline.errors import BadInput, OutputRefused, Stopped
from bertctl.pipeline.finetune.request import FinetuneRequest
from bertctl.pipeline.finetune.settings import FinetuneHow
from bertctl.pipeline.finetune.stage import finetune
from bertctl.pipeline.stage.files import FileRecord, write_json
from bertctl.pipeline.stage.made_from import read_note
from bertctl.pipeline.stage.manifest import Manifest
from bertctl.pipeline.stage.recipe import Recipe
from bertctl.pipeline.stage.report import Silent
from bertctl.pipeline.training.starting_point import open_stored

from .finetune_toys import (
    LABELS,
    read_lines,
    request,
    rows,
    write_csv,
    write_start,
    write_task,
    write_vocabulary,
)
from .killing import bytes_of

LEARNED: dict[str, Any] = {"seeds": 3, "epochs": 6, "batch_size": 8, "learning_rate": 1e-2}


class Recording(Silent):
    """A reporter that remembers what it was told."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, text: str) -> None:
        self.notices.append(text)

    def warn(self, text: str) -> None:
        self.notices.append(text)


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("task")
    write_task(directory)
    return directory


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_start(tmp_path_factory.mktemp("start"))


@pytest.fixture(scope="module")
def learned(task: Path, start: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seeds, long enough to learn."""
    output = tmp_path_factory.mktemp("learned") / "out"
    finetune(request(task, model=start, **LEARNED), output, reporter=Silent())
    return output


@pytest.fixture(scope="module")
def metrics(learned: Path) -> dict[str, Any]:
    return json.loads((learned / "metrics.json").read_text())


def test_what_decides_the_label_is_learned(metrics: dict[str, Any]) -> None:
    assert metrics["mean"]["test"]["accuracy"] > 0.9
    assert metrics["baseline"]["accuracy"]["test"] < 0.5
    assert metrics["labels"] == [label.upper() for label in LABELS]
    for seed in metrics["seeds"]:
        losses = [each["train_loss"] for each in seed["epochs"]]
        assert losses[-1] < 0.5 * losses[0]


def test_predictions_are_one_a_row_in_the_order_of_the_file(task: Path, learned: Path) -> None:
    for name in ("validation", "test"):
        told = read_lines(learned / f"predictions-{name}.jsonl")
        given = (task / f"{name}.csv").read_text().splitlines()[1:]
        assert [each["row"] for each in told] == list(range(1, len(given) + 1))
        assert [each["label"] for each in told] == [line.split(",")[1] for line in given]
        for each in told:
            probabilities = each["probabilities"]
            assert each["prediction"] == max(probabilities, key=probabilities.__getitem__)
            assert sum(probabilities.values()) == pytest.approx(1, abs=1e-5)


def test_figures_are_those_of_the_best_seeds_predictions(
    learned: Path, metrics: dict[str, Any]
) -> None:
    best = next(each for each in metrics["seeds"] if each["seed"] == metrics["best_seed"])
    accuracies = [each["validation"]["accuracy"] for each in metrics["seeds"]]
    assert metrics["seeds"][int(np.argmax(accuracies))] == best
    for name in ("validation", "test"):
        told = read_lines(learned / f"predictions-{name}.jsonl")
        labels, predicted = ([each[key] for each in told] for key in ("label", "prediction"))
        assert best[name]["accuracy"] == sklearn.metrics.accuracy_score(labels, predicted)
        assert best[name]["macro_f1"] == pytest.approx(
            sklearn.metrics.f1_score(labels, predicted, average="macro")
        )
        of_the_label = [each["probabilities"][each["label"]] for each in told]
        assert best[name]["loss"] == pytest.approx(-np.log(of_the_label).mean(), abs=1e-3)
        confusion = sklearn.metrics.confusion_matrix(labels, predicted, labels=metrics["labels"])
        counted = metrics["details"][name]["confusion"]
        for label, counts in zip(metrics["labels"], confusion.tolist(), strict=True):
            assert [counted[label].get(x, 0) for x in metrics["labels"]] == counts


def test_seeds_differ_and_are_told_as_mean_and_sample_deviation(metrics: dict[str, Any]) -> None:
    assert [each["seed"] for each in metrics["seeds"]] == [12345, 12346, 12347]
    for name in ("validation", "test"):
        for figure in ("accuracy", "macro_f1", "loss"):
            values = [each[name][figure] for each in metrics["seeds"]]
            assert metrics["mean"][name][figure] == pytest.approx(statistics.mean(values))
            assert metrics["sd"][name][figure] == pytest.approx(statistics.stdev(values))
    assert len({each["validation"]["loss"] for each in metrics["seeds"]}) == 3


def test_best_epoch_is_the_first_of_the_greatest_validation_accuracy(
    metrics: dict[str, Any],
) -> None:
    for seed in metrics["seeds"]:
        validation = [each["validation"] for each in seed["epochs"]]
        accuracies = [each["accuracy"] for each in validation]
        assert seed["best_epoch"] == 1 + int(np.argmax(accuracies))
        assert seed["validation"] == validation[seed["best_epoch"] - 1]


def test_transformers_loads_the_model_and_gives_the_same_probabilities(
    task: Path, learned: Path
) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(learned / "model").eval()
    tokenizer = AutoTokenizer.from_pretrained(learned / "model")
    told = read_lines(learned / "predictions-test.jsonl")
    texts = [line.split(",")[0] for line in (task / "test.csv").read_text().splitlines()[1:]]
    encoded = tokenizer(texts, padding=True, truncation=True, max_length=20, return_tensors="pt")
    with torch.no_grad():
        probabilities = model(**encoded).logits.softmax(dim=-1).numpy()
    names = [model.config.id2label[id] for id in range(len(LABELS))]
    assert names == [label.upper() for label in LABELS]
    assert model.config.label2id == {name: id for id, name in enumerate(names)}
    expected = [[each["probabilities"][name] for name in names] for each in told]
    np.testing.assert_allclose(probabilities, expected, atol=2e-5)


def test_finished_output_is_up_to_date_and_untouched(
    task: Path, start: Path, learned: Path, tmp_path: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in learned.rglob("*")}
    for name in ("train", "validation", "test"):
        (tmp_path / f"{name}.csv").write_bytes((task / f"{name}.csv").read_bytes())
    again = request(tmp_path, model=start, text_column="text", **LEARNED)
    assert finetune(again, learned, reporter=Silent()).was_up_to_date
    assert before == {path: path.stat().st_mtime_ns for path in learned.rglob("*")}
    assert {path.relative_to(learned).parts[0] for path in before} == {
        "recipe.json",
        "manifest.json",
        "metrics.json",
        "model",
        "predictions-test.jsonl",
        "predictions-validation.jsonl",
        "log",
    }


def test_other_content_is_refused_with_its_name(
    task: Path, start: Path, learned: Path, tmp_path: Path
) -> None:
    asked = request(task, model=start, **LEARNED)
    other = write_csv(tmp_path / "test.csv", rows(10, 9))
    with pytest.raises(OutputRefused, match="--test: "):
        finetune(replace(asked, test=other), learned, reporter=Silent())
    with pytest.raises(OutputRefused, match=r"--validation: .* → \(none\)"):
        finetune(replace(asked, validation=None), learned, reporter=Silent())
    with pytest.raises(OutputRefused, match="--model: "):
        finetune(
            replace(asked, model=str(write_start(tmp_path / "start", seed=8))),
            learned,
            reporter=Silent(),
        )


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


class Killing(Silent):
    """A reporter that kills at some step, counted over all phases."""

    def __init__(self, step: int) -> None:
        self._left = step

    def advance(self, amount: float, **figures: float | str) -> None:
        self._left -= 1
        if self._left == 0:
            raise Killed


# Two seeds of 2 epochs of 6 steps, then 6 and 7 parts to predict: in an epoch, at its end, at the
# last step, between predictions, in the second seed, and again and again.
@pytest.mark.parametrize("steps", [[3], [6], [12], [20], [28], [5, 5, 5, 5, 5]])
def test_resumed_run_equals_uninterrupted_run(
    task: Path, start: Path, tmp_path: Path, uninterrupted: dict[str, str], steps: Sequence[int]
) -> None:
    for step in steps:
        with pytest.raises(Killed):
            finetune(
                request(task, model=start, seeds=2, how=FinetuneHow(checkpoint_every=4)),
                tmp_path / "out",
                reporter=Killing(step),
            )
    told = Recording()
    finetune(request(task, model=start, seeds=2), tmp_path / "out", reporter=told)
    assert any("Continuing" in each for each in told.notices)
    assert bytes_of(tmp_path / "out") == uninterrupted
    assert not (tmp_path / "out" / ".bertctl").exists()


@pytest.fixture(scope="module")
def uninterrupted(
    task: Path, start: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    output = tmp_path_factory.mktemp("uninterrupted") / "out"
    finetune(request(task, model=start, seeds=2), output, reporter=Silent())
    return bytes_of(output)


def test_stop_keeps_the_last_step(
    task: Path, start: Path, tmp_path: Path, uninterrupted: dict[str, str]
) -> None:
    asked = iter([False] * 7 + [True])
    stopping = replace(request(task, model=start, seeds=2), should_stop=lambda: next(asked, True))
    with pytest.raises(Stopped, match="after step 8 of 12"):
        finetune(stopping, tmp_path / "out", reporter=Silent())
    told = Recording()
    finetune(request(task, model=start, seeds=2), tmp_path / "out", reporter=told)
    assert any("after step 8" in each for each in told.notices)
    assert bytes_of(tmp_path / "out") == uninterrupted


def test_damaged_checkpoint_is_passed_over(
    task: Path, start: Path, tmp_path: Path, uninterrupted: dict[str, str]
) -> None:
    with pytest.raises(Killed):
        finetune(request(task, model=start, seeds=2), tmp_path / "out", reporter=Killing(12))
    (newest, *_) = sorted(
        (tmp_path / "out" / ".bertctl").glob("seed-*/checkpoints/*"), reverse=True
    )
    _flip_a_byte(newest / "model")
    finetune(request(task, model=start, seeds=2), tmp_path / "out", reporter=Silent())
    assert bytes_of(tmp_path / "out") == uninterrupted


def test_damaged_model_of_a_finished_seed_is_made_again(
    task: Path, start: Path, tmp_path: Path
) -> None:
    asked = request(task, model=start, parts=("train", "test"), seeds=2)
    with pytest.raises(Killed):
        finetune(asked, tmp_path / "out", reporter=Killing(20))
    (kept,) = (tmp_path / "out" / ".bertctl").glob("seed-12345/checkpoints/*")
    _flip_a_byte(kept / "model")
    told = Recording()
    finetune(asked, tmp_path / "out", reporter=told)
    assert any("of seed 12345, is damaged" in each for each in told.notices)
    finetune(asked, tmp_path / "whole", reporter=Silent())
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")


def test_work_in_progress_keeps_one_model_of_the_finished_seeds(
    task: Path, start: Path, tmp_path: Path
) -> None:
    left: list[list[str]] = []

    class Looking(Silent):
        def phase(self, name: str, **about: Any) -> Any:
            work = tmp_path / "out" / ".bertctl"
            if name.startswith("finetune"):
                left.append([str(x) for x in work.glob("seed-*/*/step-*")])
            return super().phase(name, **about)

    finetune(request(task, model=start, seeds=4, epochs=1), tmp_path / "out", reporter=Looking())
    assert [len(each) for each in left] == [0, 1, 1, 1]


def test_without_validation_the_last_epoch_and_the_first_seed_are_taken(
    task: Path, start: Path, tmp_path: Path
) -> None:
    told = Recording()
    asked = request(task, model=start, parts=("train", "test"), seeds=2, epochs=3)
    finetune(asked, tmp_path / "out", reporter=told)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert any("No --validation" in each for each in told.notices)
    assert [each["best_epoch"] for each in metrics["seeds"]] == [3, 3]
    assert metrics["best_seed"] == 12345
    assert metrics["mean"]["validation"] is None
    assert not (tmp_path / "out" / "predictions-validation.jsonl").exists()


def test_unlabelled_rows_are_predicted_and_not_scored(
    task: Path, start: Path, tmp_path: Path
) -> None:
    some = rows(17, 4)
    part = [
        {**each, "label": "" if number % 3 else each["label"]} for number, each in enumerate(some)
    ]
    asked = request(task, model=start, epochs=1)
    scores: list[Any] = []
    predictions: list[dict[str, Any]] = []
    for name, content in {
        "none": [{"text": each["text"]} for each in some],
        "part": part,
        "ignored": [{**each, "label": each["label"] or "-"} for each in part],
    }.items():
        path = write_csv(tmp_path / f"{name}.csv", content)
        each = replace(asked, test=path, settings=replace(asked.settings, ignore_label=("-",)))
        told = Recording()
        finetune(each, tmp_path / name, reporter=told)
        predictions = read_lines(tmp_path / name / "predictions-test.jsonl")
        assert len(predictions) == 17
        assert any("predicted, not scored" in notice for notice in told.notices)
        labels = [
            row["label"] or None for row in (part if name != "none" else [{"label": ""}] * 17)
        ]
        assert [row["label"] for row in predictions] == labels
        metrics = json.loads((tmp_path / name / "metrics.json").read_text())
        scores.append(metrics["mean"]["test"])
        assert metrics["labelled_rows"]["test"] == sum(label is not None for label in labels)
    assert scores[0] is None
    assert scores[1] == scores[2]
    scored = [row for row in predictions if row["label"] is not None]
    right = [row["label"] == row["prediction"] for row in scored]
    assert scores[1]["accuracy"] == pytest.approx(np.mean(right))


def test_ignored_label_is_no_class_and_its_rows_teach_nothing(
    task: Path, start: Path, tmp_path: Path
) -> None:
    train = rows(30, 0)
    write_csv(tmp_path / "without.csv", train)
    with_stray = [*train[:4], {"text": "the sky was red", "label": "-"}, *train[4:]]
    write_csv(tmp_path / "with.csv", with_stray)
    asked = request(task, model=start, epochs=1, ignore_label=("-",))
    for name in ("without", "with"):
        finetune(replace(asked, train=tmp_path / f"{name}.csv"), tmp_path / name, reporter=Silent())
    one, other = (bytes_of(tmp_path / name) for name in ("without", "with"))
    assert one.pop("metrics.json") != other.pop("metrics.json")
    assert one == other


def test_test_rows_that_were_trained_on_are_warned_about(
    task: Path, start: Path, tmp_path: Path
) -> None:
    path = write_csv(tmp_path / "test.csv", [*rows(7, 8), *rows(90, 0)[:5]])
    told = Recording()
    asked = request(task, model=start, epochs=1, parts=("train", "test"))
    finetune(replace(asked, test=path), tmp_path / "out", reporter=told)
    assert any("5 of 12 rows are in the training file" in each for each in told.notices)


def test_pairs_are_learned_from_both_texts(tmp_path: Path, start: Path) -> None:
    def pairs(count: int, seed: int) -> list[dict[str, str]]:
        first, second = rows(count, seed), rows(count, seed + 100)
        return [
            {"sentence1": a["text"], "sentence2": b["text"], "label": b["label"]}
            for a, b in zip(first, second, strict=True)
        ]

    for name, count in {"train": 120, "validation": 30, "test": 32}.items():
        write_csv(tmp_path / f"{name}.csv", pairs(count, len(name)))
    asked = request(tmp_path, model=start, epochs=6, max_seq_length=36)
    done = finetune(asked, tmp_path / "out", reporter=Silent())
    assert done.manifest.statistics["mean"]["test"]["accuracy"] > 0.7
    assert done.manifest.statistics["cut_texts"] == {"train": 0, "validation": 0, "test": 0}


def test_cut_texts_are_counted_and_told(task: Path, start: Path, tmp_path: Path) -> None:
    told = Recording()
    asked = request(task, model=start, epochs=1, max_seq_length=9)
    done = finetune(asked, tmp_path / "out", reporter=told)
    # Every word of the toy task is one token.
    lines = (task / "train.csv").read_text().splitlines()[1:]
    long = sum(len(line.split(",")[0].split()) > 7 for line in lines)
    assert done.manifest.statistics["cut_texts"]["train"] == long > 0
    assert any(f"{long} of 90 texts" in each for each in told.notices)


def test_model_fitted_to_the_same_labels_goes_on_with_its_head(
    task: Path, learned: Path, tmp_path: Path
) -> None:
    still = request(task, model=learned, learning_rate=0.0, epochs=1)
    told = Recording()
    finetune(still, tmp_path / "same", reporter=told)
    assert any("head" in each for each in told.notices)
    name = "predictions-test.jsonl"
    assert (tmp_path / "same" / name).read_bytes() == (learned / name).read_bytes()

    for part in ("train", "validation", "test"):
        text = (task / f"{part}.csv").read_text()
        (tmp_path / f"{part}.csv").write_text(text.replace(",RED", ",rouge"))
    finetune(
        request(tmp_path, model=learned, learning_rate=0.0, epochs=1),
        tmp_path / "other",
        reporter=Silent(),
    )
    old, new = (_first_scores(tmp_path / each / name) for each in ("same", "other"))
    assert list(new) == ["BLUE", "GREEN", "rouge"]
    shifts = [abs(a - b) for a, b in zip(old.values(), new.values(), strict=True)]
    assert max(shifts) > 0.01


def _first_scores(predictions: Path) -> dict[str, float]:
    return read_lines(predictions)[0]["probabilities"]


def test_random_weights_differ_by_seed_and_have_the_vocabularys_size(
    task: Path, tmp_path: Path
) -> None:
    vocab = write_vocabulary(tmp_path / "vocab")
    asked = request(task, model="random:tiny", vocab=vocab, epochs=1, seeds=2)
    done = finetune(asked, tmp_path / "out", reporter=Silent())
    config = json.loads((tmp_path / "out" / "model" / "config.json").read_text())
    lines = (vocab / "vocab.txt").read_text().splitlines()
    assert (config["vocab_size"], config["hidden_size"]) == (len(lines), 128)
    first, second = (each["validation"]["loss"] for each in done.manifest.statistics["seeds"])
    assert first != second


@pytest.mark.parametrize("parts", [("train", "validation", "test"), ("train", "test")])
def test_model_that_says_the_commonest_label_is_warned_of_and_one_that_learns_is_not(
    task: Path, start: Path, tmp_path: Path, parts: tuple[str, ...]
) -> None:
    still, learns = Recording(), Recording()
    # Its rate is next to none: a new head says by chance what it says.
    slow = request(task, model=start, parts=parts, epochs=1, learning_rate=1e-12)
    done = finetune(slow, tmp_path / "still", reporter=still)
    name, figures = parts[1], done.manifest.statistics
    accuracy, always = figures["mean"][name]["accuracy"], figures["baseline"]["accuracy"][name]
    warned = [each for each in still.notices if "learnt too little" in each]
    assert accuracy <= always
    assert len(warned) == 1
    for word in (f"the {name} rows", f"{accuracy:.1%}", f"{always:.1%}", "--learning-rate"):
        assert word in warned[0]
    settings: dict[str, Any] = {**LEARNED, "seeds": 1}
    fast = request(task, model=start, parts=parts, **settings)
    finetune(fast, tmp_path / "learns", reporter=learns)
    assert not any("learnt too little" in each for each in learns.notices)


def _begun(run: Path, stage: str, *, done: bool = False) -> Path:
    if run.exists():
        shutil.rmtree(run)
    recipe = Recipe(stage, 1, {})
    (run / "checkpoints" / "step-00000020").mkdir(parents=True)
    write_json(run / "recipe.json", recipe.as_json())
    if done:
        Manifest(recipe, "0", {}).write(run, aside=run / ".aside")
    return run


def _bad(asked: FinetuneRequest, tmp_path: Path, name: str) -> FinetuneRequest:
    """Spoil one thing of a request."""
    settings = asked.settings
    vocab = write_vocabulary(tmp_path / "vocab")
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    (unfinished / "recipe.json").write_text("{}")
    no_weights = write_start(tmp_path / "no weights")
    (no_weights / "model.safetensors").unlink()
    small = write_start(tmp_path / "small", vocab_size=300)
    with (small / "vocab.txt").open("a") as file:
        file.writelines(f"word{number}\n" for number in range(300))
    (small / "tokenizer.json").unlink()
    test = write_csv(tmp_path / "test.csv", [{"text": "a red sky", "label": "BLACK"}])
    return {
        "label unseen in training": replace(asked, test=test),
        "file missing": replace(asked, train=tmp_path / "nowhere.csv"),
        "column missing": replace(asked, settings=replace(settings, label_column="class")),
        "one class": replace(asked, train=write_csv(tmp_path / "one.csv", rows(9, 0)[:1] * 5)),
        "setting out of range": replace(asked, settings=replace(settings, epochs=0)),
        "hundreds of digits": replace(asked, settings=replace(settings, epochs=10**399)),
        "thousands of digits": replace(asked, settings=replace(settings, weight_decay=-(10**4999))),
        "too long for the model": replace(asked, settings=replace(settings, max_seq_length=41)),
        "no such model": replace(asked, model=str(tmp_path / "nowhere")),
        "unfinished run": replace(asked, model=str(unfinished)),
        "fine-tuning under way": replace(
            asked, model=str(_begun(tmp_path / "of finetune", "finetune"))
        ),
        "pretraining under way": replace(
            asked, model=str(_begun(tmp_path / "of pretrain", "pretrain"))
        ),
        "no model at all": replace(
            asked, model=str(_begun(tmp_path / "of vocab", "vocab", done=True))
        ),
        "no weights": replace(asked, model=str(no_weights)),
        "vocabulary too large": replace(asked, model=str(small)),
        "random without vocabulary": replace(asked, model="random:tiny"),
        "random of no size": replace(asked, model="random:huge", vocab=vocab),
    }[name]


BAD = {
    "label unseen in training": r"test\.csv, row 1 \(line 2\): the label 'BLACK' was never seen",
    "file missing": r"nowhere\.csv can't be read",
    "column missing": r"train\.csv has no column 'class'; it has 'text', 'label'",
    "one class": r"one\.csv holds only the label",
    "setting out of range": r"--epochs is 0; expected at least 1",
    "hundreds of digits": r"--epochs is a number of 400 digits; expected one of a reasonable size",
    "thousands of digits": r"--weight-decay is a number of 5,000 digits",
    "too long for the model": r"--max-seq-length is 41; the model .* at most 40",
    "no such model": r"--model .*nowhere: there is no such directory",
    "unfinished run": r"unfinished isn't finished",
    "fine-tuning under way": r"of finetune isn't finished: `bertctl finetune` began it",
    "pretraining under way": r"of pretrain isn't finished: `bertctl pretrain` began it",
    "no model at all": r"of vocab was made by `bertctl vocab`: it holds no model",
    "no weights": r"has no model\.safetensors",
    "vocabulary too large": r"tokens, the model .* knows 300",
    "random without vocabulary": r"random:tiny has no vocabulary",
    "random of no size": r"--model is 'random:huge'; expected random: and one of tiny, mini",
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_used_is_refused_before_anything_is_written(
    task: Path, start: Path, tmp_path: Path, name: str
) -> None:
    with pytest.raises(BadInput, match=BAD[name]) as refused:
        finetune(
            _bad(request(task, model=start), tmp_path, name), tmp_path / "out", reporter=Silent()
        )
    assert refused.value.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_run_that_was_started_from_is_noted_beside_the_fine_tuning(
    task: Path, start: Path, tmp_path: Path
) -> None:
    run, recipe = tmp_path / "run", Recipe("pretrain", 1, {"steps": 7})
    shutil.copytree(start, run / "model")
    write_json(run / "recipe.json", recipe.as_json())
    files = {
        f"model/{each.name}": FileRecord.of(each)
        for each in (run / "model").iterdir()
        if each.is_file()
    }
    Manifest(recipe, "0", files).write(run, aside=tmp_path / "aside")
    finetune(request(task, model=run, epochs=1), tmp_path / "out", reporter=Silent())
    (noted,) = read_note(tmp_path / "out")
    assert (noted.place, noted.recipe.what) == (run.resolve(), {"steps": 7})


def test_run_under_way_is_gone_on_with_or_asked_at_its_newest_checkpoint(tmp_path: Path) -> None:
    for stage, has_checkpoints in (("finetune", False), ("pretrain", True)):
        with pytest.raises(BadInput) as refused:
            open_stored(_begun(tmp_path / "run", stage), None, flag="--model")
        assert f"Run that `bertctl {stage}` again: it goes on." in refused.value.hint
        assert ("run/checkpoints/step-00000020" in refused.value.hint) == has_checkpoints


def _flip_a_byte(model: Path) -> None:
    weights = model / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-7] ^= 1
    weights.write_bytes(bytes(content))


def test_run_and_checkpoint_are_started_from_unless_damaged(
    task: Path, start: Path, learned: Path, tmp_path: Path
) -> None:
    with pytest.raises(Killed):
        finetune(request(task, model=start), tmp_path / "begun", reporter=Killing(9))
    (checkpoint,) = (tmp_path / "begun" / ".bertctl").glob("seed-*/checkpoints/step-*")
    for name, source in {"checkpoint": checkpoint, "run": learned}.items():
        shutil.copytree(source, tmp_path / name)
        asked = request(task, model=tmp_path / name, epochs=1)
        bare = replace(asked, model=str(tmp_path / name / "model"))
        finetune(asked, tmp_path / f"from {name}", reporter=Silent())
        # The same weights are the same model, by whichever name it goes.
        assert finetune(bare, tmp_path / f"from {name}", reporter=Silent()).was_up_to_date
        _flip_a_byte(tmp_path / name / "model")
        with pytest.raises(BadInput, match="is damaged"):
            finetune(asked, tmp_path / f"from damaged {name}", reporter=Silent())
        assert not (tmp_path / f"from damaged {name}" / "manifest.json").exists()


def test_encoder_without_a_pooler_gets_a_new_one(task: Path, start: Path, tmp_path: Path) -> None:
    shutil.copytree(start, tmp_path / "start")
    path = tmp_path / "start" / "model.safetensors"
    weights = safetensors.torch.load_file(path)
    kept = {name: each for name, each in weights.items() if "pooler" not in name}
    assert len(kept) == len(weights) - 2
    safetensors.torch.save_file(kept, path)
    told = Recording()
    asked = request(task, model=tmp_path / "start", epochs=1, learning_rate=0.0)
    finetune(asked, tmp_path / "out", reporter=told)
    assert any("no pooler" in each for each in told.notices)
    made = safetensors.torch.load_file(tmp_path / "out" / "model" / "model.safetensors")
    assert made["bert.pooler.dense.weight"].std() > 0
    for name in kept.keys() & made.keys():
        assert torch.equal(made[name], kept[name])


def test_dropout_is_the_model_s_own_unless_another_is_given(
    task: Path, start: Path, tmp_path: Path
) -> None:
    short: dict[str, Any] = {"epochs": 1, "batch_size": 8, "learning_rate": 1e-2}
    for name, prob in (("own", None), ("none", 0.0), ("much", 0.4)):
        asked = request(task, model=start, dropout_prob=prob, **short)
        finetune(asked, tmp_path / name, reporter=Silent())
    models = {
        name: bytes_of(tmp_path / name)["model/model.safetensors"]
        for name in ("own", "none", "much")
    }
    assert len(set(models.values())) == 3
    configs = {
        name: json.loads((tmp_path / name / "model" / "config.json").read_text()) for name in models
    }
    assert configs["much"]["hidden_dropout_prob"] == 0.4
    assert configs["none"]["attention_probs_dropout_prob"] == 0
