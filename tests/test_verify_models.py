import json
import shutil
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from bertctl.model.config import BertConfig
from bertctl.model.pretraining import BertForPreTraining
from bertctl.pipeline.finetune.stage import finetune
from bertctl.pipeline.stage.files import FileRecord
from bertctl.pipeline.stage.report import Silent
from bertctl.pipeline.verify.tensors import Malformed, read_header
from bertctl.pipeline.verify.verify import Verdict, verify

from .finetune_toys import read_lines, request, write_start, write_task
from .pretrain_toys import run, write_shards
from .test_verify_shards import failures, sign

WEIGHTS = "model/model.safetensors"
OPTIMIZER = "optimizer.safetensors"
LAST = "checkpoints/step-00000012"


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("encoder")
    run(write_shards(place / "shards"), place / "run")
    return place / "run"


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("classifier")
    write_task(place, train=33, validation=20, test=17)
    asked = request(place, model=write_start(place / "start"), epochs=1, seeds=2)
    finetune(asked, place / "out", reporter=Silent())
    return place / "out"


def check(directory: Path) -> Verdict:
    return verify(directory, reporter=Silent())


def change_weights(path: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    tensors = safetensors.torch.load_file(path)
    change(tensors)
    safetensors.torch.save_file({name: each.clone() for name, each in tensors.items()}, path)


def change_json(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def sign_checkpoint(directory: Path, name: str) -> None:
    """Let the record vouch for a file as it is now."""
    record = FileRecord.of(directory / name).as_json()
    change_json(
        directory / "checkpoint.json", lambda content: content["files"].update({name: record})
    )


def test_run_as_it_is_written_is_proven_and_so_are_its_checkpoints(encoder: Path) -> None:
    verdict = check(encoder)
    assert (verdict.ok, failures(verdict)) == (True, set())
    names = {each.name for each in verdict.checks}
    assert {"parameters", "shapes of weights", "step-00000012: checks that hold"} <= names
    alone = check(encoder / LAST)
    assert (alone.ok, alone.stage) == (True, "checkpoint")
    assert {"weights with an optimizer's state", "steps the optimizer took"} <= {
        each.name for each in alone.checks
    }


def test_classifier_as_it_is_written_is_proven(classifier: Path) -> None:
    verdict = check(classifier)
    assert (verdict.ok, failures(verdict)) == (True, set())
    assert {"test: macro_f1", "test: loss", "validation: means over 2 seeds"} <= {
        each.name for each in verdict.checks
    }


def lose(tensors: dict[str, torch.Tensor]) -> None:
    del tensors["bert.encoder.layer.1.output.dense.weight"]


def add(tensors: dict[str, torch.Tensor]) -> None:
    tensors["bert.encoder.layer.2.output.dense.bias"] = torch.zeros(32)


def turn(tensors: dict[str, torch.Tensor]) -> None:
    name = "bert.encoder.layer.0.intermediate.dense.weight"
    tensors[name] = tensors[name].T.contiguous()


def spoil(tensors: dict[str, torch.Tensor]) -> None:
    tensors["cls.predictions.bias"][3] = torch.inf


def untie(tensors: dict[str, torch.Tensor]) -> None:
    own = tensors["bert.embeddings.word_embeddings.weight"]
    tensors["cls.predictions.decoder.weight"] = own + torch.eye(*own.shape) * 1e-6


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lose, "weights that config.json asks for"),
        (lose, "parameters"),
        (add, "weights that it knows"),
        (turn, "shapes of weights"),
        (spoil, "weights that are finite numbers"),
        (untie, "cls.predictions.decoder.weight"),
    ],
)
def test_fault_in_weights_is_found_though_the_checksums_are_right(
    encoder: Path, tmp_path: Path, change: Callable[[dict[str, torch.Tensor]], None], name: str
) -> None:
    output = shutil.copytree(encoder, tmp_path / "bad")
    change_weights(output / WEIGHTS, change)
    sign(output, WEIGHTS)
    assert name in failures(check(output))
    assert name in failures(check(output / "model")) | {"parameters"}


def test_weights_that_are_tied_may_be_stored_twice(encoder: Path, tmp_path: Path) -> None:
    model = shutil.copytree(encoder / "model", tmp_path / "model")

    def repeat(tensors: dict[str, torch.Tensor]) -> None:
        tensors["cls.predictions.decoder.weight"] = tensors[
            "bert.embeddings.word_embeddings.weight"
        ]
        tensors["cls.predictions.decoder.bias"] = tensors["cls.predictions.bias"]

    change_weights(model / "model.safetensors", repeat)
    assert check(model).ok


def test_model_that_is_another_than_the_recipe_s_is_found(encoder: Path, tmp_path: Path) -> None:
    output = shutil.copytree(encoder, tmp_path / "bad")
    change_json(
        output / "model/config.json", lambda config: config.update(hidden_dropout_prob=0.25)
    )
    sign(output, "model/config.json")
    assert failures(check(output)) == {
        "settings of the model in config.json",
        "config.json: hidden_dropout_prob",
    }


def test_vocabulary_that_is_too_large_or_of_other_ids_is_found(
    encoder: Path, tmp_path: Path
) -> None:
    model = shutil.copytree(encoder / "model", tmp_path / "model")
    tokens = (model / "vocab.txt").read_text().split("\n")
    (model / "vocab.txt").write_text("\n".join([*tokens[1:-1], tokens[0], "more", ""]))
    assert failures(check(model)) == {
        "tokens in vocab.txt",
        "id 0, for padding",
        "tokens with the same id in tokenizer.json",
    }


def forget(state: dict[str, torch.Tensor]) -> None:
    for name in [name for name in state if name.startswith("cls.predictions.bias/")]:
        del state[name]


def halve(state: dict[str, torch.Tensor]) -> None:
    name = "bert.pooler.dense.weight/exp_avg"
    state[name] = state[name][:16].clone()


def negate(state: dict[str, torch.Tensor]) -> None:
    state["bert.pooler.dense.bias/exp_avg_sq"][2] = -1.0


def lag(state: dict[str, torch.Tensor]) -> None:
    state["bert.pooler.dense.bias/step"] -= 1


def mistake(state: dict[str, torch.Tensor]) -> None:
    state["bert.pooler.dense.bias/exp_avg"][0] = torch.nan


def drop_a_kind(state: dict[str, torch.Tensor]) -> None:
    del state["bert.pooler.dense.bias/exp_avg"]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (forget, "weights with an optimizer's state"),
        (halve, "their shapes"),
        (negate, "mean squares are not negative"),
        (lag, "steps the optimizer took"),
        (mistake, "their numbers are finite"),
        (drop_a_kind, "their kinds of state"),
    ],
)
def test_fault_in_an_optimizer_s_state_is_found_though_the_checksums_are_right(
    encoder: Path, tmp_path: Path, change: Callable[[dict[str, torch.Tensor]], None], name: str
) -> None:
    output = shutil.copytree(encoder, tmp_path / "bad")
    change_weights(output / LAST / OPTIMIZER, change)
    sign_checkpoint(output / LAST, OPTIMIZER)
    assert failures(check(output / LAST)) == {name}
    assert f"step-00000012: {name}" in failures(check(output))


def test_last_checkpoint_with_other_weights_than_the_model_s_is_found(
    encoder: Path, tmp_path: Path
) -> None:
    output = shutil.copytree(encoder, tmp_path / "bad")

    def nudge(tensors: dict[str, torch.Tensor]) -> None:
        tensors["cls.predictions.bias"] += 1e-3

    change_weights(output / LAST / WEIGHTS, nudge)
    sign_checkpoint(output / LAST, WEIGHTS)
    assert failures(check(output)) == {
        "step-00000012: checks that hold",
        "step-00000012: weights of the finished model",
    }


def test_checkpoint_that_is_harmed_renamed_or_lacks_its_record_is_found(
    encoder: Path, tmp_path: Path
) -> None:
    output = shutil.copytree(encoder, tmp_path / "bad")
    moved = (output / LAST).rename(output / "checkpoints" / "step-00000013")
    assert failures(check(moved)) == {"step"}
    (moved / OPTIMIZER).write_bytes((moved / OPTIMIZER).read_bytes()[:-1])
    assert failures(check(moved)) == {"step", "files whole", OPTIMIZER}
    change_json(moved / "checkpoint.json", lambda record: record.pop("files"))
    assert failures(check(moved)) == {"checkpoint.json"}


@pytest.mark.parametrize(
    "architecture", ["BertForMaskedLM", "BertForPreTraining", "BertForTokenClassification"]
)
def test_model_as_transformers_writes_it_is_proven(tmp_path: Path, architecture: str) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=71,
        hidden_size=12,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=20,
        max_position_embeddings=17,
        num_labels=5,
    )
    getattr(transformers, architecture)(config).bfloat16().save_pretrained(tmp_path / "model")
    verdict = check(tmp_path / "model")
    assert (verdict.stage, failures(verdict)) == ("model", set())
    assert architecture in {each.found for each in verdict.checks}


def test_old_names_and_a_bare_encoder_are_understood(encoder: Path, tmp_path: Path) -> None:
    model = shutil.copytree(encoder / "model", tmp_path / "model")

    def rename(tensors: dict[str, torch.Tensor]) -> None:
        for name in list(tensors):
            value = tensors.pop(name)
            old = name.replace("LayerNorm.weight", "LayerNorm.gamma")
            old = old.replace("LayerNorm.bias", "LayerNorm.beta")
            if name.startswith("bert."):
                tensors[old.removeprefix("bert.")] = value
        tensors["embeddings.position_ids"] = torch.arange(512)

    change_weights(model / "model.safetensors", rename)
    change_json(model / "config.json", lambda config: config.pop("architectures"))
    assert failures(check(model)) == set()


def test_fixed_table_of_positions_is_computed_again(tmp_path: Path) -> None:
    config = BertConfig(
        vocab_size=31,
        hidden_size=12,
        num_hidden_layers=1,
        num_attention_heads=3,
        intermediate_size=20,
        max_position_embeddings=9,
        position_embedding_type="sinusoidal",
    )
    place = tmp_path / "model"
    place.mkdir()
    content = {"architectures": ["BertForPreTraining"], **config.to_dict()}
    (place / "config.json").write_text(json.dumps(content))
    weights = BertForPreTraining(config).state_dict()
    safetensors.torch.save_file(weights, place / "model.safetensors")
    assert failures(check(place)) == set()
    weights["bert.embeddings.position_embeddings.weight"][2, 3] += 1e-4
    safetensors.torch.save_file(weights, place / "model.safetensors")
    assert failures(check(place)) == {"positions are sinusoids"}


def rewrite(output: Path, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """Change the predictions for the test rows, and let the manifest vouch for them."""
    path = output / "predictions-test.jsonl"
    rows = read_lines(path)
    change(rows)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    sign(output, path.name)


def swap_rows(rows: list[dict[str, Any]]) -> None:
    rows[3], rows[4] = rows[4], rows[3]


def lose_a_row(rows: list[dict[str, Any]]) -> None:
    rows.pop()


def take_another_label(rows: list[dict[str, Any]]) -> None:
    rows[5]["prediction"] = min(rows[5]["probabilities"], key=rows[5]["probabilities"].get)


def raise_a_probability(rows: list[dict[str, Any]]) -> None:
    rows[2]["probabilities"][rows[2]["label"]] += 0.1


def forget_a_label(rows: list[dict[str, Any]]) -> None:
    rows[1]["label"] = None


def name_an_unknown_label(rows: list[dict[str, Any]]) -> None:
    rows[1]["label"] = "violet"


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (swap_rows, {"test: rows in their order"}),
        (lose_a_row, {"test: predictions", "test: labelled rows"}),
        (take_another_label, {"test: the likeliest label is predicted"}),
        (raise_a_probability, {"test: probabilities add up to 1", "test: loss"}),
        (forget_a_label, {"test: labelled rows"}),
        (name_an_unknown_label, {"test: rows with a probability for each label"}),
    ],
)
def test_fault_in_predictions_is_found_though_the_checksums_are_right(
    classifier: Path,
    tmp_path: Path,
    change: Callable[[list[dict[str, Any]]], None],
    names: set[str],
) -> None:
    output = shutil.copytree(classifier, tmp_path / "bad")
    rewrite(output, change)
    assert names <= failures(check(output))


@pytest.mark.parametrize("name", ["accuracy", "macro_f1", "loss"])
def test_figure_that_its_predictions_do_not_come_to_is_found(
    classifier: Path, tmp_path: Path, name: str
) -> None:
    output = shutil.copytree(classifier, tmp_path / "bad")

    def improve(content: Mapping[str, Any]) -> None:
        for seed in content["seeds"]:
            seed["test"][name] += 0.01

    change_json(output / "metrics.json", improve)
    change_json(output / "manifest.json", lambda manifest: improve(manifest["statistics"]))
    sign(output, "metrics.json")
    assert failures(check(output)) == {f"test: {name}", "test: means over 2 seeds"}


def test_labels_in_another_order_than_the_model_s_are_found(
    classifier: Path, tmp_path: Path
) -> None:
    output = shutil.copytree(classifier, tmp_path / "bad")
    change_json(
        output / "model/config.json",
        lambda config: config["id2label"].update({"0": config["id2label"]["1"]}),
    )
    sign(output, "model/config.json")
    assert failures(check(output)) == {"labels in config.json"}


def write_tensors(path: Path, header: Mapping[str, Any] | bytes, data: bytes) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


@pytest.mark.parametrize(
    ("header", "data", "said"),
    [
        (b"{", b"", "isn't JSON"),
        ({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, b"1234567", "its tensors"),
        ({"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}, b"12345678", "a isn't"),
        ({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}, b"12345678", "a isn't"),
        ({"a": {"dtype": "F4", "shape": [1], "data_offsets": [0, 4]}}, b"1234", "type F4"),
        ({"a": [1]}, b"", "isn't one of tensors"),
    ],
)
def test_file_that_its_header_does_not_describe_is_refused(
    tmp_path: Path, header: Mapping[str, Any] | bytes, data: bytes, said: str
) -> None:
    with pytest.raises(Malformed, match=said):
        read_header(write_tensors(tmp_path / "x.safetensors", header, data))


def test_values_are_those_the_library_reads(tmp_path: Path) -> None:
    torch.manual_seed(1)
    tensors = {
        "wide": torch.randn(513, 700),
        "half": torch.randn(7, 3).half(),
        "brain": torch.randn(5, 11).bfloat16(),
        "none": torch.zeros(0, 4),
        "single": torch.tensor(3.5),
    }
    safetensors.torch.save_file(tensors, tmp_path / "x.safetensors")
    file = read_header(tmp_path / "x.safetensors")
    for name, each in tensors.items():
        assert torch.equal(torch.from_numpy(file.whole(name)), each.double()), name
    tensors["brain"][2, 2] = torch.nan
    safetensors.torch.save_file(tensors, tmp_path / "x.safetensors")
    file = read_header(tmp_path / "x.safetensors")
    assert {name: file.not_finite(name) for name in tensors if file.not_finite(name)} == {
        "brain": 1
    }
