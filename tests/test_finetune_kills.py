"""Every task killed for real, at random moments again and again, and gone on with to the end."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .finetune_toys import (
    choice_rows,
    rows,
    scored_rows,
    several_rows,
    squad,
    tagged_rows,
    write_lines,
    write_start,
)
from .killing import bytes_of

pytestmark = pytest.mark.slow

COUNTS = {"train": 70, "validation": 25, "test": 33}
MAKERS = {
    "sequence-classification": rows,
    "several labels": several_rows,
    "regression": scored_rows,
    "token-classification": tagged_rows,
    "multiple-choice": choice_rows,
    "question-answering": squad,
    "answers or none": squad,
    "mix of layers": rows,
    "folds": rows,
}
"""What is learnt, by a name that is a task's where nothing else is said"""
TASKS = {
    "several labels": "sequence-classification",
    "answers or none": "question-answering",
    "mix of layers": "sequence-classification",
    "folds": "sequence-classification",
}
MORE = {
    "mix of layers": ("--train-layers", "none", "--features", "mix"),
    "folds": ("--folds", "2"),
}
KILLS = 4
"""Times that a run is killed, unless it ends before"""


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_start(tmp_path_factory.mktemp("start"))


def asked(name: str, start: Path, place: Path) -> list[str]:
    """Write the files of a task, and return the command without its output."""
    files: list[str] = []
    for seed, (part, count) in enumerate(COUNTS.items()):
        path = place / f"{part}.jsonl"
        if MAKERS[name] is squad:
            path = place / f"{part}.json"
            drawn = squad(count, seed, impossible=name == "answers or none")
            path.write_text(json.dumps(drawn))
        else:
            write_lines(path, MAKERS[name](count, seed))
        if part != "validation" or name != "folds":
            files += [f"--{part}", str(path)]
    return [
        *(sys.executable, "-m", "bertctl", "finetune"),
        *("--task", TASKS.get(name, name), "--model", str(start), *files, *MORE.get(name, ())),
        *("--epochs", "2", "--batch-size", "8", "--learning-rate", "5e-3", "--seeds", "2"),
        *("--max-seq-length", "20", "--device", "cpu", "--precision", "float32"),
        *("--threads", "1", "--micro-batch-size", "6", "--checkpoint-every", "3"),
    ]


def unfinished(output: Path) -> list[str]:
    """List what is under way in an output; `os.walk` passes over what goes away meanwhile."""
    return sorted(
        f"{place}/{name}"
        for place, folders, names in os.walk(output / ".bertctl")
        for name in (*folders, *names)
    )


def run_for(command: list[str], output: Path, seconds: float | None) -> bool:
    """Run a command and kill it `seconds` after it began to write; return whether it had ended."""
    process = subprocess.Popen(
        [*command, "--output", str(output)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    if seconds is not None:
        before = unfinished(output)
        while process.poll() is None and unfinished(output) == before:
            time.sleep(0.002)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
    _, errors = process.communicate(timeout=200)
    assert process.returncode in (0, -signal.SIGKILL), errors
    return process.returncode == 0


@pytest.mark.parametrize("name", MAKERS)
def test_task_killed_at_random_moments_comes_to_the_same_numbers(
    name: str, start: Path, tmp_path: Path
) -> None:
    command = asked(name, start, tmp_path)
    begun = time.monotonic()
    assert run_for(command, tmp_path / "whole", None)
    # Beginning is half of such a run: moments are drawn from the other half.
    length = (time.monotonic() - begun) / 2
    moments = random.Random(name)
    killed = 0
    while killed < KILLS and not run_for(
        command, tmp_path / "killed", moments.uniform(0, length / 2)
    ):
        killed += 1
    assert killed
    assert run_for(command, tmp_path / "killed", None)
    assert bytes_of(tmp_path / "killed") == bytes_of(tmp_path / "whole")
    told = (tmp_path / "killed" / "metrics.json", tmp_path / "whole" / "metrics.json")
    assert told[0].read_bytes() == told[1].read_bytes()
