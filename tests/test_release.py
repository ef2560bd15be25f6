"""What a release holds: the archives, the metadata, the citation, the list of changes."""

import email
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

import bertctl

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FOLDERS = {"cli": "bertctl/cli", "pipeline": "bertctl/pipeline", "model": "bertctl/model"}


def tracked_files() -> list[str]:
    """Return what belongs to the project, by its path."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git checkout: nothing says which files belong to the project")
    return [name for name in done.stdout.splitlines() if (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The source archive, and the wheel that is built from it."""
    source = tmp_path_factory.mktemp("source")
    for name in tracked_files():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", "dist", "."]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (archive,), (wheel,) = source.glob("dist/*.tar.gz"), source.glob("dist/*.whl")
    return archive, wheel


@pytest.mark.slow
def test_source_archive_holds_every_file_of_the_project(archives: tuple[Path, Path]) -> None:
    with tarfile.open(archives[0]) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert set(tracked_files()) <= held
    assert {"LICENSE", "CITATION.cff", "constraints.txt", "tests/corpora.py"} <= held


@pytest.mark.slow
def test_wheel_holds_every_module_and_nothing_else(archives: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(archives[1]) as wheel:
        held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    modules = {
        f"{installed}/{path.relative_to(ROOT / folder)}"
        for folder, installed in FOLDERS.items()
        for path in (ROOT / folder).rglob("*.py")
        if path.parent.name != "package"
    }
    package = {f"bertctl/{path.name}" for path in (ROOT / "cli" / "package").iterdir()}
    assert held == modules | package - {"bertctl/__pycache__"}
    assert "bertctl/py.typed" in held


@pytest.mark.slow
def test_wheel_says_what_it_is(archives: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(archives[1]) as wheel:
        (place,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        told = email.message_from_bytes(wheel.read(place))
        licence = wheel.read(place.replace("METADATA", "licenses/LICENSE"))
    assert told["Version"] == bertctl.__version__
    assert told["License-Expression"] == "Apache-2.0"
    assert licence == (ROOT / "LICENSE").read_bytes()
    readme = told.get_payload(decode=True)
    assert isinstance(readme, bytes)
    assert readme.decode().strip() == (ROOT / "README.md").read_text().strip()
    required = {each for each in told.get_all("Requires-Dist", []) if "extra ==" not in each}
    assert required == set(PROJECT["dependencies"])


def test_version_stands_in_one_place_and_begins_the_list_of_changes() -> None:
    assert PROJECT["dynamic"] == ["version"]
    assert "version" not in yaml.safe_load((ROOT / "CITATION.cff").read_text())
    first = re.search(r"^## \[(.*?)\]", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert first
    assert first[1] in ("Unreleased", bertctl.__version__)


def test_changes_are_kept_in_sections_that_tell_users_what_they_mean() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.*)$", text, re.M)) <= kinds
    assert re.findall(r"^## (.*)$", text, re.M)
    for heading in re.findall(r"^## (.*)$", text, re.M):
        assert re.fullmatch(r"\[Unreleased\]|\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", heading)


def test_citation_is_one_that_the_format_allows() -> None:
    """Citation File Format 1.2.0: what has to be there, what may be, and of which kind."""
    told = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= told.keys()
    assert told.keys() <= {
        *("cff-version", "message", "title", "authors", "abstract", "keywords", "license", "type"),
    }
    assert told["cff-version"] == "1.2.0"
    assert told["type"] == "software"
    assert told["authors"] == [{"name": "The bertctl authors"}] == PROJECT["authors"]
    assert told["license"] == PROJECT["license"]
    assert all(isinstance(each, str) for each in told["keywords"])


def test_constraints_pin_everything_that_set_up_installs() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()[1:]
    pinned = {re.sub(r"[-_.]+", "-", line.partition("==")[0]).lower() for line in lines}
    asked = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]
    names = {re.sub(r"[-_.]+", "-", re.split(r"[\[<>=~]", each)[0]).lower() for each in asked}
    assert names <= pinned


def test_what_extras_bring_is_tested_too() -> None:
    extras = dict(PROJECT["optional-dependencies"])
    tested = {re.split(r"[\[<>=~]", each)[0] for each in extras.pop("dev")}
    untested = {re.split(r"[\[<>=~]", each)[0] for some in extras.values() for each in some}
    assert untested - tested <= {"tensorboard"}
