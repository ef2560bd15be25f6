"""What a user meets who installs a release: build it, install it where nothing else is, use it.

python .ci/smoke.py

The wheel is built from the source archive, installed with its dependencies into an environment of
its own, and goes from raw text to a prediction in a directory outside of the repository.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / "build" / "smoke"
COLOURS = ("red", "green", "blue")
TINY = "--model tiny --hidden-size 32 --num-attention-heads 2 --intermediate-size 48".split()


def run(*command: str | Path, directory: Path) -> str:
    """Run a command in a directory, as a shell that knows nothing of this project would."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    print("$", *command, flush=True)
    return subprocess.run(
        command, cwd=directory, env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def build() -> Path:
    """Build the source archive, from it the wheel, and return the wheel.

    It is done in a copy: building leaves folders behind that a later build would pick up.
    """
    shutil.rmtree(PLACE, ignore_errors=True)
    listing = ("git", "ls-files", "--cached", "--others", "--exclude-standard")
    for name in run(*listing, directory=ROOT).splitlines():
        (PLACE / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, PLACE / "source" / name)
    build = ("-m", "build", "--no-isolation", "--outdir", PLACE / "dist")
    run(sys.executable, *build, directory=PLACE / "source")
    (wheel,) = (PLACE / "dist").glob("*.whl")
    return wheel


def install(wheel: Path) -> Path:
    """Install the wheel into a new environment and return its folder of programs."""
    run(sys.executable, "-m", "venv", PLACE / "venv", directory=ROOT)
    programs = PLACE / "venv" / "bin"
    constraints = ("--constraint", ROOT / "constraints.txt")
    run(programs / "pip", "install", "--quiet", wheel, *constraints, directory=PLACE)
    return programs


def write_texts(directory: Path) -> None:
    """Write raw text and a labelled file, small and always the same."""
    drawn = random.Random(1)
    words = [*"a the big old cat dog tree sky wind sat ran saw of in on".split(), *COLOURS]
    sentences = [" ".join(drawn.choices(words, k=7)).capitalize() + "." for _ in range(600)]
    documents = ["\n".join(sentences[at : at + 5]) for at in range(0, 600, 5)]
    (directory / "corpus.txt").write_text("\n\n".join(documents) + "\n", encoding="utf-8")
    rows = [f"the {drawn.choice(COLOURS)} cat sat on the old tree" for _ in range(40)]
    lines = ["text,label", *(f"{row},{row.split()[1].upper()}" for row in rows)]
    (directory / "train.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def use(programs: Path, directory: Path) -> None:
    """Go from raw text to a prediction, with either name of the program."""
    module, script = (programs / "python", "-m", "bertctl"), (programs / "bertctl",)
    where = run(
        programs / "python", "-c", "import bertctl; print(bertctl.__file__)", directory=directory
    )
    assert Path(where.strip()).is_relative_to(PLACE), where
    versions = {run(*name, "--version", directory=directory) for name in (module, script)}
    assert len(versions) == 1, versions
    write_texts(directory)
    stages = (
        (*module, "vocab", "corpus.txt", "--vocab-size", "200", "-o", "vocab"),
        (*module, "shard", "corpus.txt", "--vocab", "vocab", "--dupe-factor", "2", "-o", "shards"),
        (
            *script,
            "pretrain",
            "shards",
            *TINY,
            "--steps",
            "20",
            "--batch-size",
            "8",
            "-o",
            "encoder",
        ),
        (*script, "finetune", "--model", "encoder", "--train", "train.csv", "-o", "classifier"),
    )
    for stage in stages:
        done = json.loads(run(*stage, "--json", directory=directory))
        assert not done.get("up_to_date"), done
        run(*script, "verify", stage[-1], directory=directory)
    answer = run(
        *script, "predict", "--model", "classifier", "a red cat", "--json", directory=directory
    )
    assert json.loads(answer)["prediction"] in {each.upper() for each in COLOURS}, answer
    again = run(*script, *stages[0][len(module) :], directory=directory)
    assert "up to date" in again, again


def main() -> None:
    """Build, install, use."""
    programs = install(build())
    with tempfile.TemporaryDirectory() as directory:
        use(programs, Path(directory))
    shutil.rmtree(PLACE)
    print("smoke: the release installs and works")


if __name__ == "__main__":
    main()
