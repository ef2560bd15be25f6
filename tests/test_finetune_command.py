"""`bertctl finetune` as a process: its words, its exit codes, and killed for real."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from bertctl.cli.finetune import command

from .finetune_toys import (
    rows,
    scored_rows,
    write_csv,
    write_lines,
    write_start,
    write_task,
)
from .killing import bytes_of, committed_units, kill_when

PROGRAM = (sys.executable, "-m", "bertctl", "finetune")
SEEDS = 5


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a task, a model, and what an uninterrupted run makes of them."""
    directory = tmp_path_factory.mktemp("place")
    write_task(directory / "task", train=50)
    write_start(directory / "start")
    ended = subprocess.run(
        [*PROGRAM, *arguments(directory, directory / "whole"), "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    (directory / "stdout").write_text(ended.stdout)
    (directory / "stderr").write_text(ended.stderr)
    return directory


def arguments(place: Path, output: Path, *, seeds: int = SEEDS) -> list[str]:
    task = place / "task"
    return [
        *("--task", "sequence-classification", "--model", str(place / "start")),
        *("--train", str(task / "train.csv")),
        *("--validation", str(task / "validation.csv"), "--test", str(task / "test.csv")),
        *("--epochs", "2", "--batch-size", "16", "--learning-rate", "5e-3"),
        *("--max-seq-length", "20", "--device", "cpu", "--precision", "float32"),
        *("--threads", "1", "--micro-batch-size", "6", "--seeds", str(seeds)),
        *("--output", str(output)),
    ]


def _checkpoints(output: Path) -> list[Path]:
    return list((output / ".bertctl").glob("seed-*/checkpoints/step-*/checkpoint.json"))


MOMENTS: dict[str, Callable[[Path], bool]] = {
    "first checkpoint": lambda output: bool(_checkpoints(output)),
    "second seed": lambda output: len(committed_units(output)) >= 1,
    "checkpoint being written": lambda output: (
        len(committed_units(output)) >= 1 and (output / ".bertctl/aside/checkpoint").exists()
    ),
}


@pytest.mark.parametrize(
    ("moment", "by"),
    [
        ("first checkpoint", signal.SIGKILL),
        pytest.param("second seed", signal.SIGKILL, marks=pytest.mark.slow),
        ("checkpoint being written", signal.SIGKILL),
        pytest.param("second seed", signal.SIGTERM, marks=pytest.mark.slow),
    ],
)
def test_killed_run_continues_to_the_bytes_of_an_uninterrupted_one(
    place: Path, tmp_path: Path, moment: str, by: signal.Signals
) -> None:
    output = tmp_path / "out"
    ended = kill_when([*PROGRAM, *arguments(place, output)], lambda: MOMENTS[moment](output), by)
    assert ended.returncode == (-by if by == signal.SIGKILL else 128 + by)
    assert len(committed_units(output)) < SEEDS
    assert moment == "first checkpoint" or committed_units(output)
    assert not (output / "manifest.json").exists()
    assert CliRunner().invoke(command, arguments(place, output)).exit_code == 0
    assert bytes_of(output) == bytes_of(place / "whole")


def test_result_is_one_json_object_and_news_goes_to_stderr(place: Path) -> None:
    told = json.loads((place / "stdout").read_text())
    assert told["up_to_date"] is False
    metrics = json.loads((place / "whole" / "metrics.json").read_text())
    assert told["statistics"]["mean"] == metrics["mean"]
    news = (place / "stderr").read_text()
    assert "guessed from their names: 'text' → 'label'" in news
    assert "Traceback" not in news


def test_repeated_command_is_up_to_date(place: Path) -> None:
    again = CliRunner().invoke(command, arguments(place, place / "whole"))
    assert (again.exit_code, again.stdout) == (0, f"{place / 'whole'} is up to date.\n")


def test_table_tells_mean_and_deviation(place: Path, tmp_path: Path) -> None:
    asked = [*arguments(place, tmp_path / "out", seeds=2), "--plain"]
    told = CliRunner().invoke(command, asked).stdout
    means, deviations = (
        json.loads((tmp_path / "out" / "metrics.json").read_text())[name] for name in ("mean", "sd")
    )
    for name in ("validation", "test"):
        mean, deviation = means[name]["accuracy"], deviations[name]["accuracy"]
        assert f"{100 * mean:.1f} ± {100 * deviation:.1f} %" in told


def test_bad_row_ends_with_2_and_says_where(place: Path, tmp_path: Path) -> None:
    bad = write_csv(tmp_path / "bad.csv", [*rows(5, 0), {"text": "a sky", "label": "BLACK"}])
    ended = subprocess.run(
        [*PROGRAM, *arguments(place, tmp_path / "out"), "--test", str(bad)],
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 2
    assert "bad.csv, row 6 (line 7): the label 'BLACK' was never seen" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "out").exists()


def test_table_of_one_run_tells_intervals_and_what_saying_the_mean_comes_to(
    place: Path, tmp_path: Path
) -> None:
    files: list[str] = []
    for part, count in {"train": 40, "validation": 14, "test": 15}.items():
        path = write_lines(tmp_path / f"{part}.jsonl", scored_rows(count, count))
        files += [f"--{part}", str(path)]
    run = arguments(place, tmp_path / "out", seeds=1)
    asked = [*run, "--task", "regression", *files, "--plain"]
    told = " ".join(CliRunner().invoke(command, asked).stdout.split())
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    low, high = metrics["interval"]["test"]["pearson"]
    assert f"{metrics['mean']['test']['pearson']:.3f} (95 %: {low:.3f}–{high:.3f})" in told
    assert f"mean: {metrics['baseline']['mse']['test']:.4g})" in told
    assert "labels" not in told
