import re
import runpy
import shlex
import subprocess
import sys
from contextlib import nullcontext, suppress
from pathlib import Path

import click
import pytest

from bertctl.cli.main import bertctl
from bertctl.pipeline.shard.request import ShardRequest
from bertctl.pipeline.shard.settings import InstanceSettings
from bertctl.pipeline.shard.stage import shard
from bertctl.pipeline.stage.report import Silent

from .corpora import write_corpus, write_vocabulary

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]


def test_reference_says_what_the_settings_say() -> None:
    module = runpy.run_path(str(DOCS / "reference.py"))
    assert module["page"]() == (DOCS / "reference.md").read_text(), "run: make docs"


def commands_in(page: Path) -> list[list[str]]:
    """Return the words after `bertctl` of every command that a page shows in a block."""
    text = page.read_text().replace("\\\n", " ")
    found = re.findall(r"^    (?:\$ )?bertctl +([a-z][^#\n]*)", text, re.M)
    return [shlex.split(line) for line in found]


def test_pages_show_commands() -> None:
    assert sum(len(commands_in(page)) for page in PAGES) > 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_is_shown_is_one_that_can_be_given(page: Path) -> None:
    for name, *arguments in commands_in(page):
        command = bertctl.get_command(click.Context(bertctl), name)
        assert command is not None, name
        # Three dots stand for what the page has said before.
        shortened = suppress(click.MissingParameter) if "…" in arguments else nullcontext()
        with shortened:
            command.make_context(name, [word for word in arguments if word != "…"])


def test_ten_lines_of_pyarrow_read_a_shard(tmp_path: Path) -> None:
    request = ShardRequest(
        inputs=(str(write_corpus(tmp_path / "corpus", files=2)),),
        vocab=write_vocabulary(tmp_path / "vocab.txt"),
        instances=InstanceSettings(max_seq_length=40, dupe_factor=1),
    )
    shard(request, tmp_path / "out", reporter=Silent())
    (program,) = re.findall(r"```python\n(.*?)```", (DOCS / "shards.md").read_text(), re.S)
    (tmp_path / "read.py").write_text(program)
    name = "train-00000-of-00001.arrow"
    command = [sys.executable, str(tmp_path / "read.py"), str(tmp_path / "out"), name]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    first, size = said.strip().split("\n")
    assert re.fullmatch(r"\[CLS\] .* \[SEP\] .* \[SEP\] (next|random)", first)
    assert "[MASK]" not in first
    assert int(size) == len(write_vocabulary(tmp_path / "again.txt").read_text().split("\n")) - 1
