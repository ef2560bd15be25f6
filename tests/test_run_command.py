"""`bertctl run`: what is missing is made, in order, and everything else is left alone."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bertctl.pipeline.errors import WorkFailed
from bertctl.pipeline.project.estimates import Estimate, check_disk, estimates_of
from bertctl.pipeline.project.jobs import read_project
from bertctl.pipeline.project.standing import standings_of
from bertctl.pipeline.shard.room import Need

from .corpora import write_corpus
from .killing import bytes_of

BERTCTL = [sys.executable, "-m", "bertctl"]
PROJECT = """
[project]
output = "work"
[corpus]
input = "corpus/"
[vocab]
vocab-size = 90
[shard]
dupe-factor = 2
num-shards = 1
[shard.24]
max-seq-length = 24
[shard.40]
max-seq-length = 40
"""
TRAINING = """
[pretrain]
model = "tiny"
hidden-size = 32
num-attention-heads = 2
intermediate-size = 48
batch-size = 8
threads = 1
shards = "24"
steps = 6
[finetune]
train = "train.csv"
epochs = 1
max-seq-length = 16
threads = 1
[finetune.ours]
[finetune.random]
model = "random:tiny"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_corpus(tmp_path / "corpus", files=3, per_file=6)
    with (tmp_path / "train.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label"])
        rows.writerows((f"river {word} bridge", word) for word in ("stone", "paper") * 6)
    (tmp_path / "bertctl.toml").write_text(PROJECT)
    return tmp_path


def run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*BERTCTL, "run", *arguments]
    return subprocess.run(command, cwd=project, capture_output=True, text=True)


def endings(project: Path, *arguments: str) -> tuple[int, dict[str, str]]:
    done = run(project, *arguments, "--json", "-q")
    assert done.stdout, done.stderr
    return done.returncode, {
        each["job"]: each["ending"] for each in json.loads(done.stdout)["jobs"]
    }


def plan(project: Path, *arguments: str) -> dict[str, dict[str, Any]]:
    done = run(project, *arguments, "--dry-run", "--json")
    return {each["job"]: each for each in json.loads(done.stdout)["jobs"]}


def listing(directory: Path) -> dict[str, tuple[int, int]]:
    found = ((path, path.stat()) for path in sorted(directory.rglob("*")) if path.is_file())
    return {str(path): (status.st_mtime_ns, status.st_ino) for path, status in found}


def test_only_what_is_missing_is_made(project: Path) -> None:
    code, made = endings(project)
    assert code == 0
    assert made == {"vocab": "made", "shard.24": "made", "shard.40": "made"}
    before = listing(project / "work")
    assert endings(project) == (0, dict.fromkeys(made, "up to date"))
    assert listing(project / "work") == before
    assert run(project).stdout == "All 3 outputs are up to date.\n"
    (project / "work/shard/40/manifest.json").unlink()
    assert endings(project)[1] == {**dict.fromkeys(made, "up to date"), "shard.40": "made"}
    again = run(project, "--force", "shard.24")
    told = [line.split()[:2] for line in again.stdout.splitlines() if line]
    assert again.returncode == 0
    assert ["shard.24", "made"] in told
    assert ["vocab", "up"] in told


def test_the_commands_shown_make_the_same_bytes_as_the_project_does(project: Path) -> None:
    shown = run(project).stderr.splitlines()
    commands = [line.split("] ", 1)[1] for line in shown if line.startswith("[")]
    assert len(commands) == 3
    made = {name: bytes_of(project / "work" / name) for name in ("vocab", "shard/24", "shard/40")}
    (project / "work").rename(project / "before")
    for command in commands:
        assert command.startswith("bertctl ")
        subprocess.run(
            [*BERTCTL, *command.split()[1:]], cwd=project, check=True, capture_output=True
        )
    assert made == {name: bytes_of(project / "work" / name) for name in made}


def test_another_setting_is_refused_by_name_before_anything_begins(project: Path) -> None:
    endings(project)
    before = listing(project / "work")
    refused = run(project, "--set", "shard.24.dupe-factor=3", "--set", "shard.40.seed=7")
    assert refused.returncode == 2
    assert refused.stdout == ""
    for told in (
        "[shard.24] work/shard/24 was made by another recipe",
        "--dupe-factor: 2 → 3",
        "--seed: 12345 → 7",
        "--force shard.24 to replace",
        "Nothing was started.",
    ):
        assert told in refused.stderr
    assert listing(project / "work") == before
    code, made = endings(project, "--set", "shard.24.dupe-factor=3", "--force", "shard.24")
    assert (code, made["shard.24"], made["shard.40"]) == (0, "made", "up to date")


def test_where_one_fails_those_that_are_not_made_from_it_go_on(project: Path) -> None:
    text = PROJECT.replace("[shard.24]", "[shard.24]\nvocab = 'bad'\n[shard.24x]").replace(
        "[vocab]\nvocab-size = 90", "[vocab]\nvocab-size = 90\n[vocab.good]\n[vocab.bad]"
    )
    text = text.replace("dupe-factor = 2", "dupe-factor = 2\nvocab = 'good'")
    (project / "bertctl.toml").write_text(text)
    (project / "work/vocab").mkdir(parents=True)
    (project / "work/vocab/bad").write_text("in the way")
    refused = run(project)
    assert refused.returncode == 2
    assert "[vocab.bad]" in refused.stderr
    # What can't be foreseen: the output's directory is taken away between plan and work.
    (project / "work/vocab/bad").unlink()
    hook = project / "sitecustomize.py"
    hook.write_text(
        "import os, sys\n"
        "if 'work/vocab/bad' in sys.argv and 'vocab' in sys.argv:\n"
        "    os._exit(9)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(project)}
    command = [*BERTCTL, "run", "--json", "-q"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, env=environment)
    jobs = {each["job"]: each for each in json.loads(done.stdout)["jobs"]}
    assert done.returncode == 1
    assert {name: each["ending"] for name, each in jobs.items()} == {
        "vocab.good": "made",
        "vocab.bad": "failed",
        "shard.24": "left out",
        "shard.24x": "made",
        "shard.40": "made",
    }
    assert jobs["vocab.bad"]["exit_code"] == 9
    assert jobs["shard.24"]["because_of"] == "vocab.bad"
    assert jobs["shard.40"]["result"]["output"] == "work/shard/40"


def test_the_plan_tells_what_waits_and_what_it_takes(project: Path) -> None:
    (project / "bertctl.toml").write_text(PROJECT + TRAINING)
    before = plan(project)
    assert {name: each["state"] for name, each in before.items()} == {
        "vocab": "to do",
        "shard.24": "waiting",
        "shard.40": "waiting",
        "pretrain": "waiting",
        "finetune.ours": "waiting",
        "finetune.random": "waiting",
    }
    assert before["finetune.ours"]["waits_for"] == ["pretrain"]
    assert before["finetune.random"]["waits_for"] == ["vocab"]
    for each in before.values():
        for least, most in each["estimate"].values():
            assert 0 <= least <= most
    assert not (project / "work").exists()
    assert before["shard.24"]["command"][:3] == ["bertctl", "shard", "corpus/"]
    endings(project, "--only", "vocab")
    assert plan(project)["shard.24"]["state"] == "to do"
    assert plan(project, "--until", "shard.24").keys() == {"vocab", "shard.24"}


def test_what_is_wrong_with_a_file_of_rows_is_told_before_hours_of_training(project: Path) -> None:
    (project / "bertctl.toml").write_text(PROJECT + TRAINING)
    (project / "train.csv").write_text("text,label\nriver,stone\nbridge\n")
    done = run(project)
    assert done.returncode == 2
    assert "[finetune.ours] train.csv" in done.stderr
    assert not (project / "work").exists()


def test_a_project_lies_where_its_file_does(project: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    command = [*BERTCTL, "run", "../bertctl.toml", "--only", "vocab", "-q"]
    subprocess.run(command, cwd=elsewhere, check=True)
    assert (project / "work/vocab/manifest.json").exists()


def test_what_cannot_fit_the_disk_is_not_begun(tmp_path: Path) -> None:
    small, vast = (
        Estimate(Need(0, 0), disk_bytes=Need(size, size), other_seconds=Need(0, 0))
        for size in (1e3, 1e18)
    )
    check_disk([(tmp_path / "a/b", small), (tmp_path / "c", small)])
    with pytest.raises(WorkFailed, match=r"MB free; .* needs at least 1,000,000,000,000 MB"):
        check_disk([(tmp_path / "a/b", small), (tmp_path / "c", vast)])


def refusal(project: Path, *arguments: str) -> str:
    """Return why a run is refused before anything is begun."""
    before = listing(project / "work")
    done = run(project, *arguments)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert listing(project / "work") == before
    return done.stderr


def test_a_directory_that_is_not_there_is_not_this_one(project: Path) -> None:
    assert "nosuch/bertctl.toml: there is no such file" in refusal(project, "nosuch/bertctl.toml")
    assert "Name the file in it: bertctl.toml" in refusal(project, ".")


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("pretrain.shares=[0.5,0.6]", "--shares is '0.5,0.6'; expected 1 numbers"),
        ("pretrain.num-attention-heads=3", "This isn't a model that can be built"),
        ("pretrain.max-position-embeddings=16", "has instances of up to 24 tokens"),
        ("pretrain.objective=mlm+sop", "--objective mlm+sop can't be learnt from it"),
        ("pretrain.batch-size=1", "--batch-size is 1, for 2 processes"),
        ("pretrain.time=soon", "--time is 'soon'"),
        ("finetune.max-seq-length=600", "its model reads at most 512 tokens"),
    ],
)
def test_what_training_will_refuse_is_told_before_its_shards_are_made(
    override: str, told: str, project: Path
) -> None:
    training = TRAINING.replace("threads = 1\nshards", "nproc-per-node = 2\nshards")
    (project / "bertctl.toml").write_text(PROJECT + training)
    assert told in refusal(project, "--set", override)


def test_what_was_made_from_something_is_not_left_behind_by_replacing_it(project: Path) -> None:
    endings(project)
    told = refusal(project, "--set", "vocab.vocab-size=80", "--force", "vocab")
    for each in ("shard.24", "shard.40"):
        assert f"[{each}] work/{each.replace('.', '/')} was made from vocab" in told
        assert f"--force {each} as well; or --only vocab" in told
    assert endings(project, "--force", "vocab", "--only", "vocab")[0] == 0
    # It came out the same, so what was made from it stands.
    assert set(endings(project)[1].values()) == {"up to date"}
    chain = ("--set", "vocab.vocab-size=80", "--force", "vocab", "--force", "shard")
    assert endings(project, *chain) == (0, dict.fromkeys(("vocab", "shard.24", "shard.40"), "made"))


def test_a_job_that_waits_is_asked_for_its_own_settings_already(project: Path) -> None:
    endings(project)
    (project / "work/vocab/manifest.json").unlink()
    told = refusal(project, "--set", "shard.40.seed=5")
    assert "[shard.40] work/shard/40 was made by another recipe:" in told
    assert "--seed: 12345 → 5" in told
    assert "[shard.24]" not in told


def test_what_a_lone_job_is_made_from_has_to_be_there_as_asked_for(project: Path) -> None:
    told = refusal(project, "--only", "shard.24")
    assert "It is made from vocab, which isn't there." in told
    assert "--until shard.24" in told
    endings(project)
    other = ("--set", "vocab.vocab-size=80", "--only", "shard.24")
    assert "--vocab-size: 90 → 80" in refusal(project, *other)
    idle = ("--only", "shard.24", "--force", "vocab")
    assert "isn't among what is to be done" in refusal(project, *idle)


def test_estimates_grow_with_what_there_is_to_do(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    (project / "bertctl.toml").write_text(PROJECT + TRAINING)

    def estimated(*overrides: str) -> dict[str, Estimate]:
        return estimates_of(standings_of(read_project(Path("bertctl.toml"), overrides)))

    once = estimated()
    twice = estimated(
        "shard.dupe-factor=20", "pretrain.steps=60", "finetune.seeds=10", "vocab.vocab-size=900"
    )
    assert twice["shard.24"].disk_bytes.least > 5 * once["shard.24"].disk_bytes.least
    assert twice["pretrain"].peak_flops.least > 9 * once["pretrain"].peak_flops.least
    assert twice["finetune.ours"].peak_flops.least > 5 * once["finetune.ours"].peak_flops.least
    assert twice["pretrain"].memory_bytes.least > once["pretrain"].memory_bytes.least
    faster, slower = (once["pretrain"].seconds(rate).least for rate in (1e12, 1e9))
    assert slower > faster


@pytest.mark.slow
def test_a_whole_project_is_made_and_then_up_to_date(project: Path) -> None:
    (project / "bertctl.toml").write_text(PROJECT + TRAINING)
    code, made = endings(project)
    assert (code, set(made.values())) == (0, {"made"})
    assert set(endings(project)[1].values()) == {"up to date"}
    # Another encoder: what was fitted to the old one is named, and nothing of it is lost.
    other = ("--set", "pretrain.steps=7", "--force", "pretrain")
    assert "--force finetune.ours as well" in refusal(project, *other)
    code, made = endings(project, *other, "--force", "finetune.ours")
    assert code == 0
    assert [name for name, each in made.items() if each == "made"] == ["pretrain", "finetune.ours"]


def _wait_for(path: Path, process: subprocess.Popen[str], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _begin_training(project: Path) -> subprocess.Popen[str]:
    text = (PROJECT + TRAINING).replace("steps = 6", "steps = 100000\ncheckpoint-every = 1")
    (project / "bertctl.toml").write_text(text)
    process = subprocess.Popen(
        [*BERTCTL, "run", "--plain"],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    _wait_for(project / "work/pretrain/checkpoints/step-00000002", process)
    return process


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_is_passed_on_and_ends_all(number: signal.Signals, project: Path) -> None:
    process = _begin_training(project)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "Stopped after step" in err
    assert "stopped" in out
    assert "left out" in out
    assert not (project / "work/finetune").exists()
    assert _trainings_of(project) == []


@pytest.mark.slow
def test_a_signal_that_comes_as_a_job_is_announced_is_not_lost(project: Path) -> None:
    text = (PROJECT + TRAINING).replace("steps = 6", "steps = 100000")
    (project / "bertctl.toml").write_text(text)
    assert endings(project, "--until", "shard.24")[0] == 0
    for delay in (0.0, 0.002, 0.005, 0.02, 0.05, 0.1):
        process = subprocess.Popen(
            [*BERTCTL, "run", "--plain", "--only", "pretrain"],
            cwd=project,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        while "[pretrain]" not in process.stderr.readline():
            assert process.poll() is None
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "Traceback" not in err
        assert "pretrain  stopped" in out


@pytest.mark.slow
def test_a_run_that_is_paused_pauses_what_it_runs(project: Path) -> None:
    process = _begin_training(project)
    process.send_signal(signal.SIGTSTP)
    log = project / "work/pretrain/log/metrics.jsonl"
    time.sleep(1)
    before = log.read_bytes()
    time.sleep(1)
    assert log.read_bytes() == before
    process.send_signal(signal.SIGCONT)
    deadline = time.monotonic() + 30
    while log.read_bytes() == before:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143


@pytest.mark.slow
def test_a_command_does_not_outlive_the_run_that_was_killed(project: Path) -> None:
    process = _begin_training(project)
    assert len(_trainings_of(project)) == 1
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 10
    while _trainings_of(project):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert plan(project)["pretrain"]["state"] == "begun"


def _trainings_of(project: Path) -> Sequence[str]:
    """Return the commands at work in a project's directory."""
    found: list[str] = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            words = (each / "cmdline").read_bytes().decode().split("\0")
            if "pretrain" in words and (each / "cwd").resolve() == project.resolve():
                found.append(" ".join(words))
        except OSError:
            continue
    return found
