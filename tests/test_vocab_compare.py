import json
import subprocess
import sys
from pathlib import Path

import pytest

from bertctl.pipeline.errors import BadInput
from bertctl.pipeline.stage.engine import Completion
from bertctl.pipeline.stage.report import Silent
from bertctl.pipeline.vocab.request import VocabRequest
from bertctl.pipeline.vocab.settings import VocabHow, VocabSettings
from bertctl.pipeline.vocab.stage import compare, vocab

from .corpora import documents, write_corpus
from .killing import bytes_of

CYRILLIC = "\n\n".join(f"Это текст номер {number} на русском языке." for number in range(700))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "two-scripts.txt"
    path.write_text("\n\n".join(documents(700)) + "\n\n" + CYRILLIC)
    return path


def make(
    corpus: Path, output: Path, *, size: int = 250, lowercase: bool = True, other: str | None = None
) -> Completion:
    request = VocabRequest(
        inputs=(str(corpus),),
        vocab=VocabSettings(vocab_size=size, lowercase=lowercase),
        how=VocabHow(compare=other),
    )
    return vocab(request, output, reporter=Silent())


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bertctl", "vocab", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_vocabulary_compared_with_itself_has_its_own_figures(
    corpus: Path, tmp_path: Path
) -> None:
    done = make(corpus, tmp_path / "out")
    figures = done.manifest.statistics["held_out"]
    assert list(figures["scripts"]) == ["Latin", "Common", "Cyrillic"]
    assert compare(done, done.directory) == figures
    assert compare(done, done.directory / "vocab.txt") == figures


def test_all_vocabularies_are_measured_on_the_same_words(corpus: Path, tmp_path: Path) -> None:
    done = make(corpus, tmp_path / "out")
    cased = make(corpus, tmp_path / "cased", lowercase=False, size=200)
    figures, other = done.manifest.statistics["held_out"], compare(done, cased.directory)
    assert other is not None
    assert other["fertility"] > figures["fertility"]
    assert [(name, each["words"]) for name, each in other["scripts"].items()] == [
        (name, each["words"]) for name, each in figures["scripts"].items()
    ]
    # The same text is held out, whatever the settings; and the words as they were written there.
    assert compare(cased, done.directory) == figures
    assert cased.manifest.statistics["held_out"] == other


def test_asking_for_a_comparison_changes_no_byte_and_finds_the_output_up_to_date(
    corpus: Path, tmp_path: Path
) -> None:
    small = make(corpus, tmp_path / "small", size=150).directory
    arguments = (corpus, "--vocab-size", 250, "-o", tmp_path / "out", "--compare", small)
    first = run(*arguments)
    assert first.returncode == 0, first.stderr
    assert bytes_of(tmp_path / "out") == bytes_of(make(corpus, tmp_path / "without").directory)
    again = run(*arguments, "--json")
    said = json.loads(again.stdout)
    assert said["up_to_date"]
    held_out, compared = said["statistics"]["held_out"], said["compared"]
    assert compared["fertility"] > held_out["fertility"]
    for row in (
        f"pieces per word  {held_out['fertility']:.3f} (small: {compared['fertility']:.3f})",
        f"pieces per word, Cyrillic  {held_out['scripts']['Cyrillic']['fertility']:.3f} (small: "
        f"{compared['scripts']['Cyrillic']['fertility']:.3f})",
    ):
        assert row.split() in [line.split() for line in first.stdout.splitlines()]


def test_what_cannot_be_compared_with_is_refused_before_work(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="nowhere"):
        make(corpus, tmp_path / "out", other=str(tmp_path / "nowhere"))
    assert not (tmp_path / "out").exists()


def test_where_nothing_is_held_out_that_is_said(tmp_path: Path) -> None:
    few = write_corpus(tmp_path / "few", files=1, per_file=20)
    other = make(few, tmp_path / "other").directory
    ended = run(few, "-o", tmp_path / "out", "--vocab-size", 250, "--compare", other, "--json")
    assert ended.returncode == 0
    assert json.loads(ended.stdout)["compared"] is None
    assert "nothing to compare on" in ended.stderr
