"""Grid, folds, early stopping, layers and weights: what they do to a run, and resumed."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from bertctl.model.finetuning import BertForSequenceClassification
from bertctl.model.optimiser import adamw
from bertctl.model.weights import initialise
from bertctl.pipeline.finetune import attempts
from bertctl.pipeline.finetune.attempts import cells, fold_of, runs_of
from bertctl.pipeline.finetune.choosing_runs import mean_best_epoch, mean_tuned
from bertctl.pipeline.finetune.examples.examples import Examples
from bertctl.pipeline.finetune.examples.texts import TextRow
from bertctl.pipeline.finetune.layers import depth_of, freeze, slow_down
from bertctl.pipeline.finetune.reading.rows import Table
from bertctl.pipeline.finetune.request import FinetuneRequest
from bertctl.pipeline.finetune.settings import FinetuneSettings
from bertctl.pipeline.finetune.stage import finetune
from bertctl.pipeline.finetune.tasks.labels import class_weights
from bertctl.pipeline.stage.report import Silent

from .finetune_toys import (
    CONFIG,
    choice_rows,
    read_lines,
    request,
    rows,
    scored_rows,
    squad,
    tagged_rows,
    write_csv,
    write_lines,
    write_start,
    write_task,
)
from .killing import bytes_of

LAYERS = CONFIG.num_hidden_layers
# What the grid tries is not given beside it.
GRID: dict[str, Any] = {"epochs": 3, "batch_size": 32, "learning_rate": 2e-5}


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("task")
    write_task(directory, train=42, validation=21, test=17)
    return directory


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_start(tmp_path_factory.mktemp("start"))


def metrics_of(output: Path) -> dict[str, Any]:
    return json.loads((output / "metrics.json").read_text())


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


def resumed(asked: FinetuneRequest, output: Path, kills: Sequence[int]) -> dict[str, str]:
    for step in kills:
        with pytest.raises(Killed):
            finetune(asked, output, reporter=Killing(step))
    finetune(asked, output, reporter=Silent())
    return bytes_of(output)


def test_grid_has_the_papers_cells_and_every_seed_in_each() -> None:
    every = cells(FinetuneSettings(grid=True, seeds=3))
    tried = {
        (each.settings.batch_size, each.settings.learning_rate, each.settings.epochs)
        for each in every
    }
    assert tried == {(b, r, e) for b in (16, 32) for r in (5e-5, 3e-5, 2e-5) for e in (2, 3, 4)}
    names = [run.name for cell in every for run in runs_of(cell)]
    assert len(set(names)) == len(names) == 54


@pytest.fixture
def small_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "GRID_BATCH_SIZES", (16,))
    monkeypatch.setattr(attempts, "GRID_LEARNING_RATES", (5e-3, 1e-5))
    monkeypatch.setattr(attempts, "GRID_EPOCHS", (1,))


@pytest.mark.usefixtures("small_grid")
def test_grid_takes_the_cell_that_is_best_on_average_and_tells_all(
    task: Path, start: Path, tmp_path: Path
) -> None:
    asked = request(task, model=start, grid=True, seeds=2, **GRID)
    finetune(asked, tmp_path / "out", reporter=Silent())
    metrics = metrics_of(tmp_path / "out")
    table = metrics["grid"]
    assert len(table) == 2
    accuracies = [cell["mean"]["accuracy"] for cell in table]
    (best,) = (place for place, cell in enumerate(table) if cell["is_best"])
    assert best == int(np.argmax(accuracies))
    assert len(set(accuracies)) > 1
    assert metrics["mean"]["validation"]["accuracy"] == accuracies[best]
    assert [each["seed"] for each in metrics["seeds"]] == [12345, 12346]
    assert len(metrics["seeds"][0]["epochs"]) == table[best]["epochs"]


def test_folds_validate_every_row_once_and_the_model_learns_from_all(
    task: Path, start: Path, tmp_path: Path
) -> None:
    asked = request(task, model=start, parts=("train", "test"), folds=3, seeds=1)
    finetune(asked, tmp_path / "out", reporter=Silent())
    metrics = metrics_of(tmp_path / "out")
    assert [each["fold"] for each in metrics["folds"]] == [1, 2, 3]
    told = read_lines(tmp_path / "out" / "predictions-validation.jsonl")
    given = (task / "train.csv").read_text().splitlines()[1:]
    assert [each["label"] for each in told] == [line.split(",")[1] for line in given]
    right = np.mean([each["label"] == each["prediction"] for each in told])
    # Folds of 14 rows each: their mean is that of all rows.
    assert metrics["mean"]["validation"]["accuracy"] == pytest.approx(right)
    (final,) = metrics["seeds"]
    assert final["best_epoch"] == len(final["epochs"]) == mean_best_epoch(metrics["folds"])
    assert final["validation"] is None
    assert metrics["mean"]["test"] == final["test"]


def test_rows_that_nothing_is_learnt_from_are_predicted_at_their_place(
    start: Path, tmp_path: Path
) -> None:
    some = rows(25, 4)
    for place in (0, 6, 7, 19):
        some[place]["label"] = "-"
    write_csv(tmp_path / "train.csv", some)
    asked = request(tmp_path, model=start, parts=("train",), folds=2, epochs=1, ignore_label=("-",))
    finetune(asked, tmp_path / "out", reporter=Silent())
    told = read_lines(tmp_path / "out" / "predictions-validation.jsonl")
    assert [each["row"] for each in told] == list(range(1, 26))
    given = [each["label"] for each in some]
    assert [each["label"] or "-" for each in told] == given
    assert {each["prediction"] for each in told} <= {*given} - {"-"}


def test_what_folds_settle_is_their_mean() -> None:
    results = [{"tuned": {"a": 1.0}}, {"tuned": {}}, {"tuned": {"a": 4.0}}]
    assert mean_tuned(results) == {"a": 2.5}


@pytest.mark.parametrize(("epochs", "expected"), [([1, 2, 2], 2), ([1, 1, 2], 1), ([7, 3, 2], 4)])
def test_model_of_all_rows_takes_the_epoch_that_is_best_on_average(
    epochs: list[int], expected: int
) -> None:
    assert mean_best_epoch([{"best_epoch": each} for each in epochs]) == expected


def examples_of(texts: Sequence[str], labels: Sequence[str | None]) -> Examples[TextRow]:
    rows = [TextRow(text, None, label) for text, label in zip(texts, labels, strict=True)]
    return Examples(Table(Path("t.csv"), "", {"text": texts}, []), rows, range(len(rows)))


def test_rows_of_equal_content_are_never_on_both_sides_and_labels_are_dealt_evenly() -> None:
    texts = [f"text {number % 40}" for number in range(70)]
    labels = ["xyyy"[number % 40 % 4] for number in range(70)]
    folds = fold_of(examples_of(texts, labels), folds=5, seed=3)
    assert len({(text, fold) for text, fold in zip(texts, folds.tolist(), strict=True)}) == 40
    distinct = folds[:40]
    assert np.bincount(distinct).tolist() == [8] * 5
    rare = np.array(labels[:40]) == "x"
    assert np.bincount(distinct[rare]).tolist() == [2] * 5
    assert (fold_of(examples_of(texts, labels), folds=5, seed=4) != folds).any()


def test_rows_that_nothing_is_learnt_from_leave_the_others_in_their_folds() -> None:
    texts = [f"text {number}" for number in range(30)]
    labels = ["xyz"[number % 3] for number in range(30)]
    expected = fold_of(examples_of(texts, labels), folds=4, seed=3)
    more = ["text 8", *(f"none {number}" for number in range(10))]
    folds = fold_of(examples_of([*more, *texts], [*[None] * 11, *labels]), folds=4, seed=3)
    assert folds[11:].tolist() == expected.tolist()
    assert folds[0] == expected[8]
    assert np.bincount(folds[1:]).tolist() == [10] * 4


def test_training_ends_when_no_epoch_has_been_better_for_a_while(
    task: Path, start: Path, tmp_path: Path
) -> None:
    # Nothing changes, so the first epoch stays the best.
    asked = request(task, model=start, epochs=7, learning_rate=0.0, early_stopping=2)
    finetune(asked, tmp_path / "out", reporter=Silent())
    (run,) = metrics_of(tmp_path / "out")["seeds"]
    assert (run["best_epoch"], len(run["epochs"])) == (1, 3)


def weights_of(directory: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(directory / "model.safetensors")


@pytest.mark.parametrize(("layers", "deepest"), [("head", LAYERS + 1), (1, LAYERS), ("all", 0)])
def test_only_the_layers_that_are_asked_for_are_trained(
    task: Path, start: Path, tmp_path: Path, layers: Any, deepest: int
) -> None:
    asked = request(task, model=start, epochs=1, train_layers=layers)
    finetune(asked, tmp_path / "out", reporter=Silent())
    before, after = weights_of(start), weights_of(tmp_path / "out" / "model")
    for name in before.keys() & after.keys():
        is_same = torch.equal(before[name], after[name])
        # Only rows of the vocabulary that are met get a gradient, and decay moves the rest.
        assert is_same == (depth_of(name, "classifier.", LAYERS) < deepest), name


def test_layer_learns_the_slower_the_further_it_lies_below_the_head() -> None:
    model = BertForSequenceClassification(CONFIG, num_labels=3)
    initialise(model, CONFIG, seed=1)
    settings = FinetuneSettings(layer_lr_decay=0.5)
    optimizer = adamw(model, learning_rate=1.0, weight_decay=0.0)
    slow_down(optimizer, model, settings, head="classifier.", num_layers=LAYERS)
    before = {name: each.detach().clone() for name, each in model.named_parameters()}
    for _ in range(2):
        for group in optimizer.param_groups:
            group["lr"] = 1e-3
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
    for name, parameter in model.named_parameters():
        moved = (before[name] - parameter.detach()).mean().item()
        share = 0.5 ** (LAYERS + 1 - depth_of(name, "classifier.", LAYERS))
        # With a constant gradient Adam moves by the rate, whatever the gradient is.
        assert moved == pytest.approx(2e-3 * share, rel=1e-3), name


def test_frozen_parameters_are_no_part_of_the_optimizer() -> None:
    model = BertForSequenceClassification(CONFIG, num_labels=3)
    freeze(model, FinetuneSettings(train_layers="head"), head="classifier.", num_layers=LAYERS)
    optimizer = adamw(model, learning_rate=1.0, weight_decay=0.1)
    held = {each for group in optimizer.param_groups for each in group["params"]}
    names = {name for name, each in model.named_parameters() if each in held}
    assert {name.rsplit(".", 1)[0] for name in names} == {"classifier", "bert.pooler.dense"}
    assert isinstance(model, nn.Module)


def test_balanced_weights_give_every_class_the_same_sum() -> None:
    targets = np.array([0] * 12 + [2] * 3 + [-1] * 4)
    weights = class_weights(targets, 3, FinetuneSettings(class_weights="balanced"))
    assert weights is not None
    assert weights[0] * 12 == pytest.approx(weights[2] * 3)
    assert weights[targets[targets >= 0]].mean() == pytest.approx(1)
    assert weights[1] == 0
    assert class_weights(targets, 3, FinetuneSettings()) is None


@pytest.mark.slow
@pytest.mark.usefixtures("small_grid")
@pytest.mark.parametrize(
    ("settings", "parts", "kills"),
    [
        # In the first run of a grid, and in its second cell.
        ({"grid": True, "seeds": 2, **GRID}, ("train", "validation"), [2, 12]),
        # In a fold, between folds, and in the run over all rows.
        ({"folds": 3}, ("train", "test"), [3, 9, 15]),
        # In an epoch after the best one, and where training has ended.
        ({"epochs": 7, "learning_rate": 0.0, "early_stopping": 2}, ("train", "validation"), [8, 4]),
    ],
)
def test_resumed_recipe_equals_uninterrupted_one(
    task: Path,
    start: Path,
    tmp_path: Path,
    settings: dict[str, Any],
    parts: Sequence[str],
    kills: Sequence[int],
) -> None:
    asked = request(task, model=start, parts=parts, **settings)
    finetune(asked, tmp_path / "out", reporter=Silent())
    assert resumed(asked, tmp_path / "killed", kills) == bytes_of(tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("token-classification", tagged_rows),
        ("multiple-choice", choice_rows),
        ("regression", scored_rows),
    ],
)
def test_every_task_killed_and_resumed_comes_to_the_same(
    start: Path, tmp_path: Path, name: str, make: Any
) -> None:
    files = {
        part: write_lines(tmp_path / f"{part}.jsonl", make(count, count))
        for part, count in {"train": 30, "validation": 13, "test": 14}.items()
    }
    asked = replace(request(tmp_path, model=start, task=name, seeds=2), **files)
    finetune(asked, tmp_path / "out", reporter=Silent())
    assert resumed(asked, tmp_path / "killed", [3, 4, 5]) == bytes_of(tmp_path / "out")


@pytest.mark.slow
def test_answers_killed_and_resumed_come_to_the_same(start: Path, tmp_path: Path) -> None:
    files: dict[str, Path] = {}
    for part, count in {"train": 30, "validation": 13, "test": 14}.items():
        files[part] = tmp_path / f"{part}.json"
        files[part].write_text(json.dumps(squad(count, count, words=30, impossible=True)))
    asked = replace(request(tmp_path, model=start, task="question-answering"), **files)
    finetune(asked, tmp_path / "out", reporter=Silent())
    assert resumed(asked, tmp_path / "killed", [3, 4, 5]) == bytes_of(tmp_path / "out")
