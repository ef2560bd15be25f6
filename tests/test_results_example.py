"""The example that measures encoders on real tasks: its project, its rows, its table."""

import importlib.util
import json
import lzma
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bertctl.pipeline.project.commands import arguments_of
from bertctl.pipeline.project.jobs import read_project

PLACE = Path(__file__).resolve().parent.parent / "examples" / "results"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"results_{name}", PLACE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


prepare: Any = load("prepare")
table: Any = load("table")


def test_every_set_is_fitted_from_both_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PLACE)
    jobs = {each.name: each for each in read_project(Path("bertctl.toml"))}
    for each in prepare.SETS:
        for start in ("pretrained", "random"):
            job = jobs.pop(f"finetune.{each.name}-{start}")
            assert job.files["train"] == Path("work/tasks", each.name, f"train.{each.suffix}")
            told = " ".join(arguments_of(job))
            language = each.name[:2]
            expected = {"pretrained": f"work/pretrain/{language}", "random": "random:mini"}
            assert f"--model {expected[start]} " in told
    assert set(jobs) == {
        f"{stage}.{language}"
        for stage in ("vocab", "shard", "pretrain")
        for language in ("en", "zh")
    }


def test_parts_share_no_row_and_no_premise_but_at_a_border(tmp_path: Path) -> None:
    rows = [
        {
            "sentence1": f"p{number % 900}",
            "sentence2": f"h{number}",
            "label": "-neutral"[number % 2 :],
        }
        for number in range(8000)
    ]
    place = tmp_path / "zh-pair-ocnli"
    place.mkdir()
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (place / "train.10k.json.xz").write_bytes(lzma.compress(text.encode()))
    (place / "dev.json.xz").write_bytes(
        lzma.compress(text[: len(text) // 20].rsplit("\n", 1)[0].encode())
    )
    (entailment,) = (each for each in prepare.SETS if each.name == "zh-entailment")
    parts = prepare.cut(entailment, tmp_path)
    assert {part: len(each) for part, each in parts.items()} == {
        "train": 2000,
        "validation": 500,
        "test": len(parts["test"]),
    }
    premises = {part: {row["text"] for row in each} for part, each in parts.items()}
    assert len(premises["train"] & premises["validation"]) <= 1
    pairs = [(row["text"], row["text_pair"]) for row in parts["train"] + parts["validation"]]
    assert len(set(pairs)) == len(pairs)
    assert parts == prepare.cut(entailment, tmp_path)


def test_sentences_are_parted_by_whatever_looks_empty() -> None:
    text = "# a comment\nA\tO\nB\tB-X\n \t\nC\tO\r\n\r\n\r\n# end\n"
    assert prepare.sentences([text]) == ["A\tO\nB\tB-X", "C\tO"]
    assert prepare.blocks(prepare.sentences([text])) == "A\tO\nB\tB-X\n\nC\tO\n\n"


def test_a_question_whose_answer_stands_elsewhere_is_left_out() -> None:
    def question(start: int) -> dict[str, Any]:
        return {
            "id": str(start),
            "question": "?",
            "answers": [{"text": "two", "answer_start": start}],
        }

    paragraph = {"context": "one two", "qas": [question(4), question(3)]}
    kept = prepare.questions([json.dumps({"data": [{"title": "", "paragraphs": [paragraph]}]})])
    assert [each["qa"]["id"] for each in kept] == ["4"]
    assert prepare.questions([prepare.squad(kept)]) == kept


def test_a_row_of_the_table_has_both_starts_and_the_time_they_took(tmp_path: Path) -> None:
    for number, start in enumerate(("random", "pretrained")):
        run = tmp_path / f"en-similarity-{start}"
        run.mkdir()
        figures = {
            "task": "regression",
            "labelled_rows": {"train": 1234},
            "mean": {"test": {"spearman": 0.3 + 0.2 * number}},
            "sd": {"test": {"spearman": 0.01}},
        }
        (run / "metrics.json").write_text(json.dumps(figures))
        for name, when in (("recipe.json", 1000), ("manifest.json", 1090 + 60 * number)):
            (run / name).touch()
            os.utime(run / name, (when, when))
    runs = [tmp_path / f"en-similarity-{start}" for start in ("random", "pretrained")]
    assert table.row("en-similarity", runs) == (
        "| en-similarity | regression | 1,234 | Spearman × 100 | 30.0 ± 1.0 | 50.0 ± 1.0 | 2.0 |"
    )
