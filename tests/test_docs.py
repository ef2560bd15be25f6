"""What the documentation says: its commands run, its links lead somewhere, its formats are so."""

import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from contextlib import nullcontext, suppress
from pathlib import Path
from textwrap import dedent
from urllib.parse import unquote

import click
import pytest

from bertctl.cli.main import bertctl

from .doc_commands import (
    DOCS,
    PAGES,
    ROOT,
    TINY,
    Runner,
    commands_in,
    labels_of,
    smaller,
    write_texts,
)

LINKED = [*PAGES, ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
TOY_TRAINING = "--batch-size 8 --micro-batch-size 4 --threads 1 --device cpu".split()
QUICKSTART = DOCS / "quickstart.md"
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


@pytest.fixture
def runner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Runner:
    (tmp_path / "here").mkdir()
    return Runner(tmp_path / "here", monkeypatch, capsys)


def test_reference_says_what_the_settings_say() -> None:
    module = runpy.run_path(str(DOCS / "reference.py"))
    assert module["page"]() == (DOCS / "reference.md").read_text(), "run: make docs"


def test_pages_show_commands() -> None:
    shown = [each for page in PAGES for each in commands_in(page)]
    assert sum(each.why_not_run is None for each in shown) > 60
    assert sum(each.is_launched for each in shown) >= 3


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_is_shown_is_one_that_can_be_given(page: Path) -> None:
    for shown in commands_in(page):
        name, *arguments = shown.words
        command = bertctl.get_command(click.Context(bertctl), name)
        assert command is not None, name
        # Three dots stand for what the page has said before.
        shortened = suppress(click.MissingParameter) if "…" in arguments else nullcontext()
        with shortened:
            command.make_context(name, [word for word in arguments if word != "…"])


def can_be_run(page: Path) -> bool:
    return any(each.why_not_run is None for each in commands_in(page))


def run_page(page: Path, runner: Runner, *, force: bool) -> None:
    """Run every command of a page in turn, and hold what it prints against the page."""
    for shown in commands_in(page):
        if shown.why_not_run is None:
            words = smaller(shown.words)
            may_replace = force and {"--output", "-o"} & set(words)
            said = runner.run([*words, "--force"] if may_replace else words)
            assert labels_of(shown.printed) <= labels_of(said.split("\n")), shown


def test_quickstart_works_word_by_word(tmp_path: Path, runner: Runner) -> None:
    write_texts(tmp_path / "here" / "mine")
    (tmp_path / "here" / "mine" / "corpus").rename(tmp_path / "here" / "mine" / "text")
    run_page(QUICKSTART, runner, force=False)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page != QUICKSTART and can_be_run(page)],
    ids=lambda page: page.name,
)
def test_every_command_of_a_page_runs(
    page: Path, tmp_path: Path, world: Path, runner: Runner
) -> None:
    shutil.copytree(world, tmp_path / "here", dirs_exist_ok=True)
    shutil.copytree(world / "encoder" / "model", tmp_path / "bert-base-uncased")
    run_page(page, runner, force=True)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with raw text, labelled files, and one output of each stage."""
    place = tmp_path_factory.mktemp("world")
    write_texts(place)
    commands = [
        "vocab corpus --vocab-size 300 -o vocab",
        "shard corpus --vocab vocab -o shards",
        f"pretrain shards {' '.join(TINY)} --steps 10 --batch-size 8 --threads 1 -o encoder",
        "finetune --model encoder --train train.csv --validation dev.csv --epochs 1 -o classifier",
        *(
            f"finetune --task {task} --model encoder --train train{file} --epochs 1 -o {name}"
            for task, file, name in (
                ("token-classification", ".conll", "tagger"),
                ("question-answering", "-questions.json", "reader"),
                ("multiple-choice", "-choices.jsonl", "chooser"),
            )
        ),
    ]
    for command in commands:
        subprocess.run(
            [sys.executable, "-m", "bertctl", *command.split(), "--quiet"], cwd=place, check=True
        )
    shutil.copytree(place / "encoder", place / "run")
    shutil.copytree(place / "encoder" / "model", place / "bert-base-uncased")
    (place / "runs").mkdir()
    (place / "demo" / "corpus").mkdir(parents=True)
    for file in place.glob("*.tsv"):
        shutil.copy(file, place / "demo" / "corpus")
    shutil.copytree(place / "corpus", place / "demo" / "corpus" / "text")
    return place


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_script_for_a_scheduler_saves_and_queues_itself_again(world: Path, tmp_path: Path) -> None:
    text = (DOCS / "recipes.md").read_text()
    (block,) = (each for each in re.findall(r"(?:^    .*\n)+", text, re.M) if "trap" in each)
    script = dedent(block).replace("--model base", " ".join([*TINY, *TOY_TRAINING]))
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "bertctl").symlink_to(Path(sys.executable).with_name("bertctl"))
    (programs / "scontrol").write_text('#!/bin/sh\necho "$@" > queued\n')
    (programs / "scontrol").chmod(0o755)
    (tmp_path / "job.sh").write_text(script.replace("per-node auto", "per-node 2"))
    shutil.copytree(world / "shards", tmp_path / "shards")
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "SLURM_JOB_ID": "71"}
    job = subprocess.Popen(["bash", "job.sh"], cwd=tmp_path, env=environment)
    log = tmp_path / "run" / "log" / "metrics.jsonl"
    while job.poll() is None and not (log.exists() and log.read_text().count("\n") > 2):
        time.sleep(0.05)
    job.send_signal(signal.SIGUSR1)
    assert job.wait(100) == 0
    assert (tmp_path / "queued").read_text() == "requeue 71\n"
    assert list((tmp_path / "run" / "checkpoints").glob("step-*/checkpoint.json"))
    assert not (tmp_path / "run" / "manifest.json").exists()


def test_toys_stand_for_every_value_of_a_page() -> None:
    words = tuple("pretrain s --model base --steps 9 -o run".split())
    assert smaller(words)[:6] == ["pretrain", "s", "--steps", "10", "-o", "run"]


def anchors_of(page: Path) -> set[str]:
    """Return the anchors that a code host gives to a page's headings."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.*)$", text, re.M)
    plain = (re.sub(r"[^\w\- ]", "", each.lower()) for each in headings)
    return {each.replace(" ", "-") for each in plain}


@pytest.mark.parametrize("page", LINKED, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / unquote(name)).resolve() if name else page
        assert file.exists(), target
        assert file.is_relative_to(ROOT), target
        assert not anchor or anchor in anchors_of(file), target


def test_index_has_every_page() -> None:
    listed = re.findall(r"^- \[.*?\]\((.*?)\)", (DOCS / "index.md").read_text(), re.M)
    assert len(listed) == len(set(listed))
    pages = {page.name for page in DOCS.glob("*.md")} - {"index.md"}
    assert pages <= set(listed)


def test_tests_that_pages_name_are_there() -> None:
    there = "\n".join(path.read_text() for path in (ROOT / "tests").glob("*.py"))
    for page in LINKED:
        for name in re.findall(r"`(test_\w+)`", page.read_text()):
            assert f"def {name}(" in there, f"{page.name}: {name}"
        for name in re.findall(r"`tests/(\w+\.py)`", page.read_text()):
            assert (ROOT / "tests" / name).exists(), f"{page.name}: {name}"


def test_targets_and_extras_that_pages_name_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for page in LINKED:
        text = page.read_text()
        for target in re.findall(r"^    make ([a-z-]+)", text, re.M):
            assert f"\n{target}:" in makefile, f"{page.name}: make {target}"
        for extra in re.findall(r"'(?:bertctl|\.)\[(\w+)\]'", text):
            assert extra in EXTRAS, f"{page.name}: {extra}"
