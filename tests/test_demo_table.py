"""The demo's two small programs that follow the training: the word count and the table."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).parent.parent / "examples" / "docstrings"
sys.path.insert(0, str(DEMO))

import table  # noqa: E402
from bag_of_words import bag_of_words, read_examples  # noqa: E402

ACCURACIES = {"pretrained": [0.7, 0.64, 0.72], "random": [0.4, 0.48]}


def write_metrics(path: Path, accuracies: list[float]) -> Path:
    seeds = [
        {"seed": seed, "test": {"accuracy": accuracy, "macro_f1": accuracy / 2}}
        for seed, accuracy in enumerate(accuracies, start=1)
    ]
    path.write_text(json.dumps({"seeds": seeds}))
    return path


def test_table_shows_mean_and_deviation_over_seeds_in_a_pipe(tmp_path):
    paths = {name: write_metrics(tmp_path / name, runs) for name, runs in ACCURACIES.items()}
    paths["bag-of-words"] = write_metrics(tmp_path / "bag-of-words", [0.5])
    flags = [f"--{name}={path}" for name, path in paths.items()]
    printed = subprocess.run(
        [sys.executable, str(DEMO / "table.py"), *flags], capture_output=True, check=True
    ).stdout.decode()
    assert set(filter(lambda letter: ord(letter) > 127, printed)) == {"±"}
    heading, pretrained, random, bag = printed.splitlines()
    for line, name in ((pretrained, "pretrained"), (random, "random")):
        scores = [100 * score for score in ACCURACIES[name]]
        mean, deviation = statistics.mean(scores), statistics.stdev(scores)
        numbers = f"{len(scores)} {mean:.1f} ± {deviation:.1f} {mean / 2:.1f} ± {deviation / 2:.1f}"
        assert " ".join(line.split()).endswith(numbers)
    assert "accuracy" in heading
    assert "50.0" in bag
    assert "±" not in bag


def test_a_single_score_has_no_deviation():
    assert table.mean_and_deviation([0.25]) == "25.0"


def test_bag_of_words_learns_telling_words():
    texts = [f"{word} is said of number {n}" for n in range(7) for word in ("cat", "dog", "emu")]
    labels = [text.split()[0] for text in texts]
    test = (["cat and cat again", "dog it is", "an emu", "the dog"], ["cat", "dog", "emu", "emu"])
    _, scores = bag_of_words((texts, labels), (texts[:5], labels[:5]), test)
    assert scores["validation"] == {"accuracy": 1.0, "macro_f1": 1.0}
    assert scores["test"] == {"accuracy": 3 / 4, "macro_f1": pytest.approx((1 + 2 / 3 + 2 / 3) / 3)}


def test_bag_of_words_is_up_to_date_until_its_data_change(tmp_path):
    for split, number in (("train", 9), ("validation", 4), ("test", 5)):
        rows = [f"the {'ab'[n % 2]} word {n}\t{'xy'[n % 2]}\tmodule" for n in range(number)]
        (tmp_path / f"{split}.tsv").write_text("\n".join(["text\tlabel\tmodule", *rows]) + "\n")
    output = tmp_path / "bag.json"

    def run() -> str:
        command = [sys.executable, str(DEMO / "bag_of_words.py"), f"--data={tmp_path}"]
        return subprocess.run(
            [*command, f"--output={output}"], capture_output=True, check=True, text=True
        ).stderr

    assert "up to date" not in run()
    first = output.read_bytes()
    assert "up to date" in run()
    assert output.read_bytes() == first
    with (tmp_path / "test.tsv").open("a") as file:
        file.write("one more a word\tx\tmodule\n")
    assert len(read_examples(tmp_path / "test.tsv")[0]) == 6
    assert "up to date" not in run()
