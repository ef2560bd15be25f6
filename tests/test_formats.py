"""What the page on file formats says, held against files as they are written."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from .corpora import write_vocabulary
from .pretrain_toys import run, write_shards

PAGE = Path(__file__).resolve().parent.parent / "docs" / "formats.md"
TRAIN = "train-00000-of-00004.arrow"


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shards(tmp_path_factory.mktemp("shards"))


@pytest.fixture(scope="module")
def trained(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("trained") / "run"
    run(shards, output)
    return output


def names_after(words: str) -> set[str]:
    """Return the names in the first column of the first table after some words of the page."""
    after = PAGE.read_text().split(words, 1)[1]
    table = re.search(r"^(\|.*\n)+", after, re.M)
    assert table, words
    cells = [row.split("|")[1] for row in table[0].splitlines()[2:]]
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def read(path: Path) -> dict[str, object]:
    return json.loads(path.read_text())


def test_ten_lines_of_pyarrow_read_a_shard(shards: Path, tmp_path: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    (tmp_path / "read.py").write_text(program)
    command = [sys.executable, str(tmp_path / "read.py"), str(shards), TRAIN]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    first, size = said.strip().split("\n")
    assert re.fullmatch(r"\[CLS\] .* \[SEP\] .* \[SEP\] (next|random)", first)
    assert "[MASK]" not in first
    assert int(size) == len(write_vocabulary(tmp_path / "again.txt").read_text().split("\n")) - 1


def test_columns_of_shards_are_those_of_the_page(shards: Path) -> None:
    schema = pa.ipc.open_file(shards / TRAIN).schema
    assert set(schema.names) == names_after("A row is an\ninstance")


def test_keys_of_recipe_and_manifest_are_those_of_the_page(shards: Path, trained: Path) -> None:
    for output in (shards, trained):
        assert read(output / "recipe.json").keys() == names_after("### `recipe.json`")
        assert read(output / "manifest.json").keys() == names_after("### `manifest.json`")


def test_figures_of_a_run_are_those_of_the_page(trained: Path) -> None:
    lines = [json.loads(line) for line in (trained / "log/metrics.jsonl").read_text().splitlines()]
    of_steps = {name for line in lines if "validation" not in line for name in line}
    assert of_steps == names_after("`log/metrics.jsonl`** has a line")
    evaluations = [line for line in lines if "validation" in line]
    assert evaluations
    assert all(line.keys() == {"step", "validation"} for line in evaluations)


def test_files_of_a_run_are_those_of_the_page(trained: Path) -> None:
    told = names_after("## A pretraining run")
    assert {path.name for path in trained.iterdir() if path.is_dir()} == {
        name.split("/")[0] for name in told
    }
    checkpoint = sorted((trained / "checkpoints").iterdir())[-1]
    assert {path.name for path in checkpoint.iterdir()} == {
        "model",
        "optimizer.safetensors",
        "checkpoint.json",
    }
    assert read(checkpoint / "checkpoint.json").keys() == {"step", "progress", "files"}
