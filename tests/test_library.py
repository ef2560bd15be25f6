"""The Python that the documentation shows, run; and the names that it calls public."""

import dataclasses
import importlib
import inspect
import re
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

from .corpora import write_corpus
from .finetune_toys import CONFIG, write_start

PAGE = Path(__file__).resolve().parent.parent / "docs" / "library.md"
FLOORS = ("model", "pipeline", "cli")


def section_of(floor: str) -> str:
    (found,) = re.findall(rf"^## `bertctl\.{floor}`.*?(?=^## |\Z)", PAGE.read_text(), re.M | re.S)
    return found


@pytest.fixture
def run_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], str]:
    """Run the example of a floor where its files are, and return what it prints."""

    def run(floor: str) -> str:
        (program,) = re.findall(r"```python\n(.*?)```", section_of(floor), re.S)
        (tmp_path / "example.py").write_text(program)
        monkeypatch.chdir(tmp_path)
        runpy.run_path("example.py")
        return capsys.readouterr().out

    return run


def test_example_of_the_model_computes_logits(
    tmp_path: Path, run_example: Callable[[str], str]
) -> None:
    write_start(tmp_path / "encoder" / "model")
    assert f"[4, {CONFIG.vocab_size}]" in run_example("model")


def test_example_of_the_pipeline_makes_shards(
    tmp_path: Path, run_example: Callable[[str], str]
) -> None:
    write_corpus(tmp_path / "corpus", files=2)
    said = run_example("pipeline")
    assert re.fullmatch(r"False \d+\n", said)
    assert run_example("pipeline") == said.replace("False", "True")


def test_example_of_the_command_line_reads_flags(run_example: Callable[[str], str]) -> None:
    assert "corpus: SentenceSettings(sentences='auto', language='zh')" in run_example("cli")


def public_names() -> list[tuple[str, str]]:
    """Return (module, name) of everything in the tables of the page."""
    names: list[tuple[str, str]] = []
    for floor in FLOORS:
        for cell in re.findall(r"^\| (`.*?) \|", section_of(floor), re.M):
            module = ""
            for each in re.findall(r"`([^`]+)`", cell):
                # Of several names of one module only the first is written in full.
                before, _, name = each.rpartition(".")
                module = before or module
                names.append((module, name.replace("…", "BertFor")))
    return names


@pytest.mark.parametrize(("module", "name"), public_names())
def test_public_name_is_there_typed_and_explained(module: str, name: str) -> None:
    thing = getattr(importlib.import_module(f"bertctl.{module}"), name)
    assert inspect.getdoc(thing)
    if inspect.isfunction(thing):
        hints = inspect.get_annotations(thing)
        assert {*inspect.signature(thing).parameters, "return"} <= set(hints)
    elif dataclasses.is_dataclass(thing):
        assert all(each.type for each in dataclasses.fields(thing))
