import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from .corpora import write_corpus, write_vocabulary

ROOT = Path(__file__).resolve().parent.parent
FLOORS = ("cli", "pipeline", "model")
# A floor may import itself and those after it.
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SOURCES = [path for floor in FLOORS for path in sorted((ROOT / floor).rglob("*.py"))]


def imports_of(path: Path) -> set[str]:
    """Return the absolute names that a file imports, relative ones resolved."""
    package = ["bertctl", *path.relative_to(ROOT).parent.parts]
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            names.add(".".join([*base, *(node.module or "").split(".")]).rstrip("."))
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


def test_every_package_is_listed_so_that_no_wheel_lacks_one() -> None:
    found = {
        ".".join(["bertctl", *path.parent.relative_to(ROOT).parts])
        for floor in FLOORS
        for path in (ROOT / floor).rglob("__init__.py")
        if path.parent.name != "package"
    }
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == found | {"bertctl"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way_down_and_stay_relative(path: Path) -> None:
    floor = path.relative_to(ROOT).parts[0]
    allowed = FLOORS[FLOORS.index(floor) :]
    for name in imports_of(path):
        first = name.split(".")[0]
        assert first not in FLOORS, f"{name} would be a second copy of the code"
        if name.startswith("bertctl."):
            assert name.split(".")[1] in allowed, f"{floor} imports {name}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_command_line_talks(path: Path) -> None:
    floor = path.relative_to(ROOT).parts[0]
    if floor == "cli":
        return
    firsts = {name.split(".")[0] for name in imports_of(path)}
    assert not firsts & {"click", "rich", "tqdm"}
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    assert not [c for c in calls if isinstance(c.func, ast.Name) and c.func.id == "print"]
    if floor == "model":
        assert not firsts & {"pathlib", "os", "json", "safetensors"}


@pytest.mark.parametrize(
    "arguments",
    [
        "--help",
        "vocab --help",
        "pretrain --help",
        "finetune",
        "inspect -h",
        "verify -h",
        "predict -h",
    ],
)
def test_help_and_usage_errors_import_nothing_heavy(arguments: str) -> None:
    _run_and_refuse_heavy_imports(arguments.split())


def test_up_to_date_answer_imports_nothing_heavy(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", files=2)
    command = ["shard", str(corpus), "--vocab", str(write_vocabulary(tmp_path / "vocab.txt"))]
    command += ["-o", str(tmp_path / "out")]
    subprocess.run([sys.executable, "-m", "bertctl", *command], check=True, capture_output=True)
    assert "is up to date" in _run_and_refuse_heavy_imports(command)


def _run_and_refuse_heavy_imports(arguments: list[str]) -> str:
    code = (
        "import sys\n"
        f"sys.argv = ['bertctl', *{arguments!r}]\n"
        "from bertctl.cli.main import main\n"
        "try:\n"
        "    main()\n"
        "except SystemExit:\n"
        "    pass\n"
        "heavy = {'torch', 'tokenizers', 'pyarrow', 'rich', 'tqdm', 'transformers'}\n"
        "sys.exit(f'imported {heavy & set(sys.modules)}' if heavy & set(sys.modules) else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_no_module_holds_two_subjects() -> None:
    long = [path for path in SOURCES if len(path.read_text().splitlines()) > 300]
    assert not long
