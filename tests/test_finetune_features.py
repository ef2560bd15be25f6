"""An encoder as a source of features: fixed, its last layer or a mix of all, for every task."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
import transformers
from torch import Tensor

from bertctl.pipeline.errors import BadInput
from bertctl.pipeline.finetune.stage import finetune
from bertctl.pipeline.predict.opening import open_model
from bertctl.pipeline.predict.reading import read_source
from bertctl.pipeline.predict.request import PredictRequest
from bertctl.pipeline.predict.run import predict
from bertctl.pipeline.predict.settings import PredictHow
from bertctl.pipeline.stage.report import Silent
from bertctl.pipeline.verify.verify import verify

from .finetune_toys import (
    CONFIG,
    choice_rows,
    read_lines,
    request,
    rows,
    scored_rows,
    several_rows,
    squad,
    tagged_rows,
    write_lines,
    write_start,
)

TASKS = {
    "sequence-classification": rows,
    "several": several_rows,
    "regression": scored_rows,
    "token-classification": tagged_rows,
    "multiple-choice": choice_rows,
    "question-answering": squad,
}
COUNTS = {"train": 41, "validation": 13, "test": 11}


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_start(tmp_path_factory.mktemp("start"))


@pytest.fixture(scope="module")
def done(start: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Every task's output over a mix of layers, each made at its first use."""
    return _Outputs(start, tmp_path_factory.mktemp("tasks"))


class _Outputs(dict[str, Path]):
    def __init__(self, start: Path, directory: Path) -> None:
        super().__init__()
        self._start, self._directory = start, directory

    def __missing__(self, name: str) -> Path:
        self[name] = fit(self._directory / name, name, self._start, features="mix")
        return self[name]


def fit(place: Path, name: str, start: Path, **settings: Any) -> Path:
    place.mkdir()
    files = {part: place / f"{part}.jsonl" for part in COUNTS}
    for seed, (part, count) in enumerate(COUNTS.items()):
        if name == "question-answering":
            files[part] = place / f"{part}.json"
            files[part].write_text(json.dumps(squad(count, seed)))
        else:
            write_lines(files[part], TASKS[name](count, seed))
    task = "sequence-classification" if name == "several" else name
    asked = request(
        place, model=start, task=task, train_layers="none", learning_rate=0.05, **settings
    )
    finetune(replace(asked, **files), place / "out", reporter=Silent())
    return place / "out"


def weights_of(directory: Path) -> dict[str, Tensor]:
    return safetensors.torch.load_file(directory / "model.safetensors")


def encoder_of(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: each for name, each in weights.items() if name.startswith("bert.")}


@pytest.mark.parametrize("name", TASKS)
def test_encoder_stays_as_it_was_and_mix_and_head_are_learnt(
    done: Mapping[str, Path], start: Path, name: str
) -> None:
    before, after = weights_of(start), weights_of(done[name] / "model")
    for each, tensor in encoder_of(after).items():
        assert torch.equal(tensor, before[each]), each
    assert encoder_of(before).keys() - encoder_of(after).keys() == {
        "bert.pooler.dense.bias",
        "bert.pooler.dense.weight",
    }
    assert after["mix.layer_weights"].shape == (CONFIG.num_hidden_layers + 1,)
    assert len(set(after["mix.layer_weights"].tolist())) > 1
    assert after["mix.gamma"].item() != 1.0
    assert after["mix.classifier.bias"].abs().max() > 0


@pytest.mark.parametrize("name", TASKS)
def test_predict_tells_the_same_and_verify_proves_it(done: Mapping[str, Path], name: str) -> None:
    output = done[name]
    assert not [check for check in verify(output, reporter=Silent()).checks if not check.ok]
    (path,) = output.parent.glob("test.json*")
    how = PredictHow(n_best_size=20 if name == "question-answering" else None)
    asked = PredictRequest(output, path, how, request(path.parent, model="").numerics)
    opened = open_model(asked, wants_vectors=False)
    reading = read_source(path, how, tagged=name == "token-classification")
    told = [answer for _, answer in predict(opened, asked, reading, reporter=Silent())]
    expected = read_lines(output / "predictions-test.jsonl")
    if name == "regression":
        # The model that is kept tells numbers, the one that was trained told standard scores.
        found = [each["prediction"] for each in told]
        assert found == pytest.approx([each["prediction"] for each in expected], rel=1e-5)
    else:
        known = expected[0].keys() & told[0].keys()
        assert known
        for one, other in zip(told, expected, strict=True):
            assert {key: one[key] for key in known} == {key: other[key] for key in known}


def hidden_states(output: Path, text: str) -> tuple[Tensor, ...]:
    """Encode a text as `transformers` does, which loads the encoder and leaves the mix aside."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(output / "model")
    encoder = transformers.AutoModel.from_pretrained(output / "model")
    with torch.no_grad():
        encoded = encoder.eval()(**tokenizer(text, return_tensors="pt"), output_hidden_states=True)
    return tuple(each[0] for each in encoded.hidden_states)


def mixed(output: Path, text: str) -> Tensor:
    weights, layers = weights_of(output / "model"), hidden_states(output, text)
    shares = weights["mix.layer_weights"].softmax(0)
    mix = sum(share * layer for share, layer in zip(shares, layers, strict=True))
    return (
        weights["mix.gamma"] * mix @ weights["mix.classifier.weight"].T
        + weights["mix.classifier.bias"]
    )


def test_documented_formula_over_the_layers_of_transformers_gives_the_probabilities(
    done: Mapping[str, Path],
) -> None:
    output = done["sequence-classification"]
    given = read_lines(output.parent / "test.jsonl")
    for row, told in zip(given, read_lines(output / "predictions-test.jsonl"), strict=True):
        probabilities = mixed(output, row["text"])[0].softmax(0).tolist()
        assert list(told["probabilities"].values()) == pytest.approx(probabilities, abs=1e-4)


def test_documented_formula_gives_the_numbers_themselves(done: Mapping[str, Path]) -> None:
    output = done["regression"]
    given = read_lines(output.parent / "test.jsonl")
    for row, told in zip(given, read_lines(output / "predictions-test.jsonl"), strict=True):
        assert told["prediction"] == pytest.approx(mixed(output, row["text"])[0].item(), rel=1e-4)


def test_last_layer_s_features_leave_the_pooler_as_it_was(start: Path, tmp_path: Path) -> None:
    output = fit(tmp_path / "last", "sequence-classification", start)
    before, after = weights_of(start), weights_of(output / "model")
    assert "bert.pooler.dense.weight" in after
    for name, each in encoder_of(after).items():
        assert torch.equal(each, before[name]), name
    assert after["classifier.bias"].abs().max() > 0
    transformers.AutoModelForSequenceClassification.from_pretrained(output / "model")


def test_fitted_mix_is_gone_on_with(done: Mapping[str, Path], tmp_path: Path) -> None:
    fitted = done["sequence-classification"]
    again = fit(
        tmp_path / "again",
        "sequence-classification",
        fitted,
        features="mix",
        epochs=1,
        warmup_proportion=1.0,
        clip_grad_norm=1e-6,
        weight_decay=0.0,
    )
    before, after = weights_of(fitted / "model"), weights_of(again / "model")
    assert before.keys() == after.keys()
    # A head that began anew would be nowhere near.
    change = (after["mix.classifier.weight"] - before["mix.classifier.weight"]).norm()
    assert change < before["mix.classifier.weight"].norm()


def test_missing_pooler_is_refused_where_none_would_be_trained(start: Path, tmp_path: Path) -> None:
    weights = {n: each for n, each in weights_of(start).items() if "pooler" not in n}
    bare = write_start(tmp_path / "bare")
    safetensors.torch.save_file(weights, bare / "model.safetensors", {"format": "pt"})
    with pytest.raises(BadInput, match="no pooler"):
        fit(tmp_path / "refused", "sequence-classification", bare)
    assert not (tmp_path / "refused" / "out").exists()
    fit(tmp_path / "mixed", "sequence-classification", bare, features="mix", epochs=1)
