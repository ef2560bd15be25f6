"""The commands that the documentation shows, and a small world in which they can be run."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import pytest

from bertctl.cli.main import main

from .corpora import write_corpus
from .finetune_toys import choice_rows, rows, squad, tagged_rows, write_csv, write_lines

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]

TINY = "--model tiny --hidden-size 32 --num-attention-heads 2 --intermediate-size 48".split()
SMALLER = {
    "--vocab-size": "300",
    "--steps": "10",
    "--epochs": "1",
    "--batch-size": "8",
    "--seeds": "2",
    "--nproc-per-node": "2",
    "--row": "3",
}
"""What a flag is given in place of the page's value, so that a page takes seconds"""
RENAMED = {
    "en_wiki_100m.txt.xz": "corpus",
    "of-00016": "of-00005",
    "step-00001000": "step-00000010",
    "random:mini": "random:tiny",
}
"""What toys are called that a page calls otherwise"""
READ_ONLY = {
    "…": "three dots stand for what the page has said before",
    "s3://": "it needs a bucket; test_corpus_remote.py and test_outputs_elsewhere.py have one",
    "--dask": "it needs a cluster; tests/test_shard_labour.py has one",
    "$": "a scheduler fills in a variable; tests/test_shard_labour.py runs arrays",
    "/data/": "it names somebody's disk",
    "examples/results": "it takes hours; tests/test_results_example.py reads the project",
}
"""Why a command whose words have such a part is read by the parser and not run"""


@dataclass(frozen=True)
class Shown:
    """A command as a page shows it, and what the page says that it prints."""

    page: Path
    words: tuple[str, ...]
    printed: tuple[str, ...]
    is_launched: bool
    """Whether something else (torchrun, sbatch) starts it"""

    @property
    def why_not_run(self) -> str | None:
        """Why it is only read; None if it is run."""
        if self.is_launched:
            return "torchrun or a scheduler starts it; tests/test_training_team.py runs torchrun"
        found = [why for part, why in READ_ONLY.items() if any(part in each for each in self.words)]
        return found[0] if found else None


_STARTS = re.compile(r"^(?:\$ )?bertctl +(?=[a-z])")
_LAUNCHED = re.compile(r"""(?: -m |--wrap ")bertctl +(?=[a-z])""")


def commands_in(page: Path) -> list[Shown]:
    """Return every command that a page shows in a block, in the page's order."""
    text = re.sub(r" *\\\n *", " ", page.read_text(encoding="utf-8"))
    lines = [line[4:] if line.startswith("    ") else "" for line in text.split("\n")]
    found: list[Shown] = []
    for place, line in enumerate(lines):
        start, launched = _STARTS.match(line), _LAUNCHED.search(line)
        match = start or launched
        if match is None:
            continue
        words = line[match.end() :].removesuffix("&").removesuffix('"' if launched else "")
        printed = list(takewhile(_is_printed, lines[place + 1 :])) if line[0] == "$" else []
        found.append(
            Shown(
                page=page,
                words=tuple(shlex.split(words, comments=True)),
                printed=tuple(printed),
                is_launched=start is None,
            )
        )
    return found


def _is_printed(line: str) -> bool:
    return line != "" and not line.startswith("$ ")


def smaller(words: tuple[str, ...]) -> list[str]:
    """Return a page's command with numbers of a toy, ready to be given."""
    changed = list(words)
    for place, word in enumerate(changed):
        for old, new in RENAMED.items():
            changed[place] = changed[place].replace(old, new)
        if word in SMALLER:
            changed[place + 1] = SMALLER[word]
    if changed[0] == "run":
        for each in ("pretrain.epochs=1", "finetune.seeds=1", "finetune.epochs=1"):
            changed += ["--set", each]
        if not {"--dry-run", "--set"} & set(words):
            # The page goes all the way once more, with settings of its own.
            changed += ["--until", "shard"]
    if changed[0] == "pretrain":
        # A page names checkpoints by their step.
        changed = shlex.split(shlex.join(changed).replace("--epochs 1", "--steps 10"))
        if "--init" not in changed:
            if "--model" in changed:
                place = changed.index("--model")
                del changed[place : place + 2]
            changed += TINY
        changed += ["--batch-size", "8", "--micro-batch-size", "8"]
    if changed[0] in ("pretrain", "finetune", "predict"):
        changed += ["--threads", "1"]
    return changed


def labels_of(lines: list[str] | tuple[str, ...]) -> set[str]:
    """Return what stands before the figures of a table, numbers left out."""
    firsts = (re.split(r"\s{2,}", line.strip())[0] for line in lines if line.strip())
    return {re.sub(r"\d+([.,]\d+)*", "#", each) for each in firsts}


class Runner:
    """Runs commands in a directory as a person would, in this process where that is the same."""

    def __init__(
        self,
        directory: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        self._directory = directory
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def run(self, words: list[str]) -> str:
        """Return what a command prints; it has to end well."""
        if "--nproc-per-node" in words:
            command = [sys.executable, "-m", "bertctl", *words]
            ended = subprocess.run(command, cwd=self._directory, capture_output=True, text=True)
            code, out, err = ended.returncode, ended.stdout, ended.stderr
        else:
            code, out, err = self._here(words)
        assert code == 0, f"bertctl {shlex.join(words)}\n{err}"
        return out

    def _here(self, words: list[str]) -> tuple[object, str, str]:
        handlers = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
        environment = dict(os.environ)
        self._monkeypatch.setattr(sys, "argv", ["bertctl", *words])
        self._monkeypatch.chdir(self._directory)
        self._capsys.readouterr()
        try:
            with pytest.raises(SystemExit) as ending:
                main()
        finally:
            for each, handler in handlers.items():
                signal.signal(each, handler)
            os.environ.clear()
            os.environ.update(environment)
        out, err = self._capsys.readouterr()
        return ending.value.code or 0, out, err


def write_texts(world: Path) -> None:
    """Write raw text and labelled files under the names that pages use."""
    # Of fewer documents `vocab` holds none out, and shows a shorter table.
    write_corpus(world / "corpus", files=2, per_file=105)
    (world / "corpus-zh").mkdir()
    lines = ["我喜欢喝茶。", "今天天气很好，我们去公园。", "他在图书馆里看书！", "明天会下雨吗？"]
    documents = ["\n".join(lines[i % 4 :] + lines[: i % 3]) + f"\n第{i}章。" for i in range(24)]
    (world / "corpus-zh" / "a.txt").write_text("\n\n".join(documents) + "\n", encoding="utf-8")
    for seed, (name, count) in enumerate(
        {"train": 24, "dev": 9, "validation": 9, "test": 11}.items()
    ):
        write_csv(world / f"{name}.csv", rows(count, seed))
        write_csv(world / f"{name}.tsv", rows(count, seed), delimiter="\t")
        sentences = [
            "\n".join(map(" ".join, zip(each["tokens"], each["tags"], strict=True)))
            for each in tagged_rows(count, seed)
        ]
        (world / f"{name}.conll").write_text("\n\n".join(sentences) + "\n")
        (world / f"{name}-questions.json").write_text(json.dumps(squad(count, seed)))
        write_lines(world / f"{name}-choices.jsonl", choice_rows(count, seed))
    (world / "texts.txt").write_text("the river\na garden in winter\n")
    write_csv(world / "new.csv", [{"text": each["text"]} for each in rows(5, 7)])
