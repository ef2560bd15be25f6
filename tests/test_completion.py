import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from bertctl.cli.completion import command

SHELLS = ("bash", "zsh", "fish")


def script(shell: str) -> str:
    done = CliRunner().invoke(command, [shell])
    assert done.exit_code == 0
    return done.output


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory to complete in, and a `bertctl` that is this one."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "bertctl").write_text(
        f"#!{sys.executable}\nimport sys\nsys.argv[0] = 'bertctl'\n"
        "from bertctl.cli.entry import main\nmain()\n"
    )
    (tmp_path / "bin" / "bertctl").chmod(0o755)
    (tmp_path / "corpus.txt").write_text("")
    return tmp_path


def run(place: Path, *arguments: str, given: str = "") -> list[str]:
    environment = {**os.environ, "PATH": f"{place / 'bin'}:{os.environ['PATH']}"}
    done = subprocess.run(
        arguments, input=given, capture_output=True, text=True, cwd=place, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


@pytest.mark.parametrize("shell", SHELLS)
def test_script_is_one_that_the_shell_can_read(place: Path, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} isn't installed")
    (place / "script").write_text(script(shell))
    run(place, shell, "-n", "script")


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["pre"], ["pretrain", "predict"]),
        (["shard", "--mask"], ["--masked-lm-prob", "--mask-token-prob"]),
        (["shard", "--next-sentence", ""], ["random", "order", "none"]),
        (["vocab", "cor"], []),
    ],
)
def test_bash_completes_commands_flags_and_choices_and_leaves_the_rest_to_itself(
    place: Path, typed: list[str], expected: list[str]
) -> None:
    words = ["bertctl", *typed]
    ask = (
        f"COMP_WORDS=({' '.join(repr(word) for word in words)})\nCOMP_CWORD={len(words) - 1}\n"
        "_bertctl_completion bertctl\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n"
    )
    assert [each for each in run(place, "bash", given=script("bash") + ask) if each] == expected
    assert "-o default" in "".join(run(place, "bash", given=script("bash") + "complete -p bertctl"))


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish isn't installed")
def test_fish_completes_with_descriptions_and_files_only_where_nothing_else_fits(
    place: Path,
) -> None:
    ask = script("fish") + "complete -C 'bertctl shard --next-sentence '\n"
    ask += "complete -C 'bertctl shard --mask'\ncomplete -C 'bertctl vocab cor'\n"
    assert run(place, "fish", "--no-config", given=ask) == [
        "none",
        "order",
        "random",
        "--masked-lm-prob\tShare of an instance's tokens that is predicted.",
        "--mask-token-prob\tShare of the predicted tokens that show [MASK].",
        "corpus.txt",
    ]
