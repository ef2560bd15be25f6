"""Real processes killed at real moments: whatever is killed, the run ends with the same bytes."""

import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from .killing import bytes_of
from .pretrain_toys import figures_of, steps_logged, write_shards
from .teams import descendants, finish, free_port, kill_all, launched, torchrun, workers_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

LONG = ("--steps", "160", "--checkpoint-every", "4", "--eval-every", "40")
KILLS = {1: 30, 2: 12, 3: 8}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shards(tmp_path_factory.mktemp("shards"))


@pytest.fixture(scope="module")
def whole(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Runs of one, two and three processes that nobody interrupted."""
    outputs: dict[int, Path] = {}
    for processes in KILLS:
        outputs[processes] = tmp_path_factory.mktemp("whole") / str(processes)
        ended = finish(launched(shards, outputs[processes], processes, *LONG))
        assert ended.returncode == 0, ended.stderr
    return outputs


def interrupted(
    command: Sequence[str], reached: Callable[[], bool], act: Callable[[int], None]
) -> subprocess.CompletedProcess[str]:
    """Start a command, do something to its process when some point is reached, and wait."""
    process = subprocess.Popen(command, stdout=-1, stderr=-1, text=True)
    deadline = time.monotonic() + 100
    while not reached() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    act(process.pid)
    out, err = process.communicate(timeout=200)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


@pytest.mark.parametrize("processes", KILLS)
def test_killed_at_random_moments_it_ends_with_the_same_bytes(
    shards: Path, whole: dict[int, Path], tmp_path: Path, processes: int
) -> None:
    moments = random.Random(processes)
    begun = time.monotonic()
    output = tmp_path / "first"
    assert finish(launched(shards, output, processes, *LONG)).returncode == 0
    duration = time.monotonic() - begun
    kills = outputs = 0
    while kills < KILLS[processes]:
        output = tmp_path / str(outputs)
        outputs += 1
        while not (output / "manifest.json").exists():
            command = launched(shards, output, processes, *LONG)
            process = subprocess.Popen(command, stdout=-3, stderr=-3)
            try:
                process.wait(moments.uniform(0.2, 1.0) * duration)
            except subprocess.TimeoutExpired:
                everybody = [process.pid, *descendants(process.pid)]
                # All at once, as a machine that stops, or the launcher alone, whose workers
                # then end by themselves.
                kill_all(everybody if moments.random() < 0.7 else everybody[:1])
                kills += 1
            process.wait()
        assert bytes_of(output) == bytes_of(whole[processes])


def test_other_number_of_processes_goes_on_at_the_same_instance_with_a_notice(
    shards: Path, whole: dict[int, Path], tmp_path: Path
) -> None:
    output = tmp_path / "run"
    interrupted(
        launched(shards, output, 1, *LONG), lambda: steps_logged(output) >= 30, send(signal.SIGTERM)
    )
    ended = finish(launched(shards, output, 2, *LONG))
    assert ended.returncode == 0, ended.stderr
    assert "processes 1 → 2" in ended.stderr
    figures, expected = (figures_of(each) for each in (output, whole[2]))
    assert [each["step"] for each in figures] == [each["step"] for each in expected]
    assert [each["tokens"] for each in figures] == [each["tokens"] for each in expected]
    # Dropout is keyed by micro-batch, and these are cut alike: only the order of sums is another.
    for name in ("mlm_loss", "nsp_loss"):
        assert [each[name] for each in figures] == pytest.approx(
            [each[name] for each in expected], rel=1e-3
        )


def test_one_and_two_processes_lose_alike_over_a_hundred_steps(whole: dict[int, Path]) -> None:
    one, two = (figures_of(whole[each])[:100] for each in (1, 2))
    assert len(one) == 100
    assert [each["loss"] for each in one] == pytest.approx([each["loss"] for each in two], rel=1e-3)


def send(what: signal.Signals) -> Callable[[int], None]:
    return lambda process: os.kill(process, what)


def kill_worker(rank: int) -> Callable[[int], None]:
    return lambda launcher: kill_all([workers_of(launcher)[rank]])


@pytest.mark.parametrize("rank", [0, 1])
def test_killed_worker_is_started_again_and_the_run_ends_with_the_same_bytes(
    shards: Path, whole: dict[int, Path], tmp_path: Path, rank: int
) -> None:
    output = tmp_path / "run"
    ended = interrupted(
        launched(shards, output, 2, *LONG),
        lambda: steps_logged(output) >= 30,
        kill_worker(rank),
    )
    assert ended.returncode == 0, ended.stderr
    assert "Going on after step" in ended.stderr
    assert bytes_of(output) == bytes_of(whole[2])


def test_torchrun_starts_a_killed_worker_again(
    shards: Path, whole: dict[int, Path], tmp_path: Path
) -> None:
    output = tmp_path / "run"
    arguments = ["-m", *launched(shards, output, 1, *LONG)[2:]]
    ended = interrupted(
        torchrun(2, arguments, "--max-restarts", "2"),
        lambda: steps_logged(output) >= 30,
        kill_worker(1),
    )
    assert ended.returncode == 0, ended.stderr
    assert bytes_of(output) == bytes_of(whole[2])


@pytest.mark.parametrize("what", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_signal_to_the_launcher_saves_the_last_step_of_all(
    shards: Path, whole: dict[int, Path], tmp_path: Path, what: signal.Signals
) -> None:
    output = tmp_path / "run"
    command = launched(shards, output, 2, *LONG, "--checkpoint-every", "1000")
    ended = interrupted(command, lambda: steps_logged(output) >= 20, send(what))
    assert ended.returncode == 128 + what, ended.stderr
    (told,) = re.findall(r"Stopped after step (\d+) of 160", ended.stderr)
    assert [each.name for each in (output / "checkpoints").iterdir()] == [f"step-{int(told):08d}"]
    ended = finish(launched(shards, output, 2, *LONG))
    assert f"Going on after step {told} of 160" in ended.stderr
    assert bytes_of(output) == bytes_of(whole[2])


def test_torchrun_saves_the_last_step_when_a_scheduler_signals(
    shards: Path, whole: dict[int, Path], tmp_path: Path
) -> None:
    output = tmp_path / "run"
    arguments = ["-m", *launched(shards, output, 1, *LONG, "--checkpoint-every", "1000")[2:]]
    ended = interrupted(
        torchrun(2, arguments, "--signals-to-handle", "SIGTERM,SIGUSR1"),
        lambda: steps_logged(output) >= 20,
        send(signal.SIGUSR1),
    )
    assert "Stopped after step" in ended.stderr
    assert len(list((output / "checkpoints").iterdir())) == 1
    assert finish(launched(shards, output, 2, *LONG)).returncode == 0
    assert bytes_of(output) == bytes_of(whole[2])


def test_time_that_is_up_stops_all_and_keeps(
    shards: Path, whole: dict[int, Path], tmp_path: Path
) -> None:
    output = tmp_path / "run"
    command = launched(shards, output, 2, *LONG)
    for attempt in (1, 2):
        ended = finish([*command, "--time", "0.1s"])
        assert ended.returncode == 0, ended.stderr
        assert f"Stopped after step {attempt} of 160" in ended.stderr
    assert finish(command).returncode == 0
    assert bytes_of(output) == bytes_of(whole[2])


def test_two_launchers_on_one_machine_act_as_two_hosts(
    shards: Path, whole: dict[int, Path], tmp_path: Path
) -> None:
    output = tmp_path / "run"
    arguments = ["-m", *launched(shards, output, 1, *LONG)[2:]]
    meeting = ("--rdzv-backend", "c10d", "--rdzv-endpoint", f"localhost:{free_port()}")
    command = torchrun(1, arguments, "--nnodes=2", *meeting, "--rdzv-id", "7")
    hosts = [subprocess.Popen(command, stderr=-1, text=True) for _ in range(2)]
    told = [each.communicate(timeout=200)[1] for each in hosts]
    assert [each.returncode for each in hosts] == [0, 0], told
    assert bytes_of(output) == bytes_of(whole[2])


def test_what_is_refused_is_refused_before_anything_is_launched(
    shards: Path, tmp_path: Path
) -> None:
    begun = time.monotonic()
    command = launched(shards, tmp_path / "run", 2, "--batch-size", "1")
    ended = finish(command)
    assert ended.returncode == 2
    assert "for 2 processes; expected an instance for each" in ended.stderr
    assert time.monotonic() - begun < 60
    assert not (tmp_path / "run").exists()


def test_damage_that_only_the_work_finds_ends_all_with_its_exit_code_and_is_said_once(
    shards: Path, tmp_path: Path
) -> None:
    vocab = shards / "vocab.txt"
    before = vocab.read_bytes()
    vocab.write_bytes(before[:-2] + b"x\n")
    try:
        ended = finish(launched(shards, tmp_path / "run", 2, *LONG))
    finally:
        vocab.write_bytes(before)
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.count("is damaged") == 1


def test_loss_that_is_no_number_ends_all_at_once_and_is_said_once(
    shards: Path, tmp_path: Path
) -> None:
    wild = ("--learning-rate", "1e30", "--clip-grad-norm", "1e30", "--warmup-steps", "0")
    ended = finish(launched(shards, tmp_path / "run", 2, *wild))
    assert ended.returncode == 1, ended.stderr
    assert ended.stderr.count("the loss is") == 1
    assert "Continuing" not in ended.stderr


def test_signal_to_one_of_the_processes_stops_all_of_them(
    shards: Path, whole: dict[int, Path], tmp_path: Path
) -> None:
    output = tmp_path / "run"
    ended = interrupted(
        launched(shards, output, 2, *LONG),
        lambda: steps_logged(output) >= 20,
        lambda launcher: os.kill(workers_of(launcher)[1], signal.SIGTERM),
    )
    assert ended.returncode == 128 + signal.SIGTERM, ended.stderr
    assert ended.stderr.count("Stopped after step") == 1, ended.stderr
    assert not (output / "manifest.json").exists()
    assert finish(launched(shards, output, 2, *LONG)).returncode == 0
    assert bytes_of(output) == bytes_of(whole[2])


def test_process_that_waits_for_others_can_be_stopped(shards: Path, tmp_path: Path) -> None:
    here = {**os.environ, "WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "localhost"}
    here["MASTER_PORT"] = str(free_port())
    process = subprocess.Popen(launched(shards, tmp_path / "run", 1), env=here)
    time.sleep(8)
    process.send_signal(signal.SIGTERM)
    # Waiting inside torch hears no handler of ours; a slow machine is still importing it.
    assert process.wait(20) in (-signal.SIGTERM, 128 + signal.SIGTERM)
