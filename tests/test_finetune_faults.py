"""Damage, full disks and odd rows: what fine-tuning says of them, and when."""

import json
import resource
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch

from bertctl.pipeline.errors import BadInput, Stopped
from bertctl.pipeline.finetune.examples.classes import alike_labels
from bertctl.pipeline.finetune.settings import FinetuneHow
from bertctl.pipeline.finetune.stage import finetune
from bertctl.pipeline.stage.report import Silent

from .finetune_toys import request, rows, write_start, write_task
from .killing import bytes_of


class Recording(Silent):
    """A reporter that remembers what it was told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def notice(self, text: str) -> None:
        self.said.append(text)

    def warn(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("task")
    write_task(directory, train=40)
    return directory


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_start(tmp_path_factory.mktemp("start"))


@pytest.fixture(scope="module")
def fitted(task: Path, start: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run to start from: it vouches for its files."""
    output = tmp_path_factory.mktemp("fitted") / "run"
    finetune(request(task, model=start, epochs=1), output, reporter=Silent())
    return output


def _turn(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    assert len(old) == len(new)
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("tokenizer_config.json", '"strip_accents": null', '"strip_accents":true '),
        ("tokenizer.json", '"strip_accents": null', '"strip_accents":true '),
        ("vocab.txt", "sky", "sly"),
        ("special_tokens_map.json", "[UNK]", "[UNC]"),
        ("config.json", '"hidden_act": "gelu"', '"hidden_act": "relu"'),
    ],
)
def test_damaged_file_of_a_run_is_named_before_it_is_read(
    task: Path, fitted: Path, tmp_path: Path, name: str, old: str, new: str
) -> None:
    copy = Path(shutil.copytree(fitted, tmp_path / "copy"))
    _turn(copy / "model" / name, old, new)
    with pytest.raises(BadInput, match=rf"{name} is damaged") as refused:
        finetune(request(task, model=copy), tmp_path / "out", reporter=Silent())
    assert "Delete" not in refused.value.hint
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "content",
    ["{}", "[]", '{"files": 5}', '{"step": 1, "progress": {}, "files": {"model/config.json": 1}}'],
)
def test_checkpoint_that_does_not_name_its_files_is_refused(
    task: Path, fitted: Path, tmp_path: Path, content: str
) -> None:
    shutil.copytree(fitted / "model", tmp_path / "step-00000001" / "model")
    (tmp_path / "step-00000001" / "checkpoint.json").write_text(content)
    asked = request(task, model=tmp_path / "step-00000001")
    with pytest.raises(BadInput, match=r"checkpoint\.json is damaged"):
        finetune(asked, tmp_path / "out", reporter=Silent())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_named(
    task: Path, start: Path, tmp_path: Path, value: float
) -> None:
    copy = Path(shutil.copytree(start, tmp_path / "start"))
    weights = safetensors.torch.load_file(copy / "model.safetensors")
    name = "bert.encoder.layer.1.output.dense.weight"
    weights[name][3, 5] = value
    safetensors.torch.save_file(weights, copy / "model.safetensors")
    with pytest.raises(BadInput, match=rf"{name} holds 1 value") as refused:
        finetune(request(task, model=copy), tmp_path / "out", reporter=Silent())
    assert refused.value.exit_code == 2


def test_model_that_cannot_be_used_takes_no_output_and_harms_none(
    task: Path, start: Path, tmp_path: Path
) -> None:
    """Whoever names another model then repeats the command as it is."""
    copy = Path(shutil.copytree(start, tmp_path / "start"))
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "intermediate_size": 49}))
    wrong, right = (request(task, model=each, epochs=1) for each in (copy, start))
    with pytest.raises(BadInput, match="another shape"):
        finetune(wrong, tmp_path / "out", reporter=Silent())
    assert not (tmp_path / "out" / "recipe.json").exists()
    finetune(right, tmp_path / "out", reporter=Silent())
    before = bytes_of(tmp_path / "out")
    with pytest.raises(BadInput, match="another shape"):
        finetune(wrong, tmp_path / "out", reporter=Silent(), force=True)
    assert bytes_of(tmp_path / "out") == before
    other = request(task, model=start, epochs=1, seed=3)
    finetune(other, tmp_path / "out", reporter=Silent(), force=True)
    assert bytes_of(tmp_path / "out") != before


def test_output_that_is_replaced_midway_leaves_no_checkpoint_to_go_on_from(
    task: Path, start: Path, tmp_path: Path
) -> None:
    asked = [request(task, model=start, seed=7, learning_rate=rate) for rate in (5e-3, 1e-3)]
    stopped = replace(asked[0], should_stop=lambda: True, how=FinetuneHow(checkpoint_every=1))
    with pytest.raises(Stopped):
        finetune(stopped, tmp_path / "out", reporter=Silent())
    finetune(asked[1], tmp_path / "out", reporter=Silent(), force=True)
    finetune(asked[1], tmp_path / "alone", reporter=Silent())
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "alone")


def write_jsonl(path: Path, some: list[Any]) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" for each in some))
    return path


@pytest.mark.parametrize("label", [float("nan"), float("inf"), -float("inf")])
def test_label_that_is_no_number_is_refused_with_its_row(
    task: Path, start: Path, tmp_path: Path, label: float
) -> None:
    labelled = [{"text": "a sky", "label": each} for each in (1, 2, 1, 2, label)]
    asked = replace(
        request(task, model=start, parts=("train",)),
        train=write_jsonl(tmp_path / "train.jsonl", labelled),
    )
    with pytest.raises(BadInput, match=r"train\.jsonl, row 5 \(line 5\): -?(NaN|Infinity)"):
        finetune(asked, tmp_path / "out", reporter=Silent())


def test_labels_that_are_one_number_written_differently_are_warned_about(
    task: Path, start: Path, tmp_path: Path
) -> None:
    some = [{"text": "a sky", "label": label} for label in (1, 1.0, True, "2", 0, "1", 2)]
    path = write_jsonl(tmp_path / "train.jsonl", some)
    reporter = Recording()
    asked = replace(request(task, model=start, parts=("train",), epochs=1), train=path)
    finetune(asked, tmp_path / "out", reporter=reporter)
    (told,) = (said for said in reporter.said if "told apart" in said)
    assert all(repr(label) in told for label in ("1", "1.0", "true"))
    assert "'2'" not in told


def test_labels_are_alike_only_where_their_numbers_are_equal() -> None:
    names = ["1", "01", "1.10", "1.1", "true", "True", "7", "seven", "7e0", "0", "no", "nan"]
    assert alike_labels(names) == [
        ("1", "01", "true", "True"),
        ("1.10", "1.1"),
        ("7", "7e0"),
    ]
    assert alike_labels(["٣", "3"]) == [("٣", "3")]
    assert alike_labels(["positive", "negative", "1/2", "1-2", "2", "12"]) == []


def test_texts_without_a_token_are_counted(task: Path, start: Path, tmp_path: Path) -> None:
    some = rows(9, 3)
    for number in (2, 5):
        some[number]["text"] = "\u200b\u200d"
    reporter = Recording()
    asked = request(task, model=start, parts=("train",), epochs=1)
    asked = replace(asked, test=write_jsonl(tmp_path / "test.jsonl", some))
    finetune(asked, tmp_path / "out", reporter=reporter)
    assert [said for said in reporter.said if "come to no token" in said] == [
        said for said in reporter.said if "test.jsonl: 2 of 9 texts come to no token" in said
    ]
    assert sum("come to no token" in said for said in reporter.said) == 1


@pytest.mark.parametrize(
    "line",
    [
        '{"text": "a", "label": "x", "text": "b"}',
        '{"text": "a", "label": "x", "o": {"k": 1, "k": 2}}',
    ],
)
def test_key_that_stands_twice_is_refused_with_its_line(
    task: Path, start: Path, tmp_path: Path, line: str
) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text('{"text": "a sky", "label": "y"}\n' + line + "\n")
    asked = replace(request(task, model=start, parts=("train",)), train=path)
    with pytest.raises(BadInput, match=r"train\.jsonl, line 2: the key '(text|k)' stands twice"):
        finetune(asked, tmp_path / "out", reporter=Silent())


def test_disk_without_room_for_the_model_is_named_without_a_traceback(
    task: Path, start: Path, tmp_path: Path
) -> None:
    room = (start / "model.safetensors").stat().st_size // 2

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    command = [
        *(sys.executable, "-m", "bertctl", "finetune", "--model", str(start)),
        *("--train", str(task / "train.csv"), "--epochs", "1", "--max-seq-length", "20"),
        *("--threads", "1", "--device", "cpu", "--output", str(tmp_path / "out")),
    ]
    ended = subprocess.run(command, preexec_fn=limit, capture_output=True, text=True)
    assert ended.returncode == 1, ended.stderr
    assert "/model/model.safetensors: File too large" in ended.stderr
    assert "Traceback" not in ended.stderr
