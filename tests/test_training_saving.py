"""Saving aside, logs cut at their end, memory that is too small: what training's parts promise."""

import json
import math
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bertctl.model.optimiser import adamw
from bertctl.pipeline.errors import WorkFailed
from bertctl.pipeline.pretrain import fitting
from bertctl.pipeline.pretrain.fitting import largest_that_fits
from bertctl.pipeline.training.checkpoint import Snapshot
from bertctl.pipeline.training.log import MetricsLog
from bertctl.pipeline.training.loop import TrainingState, naming_micro_batches
from bertctl.pipeline.training.machine import Machine
from bertctl.pipeline.training.saving import Saver, saving
from bertctl.pipeline.training.team import ALONE

CPU = Machine(torch.device("cpu"), "float32", threads=1, micro_batch_size=8, tokens_at_once=1024)


def state_of(value: float, step: int) -> TrainingState:
    model = torch.nn.Linear(3, 2)
    torch.nn.init.constant_(model.weight, value)
    return TrainingState(model, torch.optim.AdamW(model.parameters()), step=step)


def test_training_goes_on_while_a_snapshot_is_written_and_does_not_change_it() -> None:
    may_write = threading.Event()
    written: list[Snapshot] = []

    def write(snapshot: Snapshot) -> None:
        assert may_write.wait(20)
        written.append(snapshot)

    state = state_of(1.0, 7)
    with saving(write) as saver:
        saver.save(state)
        # The write has not even begun, and the next step is taken.
        torch.nn.init.constant_(state.model.weight, 2.0)
        state.step = 8
        assert written == []
        saver.fail_if_failed()
        may_write.set()
    (snapshot,) = written
    assert snapshot.step == 7
    assert torch.equal(snapshot.weights["weight"], torch.ones(2, 3))


def test_snapshot_is_whole_before_the_next_is_taken() -> None:
    written: list[int] = []

    def write(snapshot: Snapshot) -> None:
        time.sleep(0.02)
        written.append(snapshot.step)

    with saving(write) as saver:
        for step in range(5):
            saver.save(state_of(0.0, step))
            assert written == list(range(step))
    assert written == list(range(5))


def test_failed_write_stops_training_at_its_next_step() -> None:
    def write(snapshot: Snapshot) -> None:
        raise OSError(28, "No space left on device", "somewhere")

    with saving(write) as saver:
        saver.save(state_of(0.0, 1))
        with pytest.raises(OSError, match="No space left"):
            steps_until_failure(saver)


def steps_until_failure(saver: Saver) -> None:
    while True:
        saver.fail_if_failed()


@pytest.mark.parametrize("steps", [1, 9, 3000])
@pytest.mark.parametrize("forgotten", ["nothing", "some", "all"])
@pytest.mark.parametrize(
    "broken",
    [b"", b'{"step": 9', b'{"step": 99999, "a": 1}', b"\0\0\0\n", b'{"step": "x"}\n', b'"x"\n'],
)
def test_log_forgets_what_is_taken_again_and_nothing_else(
    tmp_path: Path, steps: int, forgotten: str, broken: bytes
) -> None:
    path = tmp_path / "log" / "metrics.jsonl"
    log = MetricsLog(path)
    for step in range(1, steps + 1):
        log.write({"step": step, "loss": "x" * (step % 97)})
    whole = path.read_bytes().splitlines(keepends=True)
    with path.open("ab") as file:
        file.write(broken)
    kept = {"nothing": steps, "some": steps // 2, "all": 0}[forgotten]
    MetricsLog(path).forget_after(kept)
    assert path.read_bytes() == b"".join(whole[:kept])


def test_log_of_a_long_run_is_read_at_its_end_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "metrics.jsonl"
    lines = "".join(json.dumps({"step": step, "loss": 1.0}) + "\n" for step in range(200_000))
    path.write_text(lines)
    read = 0
    loads = json.loads

    def counting(text: bytes) -> object:
        nonlocal read
        read += 1
        return loads(text)

    monkeypatch.setattr("bertctl.pipeline.training.log.json.loads", counting)
    MetricsLog(path).forget_after(199_990)
    assert read < 20
    assert path.read_text() == "".join(lines.splitlines(keepends=True)[:199_991])


def test_memory_that_is_too_small_names_the_setting_that_needs_less() -> None:
    with (
        pytest.raises(WorkFailed, match="isn't enough memory") as failed,
        naming_micro_batches(),
    ):
        torch.empty(1 << 60, dtype=torch.uint8)
    assert "--micro-batch-size" in failed.value.hint
    with pytest.raises(WorkFailed), naming_micro_batches():
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB.")
    with pytest.raises(RuntimeError, match="something else"), naming_micro_batches():
        raise RuntimeError("something else")


def test_largest_micro_batch_that_fits_is_found_by_halving() -> None:
    tried: list[int] = []

    def fits(machine: Machine) -> bool:
        tried.append(machine.instances_at_once(128, 256))
        return tried[-1] <= 3

    found = largest_that_fits(CPU, fits, longest=128)
    assert tried == [8, 4, 2]
    assert found.micro_batch_size == 2
    with pytest.raises(WorkFailed, match="Not even one instance of 128 tokens"):
        largest_that_fits(CPU, lambda _: False, longest=128)


def test_moments_take_their_memory_before_a_micro_batch_is_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = torch.nn.Linear(3, 2)
    state = TrainingState(model, adamw(model, learning_rate=0.1, weight_decay=0.01))
    plan: Any = SimpleNamespace(longest=128)

    def fits(*_: object) -> bool:
        assert {each.shape for each in state.optimizer.state} == {(2, 3), (2,)}
        return True

    monkeypatch.setattr(fitting, "_fits", fits)
    machine = replace(CPU, device=torch.device("cuda"))
    assert fitting.fitted(machine, plan, state, ALONE) == machine
    # The first step is that of an optimizer that made them itself.
    other = torch.nn.Linear(3, 2)
    other.load_state_dict(model.state_dict())
    late = adamw(other, learning_rate=0.1, weight_decay=0.01)
    for each, optimizer in ((model, state.optimizer), (other, late)):
        each(torch.ones(5, 3)).square().sum().backward()
        optimizer.step()
    assert torch.equal(model.weight, other.weight)


@pytest.mark.parametrize(
    ("processes", "batch_size"), [(1, 256), (2, 256), (3, 256), (3, 7), (5, 6)]
)
def test_processes_get_as_many_micro_batches_each_as_can_be(
    processes: int, batch_size: int
) -> None:
    size = replace(CPU, processes=processes).instances_at_once(32, batch_size)
    assert 1 <= size <= 32
    parts = math.ceil(batch_size / size)
    share = math.ceil(batch_size / processes)
    assert math.ceil(parts / processes) == math.ceil(share / 32)
