import gzip
import json
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bertctl.pipeline.corpus.settings import CorpusSettings, SentenceSettings
from bertctl.pipeline.errors import BadInput
from bertctl.pipeline.inspect import sampling
from bertctl.pipeline.inspect.corpus import CorpusLook, look_at_corpus
from bertctl.pipeline.inspect.languages import sounds_like
from bertctl.pipeline.inspect.settings import InspectHow
from bertctl.pipeline.stage.report import Silent

from .corpora import documents, write_corpus

GERMAN = (
    "Der Fluss ist nicht weit von der Brücke. Die Kinder sind mit den Eltern an das Ufer gegangen."
    " Und ein Boot kam von der anderen Seite. "
)
CHINESE = "河水流过石桥，孩子们在岸边等船。船从对面来了。"


def look(path: Path, *, number: int = 3, language: str = "en", **corpus: Any) -> CorpusLook:
    return look_at_corpus(
        [str(path)],
        CorpusSettings(**corpus),
        SentenceSettings(language=language),
        InspectHow(number=number),
        reporter=Silent(),
    )


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def plain(count: int = 40) -> str:
    return "\n\n".join(documents(count)) + "\n"


def test_small_corpus_is_read_whole_and_its_figures_are_exact(tmp_path: Path) -> None:
    found = look(write_corpus(tmp_path / "corpus", files=7, per_file=5), number=4)
    assert (found.files, found.documents, found.is_whole) == (7, 35, True)
    assert found.signs == ()
    assert len(found.shown) == 4
    assert all(sentence.endswith(".") for each in found.shown for sentence in each.sentences)


def test_what_is_read_of_a_large_corpus_is_bounded_and_comes_from_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "_WHOLE_BYTES", 1 << 16)
    monkeypatch.setattr(sampling, "_SAMPLE_BYTES", 1 << 16)
    monkeypatch.setattr(sampling, "_PART_BYTES", 1 << 12)
    texts = [f"Number {number} of many.\n{each}" for number, each in enumerate(documents(2000))]
    size = written(tmp_path / "a.txt", "\n\n".join(texts)).stat().st_size
    found = look(tmp_path / "a.txt", number=1000)
    assert not found.is_whole
    assert found.text_bytes < size / 4
    assert abs(found.estimated_documents / 2000 - 1) < 0.1
    numbers = sorted(int(each.sentences[0].split()[1]) for each in found.shown)
    assert numbers[0] == 0
    assert numbers[-1] > 1800
    assert len(numbers) == len(set(numbers))


@pytest.mark.parametrize("ballast", [0, 3000])
def test_number_of_records_is_estimated_whatever_else_they_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ballast: int
) -> None:
    monkeypatch.setattr(sampling, "_WHOLE_BYTES", 1 << 16)
    monkeypatch.setattr(sampling, "_SAMPLE_BYTES", 1 << 17)
    monkeypatch.setattr(sampling, "_PART_BYTES", 1 << 16)
    lines = [json.dumps({"text": each, "more": "x" * ballast}) for each in documents(3000)]
    found = look(written(tmp_path / "a.jsonl", "\n".join(lines)))
    assert not found.is_whole
    assert abs(found.estimated_documents / 3000 - 1) < 0.15


def test_first_documents_are_looked_at_where_no_more_are_asked_for(tmp_path: Path) -> None:
    found = look(write_corpus(tmp_path / "corpus", files=4, per_file=5), max_documents=7)
    assert (found.documents, found.estimated_documents, found.is_whole) == (7, 7, True)


def test_small_files_are_looked_at_from_their_beginnings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "_WHOLE_FILES", 3)
    found = look(write_corpus(tmp_path / "corpus", files=67, per_file=1))
    assert found.documents > 12
    assert found.signs == ()


def wrapped() -> str:
    return "\n\n".join(
        "\n".join(textwrap.wrap(each.replace("\n", " "), 60)) for each in documents(30)
    )


def one_sentence_each() -> str:
    return "\n\n".join(line for each in documents(30) for line in each.split(". "))


ODD: dict[str, tuple[Callable[[], str], dict[str, Any], str, str]] = {
    "hard-wrapped": (wrapped, {}, "hard-wrapped", "--unwrap"),
    "a sentence each": (one_sentence_each, {}, "are a single sentence", "blank line after every"),
    "one document": (lambda: plain().replace("\n\n", "\n"), {}, "a single document", "--documents"),
    "a giant among others": (
        lambda: "\n".join(documents(90)) + "\n\n" + plain(20),
        {},
        "One document is",
        "--documents",
    ),
    "Chinese as English": (lambda: "\n\n".join([CHINESE * 9] * 3), {}, "Han", "--language zh"),
    "English as Chinese": (plain, {"language": "zh"}, "Latin", "--language en"),
    "German as English": (lambda: "\n\n".join([GERMAN * 5] * 3), {}, "like de", "--language de"),
    "duplicates": (lambda: plain(8) + "\n" + plain(8), {}, "8 of 16 documents repeat", "often"),
    "no sentence ends": (
        lambda: "\n\n".join(each.replace(".", "").replace("\n", " ") * 9 for each in documents(9)),
        {},
        "few ends of sentences",
        "running text",
    ),
    "bad input": (lambda: plain() + "\0\n\n" + plain(3), {}, "1 bad input(s)", "--on-bad-input"),
}


@pytest.mark.parametrize("name", list(ODD))
def test_corpus_that_looks_wrong_is_said_to_and_what_to_do_about_it(
    tmp_path: Path, name: str
) -> None:
    text, settings, seen, advice = ODD[name]
    signs = look(written(tmp_path / "a.txt", text()), **settings).signs
    assert any(seen in each.seen and advice in each.advice for each in signs), signs


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        (plain, {}),
        (lambda: wrapped().replace("\n\n", "\n\n\n"), {"unwrap": True}),
        (lambda: "\n\n".join(GERMAN * n for n in range(2, 40)), {"language": "de"}),
        (lambda: "\n\n".join(CHINESE * n for n in range(2, 40)), {"language": "zh"}),
        (lambda: "\n\n".join(GERMAN * n for n in range(2, 40)), {"language": "lb"}),
    ],
    ids=["English", "unwrapped", "German", "Chinese", "a language nobody knows the words of"],
)
def test_corpus_that_is_right_has_no_signs(
    tmp_path: Path, text: Callable[[], str], settings: dict[str, Any]
) -> None:
    assert look(written(tmp_path / "a.txt", text()), **settings).signs == ()


def test_labelled_rows_beside_plain_text_are_told_before_they_are_trained_on(
    tmp_path: Path,
) -> None:
    write_corpus(tmp_path, files=3)
    assert look(tmp_path).signs == ()
    rows = "".join(f"{line}\tyes\n" for line in plain(5).split("\n") if line)
    for name in ("train.tsv", "test.tsv"):
        written(tmp_path / name, "text\tlabel\n" + rows)
    (tmp_path / "more.csv.gz").write_bytes(gzip.compress(b"text\nA river.\nA boat.\n"))
    sign = look(tmp_path).signs[0]
    assert "3 .txt and 2 .tsv, 1 .csv" in sign.seen
    assert "Name the text alone" in sign.advice
    tables = look_at_corpus(
        [str(tmp_path / "*.tsv")],
        CorpusSettings(),
        SentenceSettings(),
        InspectHow(),
        reporter=Silent(),
    )
    assert not any("together" in each.seen for each in tables.signs)


def test_long_document_is_told_to_be_shown_in_part(tmp_path: Path) -> None:
    text = "\n".join(documents(900)) + "\n\n" + plain(5)
    found = look(written(tmp_path / "a.txt", text))
    assert found.documents == 6
    assert [each.is_part for each in found.shown[:2]] == [True, True]


def test_records_and_archives_are_looked_at_too(tmp_path: Path) -> None:
    lines = "".join(json.dumps({"body": each}) + "\n" for each in documents(13))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    assert look(tmp_path / "a.jsonl.gz", text_field="body").documents == 13
    assert "text" in look(tmp_path / "a.jsonl.gz").signs[0].seen


def test_corpus_without_any_text_is_no_corpus(tmp_path: Path) -> None:
    found = look(written(tmp_path / "a.txt", "\n \n"))
    assert (found.documents, found.shown, found.median_sentences) == (0, (), None)
    with pytest.raises(BadInput, match="nowhere"):
        look(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("text", "language", "heard"),
    [(GERMAN, "en", "de"), (GERMAN, "de", None), (GERMAN, "fi", None), ("Oslo 1850", "en", None)],
)
def test_language_is_heard_from_its_commonest_words(
    text: str, language: str, heard: str | None
) -> None:
    assert sounds_like([text], language) == heard
