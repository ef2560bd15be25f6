import gzip
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import transformers

from bertctl.pipeline.corpus.settings import CorpusSettings
from bertctl.pipeline.errors import BadInput, OutputRefused
from bertctl.pipeline.stage.engine import Completion
from bertctl.pipeline.stage.report import Silent
from bertctl.pipeline.vocab import lesson, tables, totals
from bertctl.pipeline.vocab import run as run_module
from bertctl.pipeline.vocab.request import VocabRequest
from bertctl.pipeline.vocab.settings import VocabHow, VocabSettings
from bertctl.pipeline.vocab.stage import vocab
from bertctl.pipeline.wordpiece.encode import WordPieceEncoder
from bertctl.pipeline.wordpiece.files import load_vocabulary

from .corpora import write_corpus
from .killing import bytes_of, committed_units, kill_when

SETTINGS = VocabSettings(vocab_size=200)
ENGLISH = "The café's naïve owner, Zoë, sold 42 ﬁne croissants — daily! İstanbul ǅ ß [MASK] ok."
CHINESE = "北京大学的学生在图书馆读书。他们用Python 3.11写程序，也喝咖啡。"


def run(inputs: Path | list[Path], output: Path, **changes: Any) -> Completion:
    paths = inputs if isinstance(inputs, list) else [inputs]
    how = VocabHow(workers=changes.pop("workers", 1), chunk_megabytes=changes.pop("chunk", 8))
    reporter, corpus = changes.pop("reporter", Silent()), changes.pop("corpus", CorpusSettings())
    request = VocabRequest(
        inputs=tuple(map(str, paths)), vocab=replace(SETTINGS, **changes), corpus=corpus, how=how
    )
    return vocab(request, output, reporter=reporter)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write_corpus(tmp_path / "corpus")


@pytest.mark.parametrize(
    ("text", "lowercase"), [(ENGLISH, True), (ENGLISH, False), (CHINESE, True)]
)
def test_transformers_gives_the_same_ids(tmp_path: Path, text: str, lowercase: bool) -> None:
    source = tmp_path / "text.txt"
    source.write_text("\n\n".join([text] * 40 + [text.replace("的", "地").replace("sold", "ate")]))
    run(source, tmp_path / "out", lowercase=lowercase, min_frequency=1)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    ours = WordPieceEncoder(*load_vocabulary(tmp_path / "out"))
    # A special token written in the text is ordinary text to us and a special token to them.
    plain = text.replace("[MASK]", "")
    framed = [theirs.cls_token_id, *ours.encode_text(plain).tolist(), theirs.sep_token_id]
    assert theirs(plain)["input_ids"] == framed
    assert ours.vocabulary.unk_id not in framed
    vocabulary = (tmp_path / "out" / "vocab.txt").read_text().split("\n")
    assert vocabulary[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def test_normalisation_is_bert_s(tmp_path: Path) -> None:
    source = tmp_path / "text.txt"
    source.write_text("\n\n".join(["Éclair éclair 北京"] * 20))
    run(source, tmp_path / "lower")
    run(source, tmp_path / "cased", lowercase=False)
    run(source, tmp_path / "accents", strip_accents=False)
    tokens = {
        name: set((tmp_path / name / "vocab.txt").read_text().split("\n"))
        for name in ("lower", "cased", "accents")
    }
    assert {"eclair", "北", "京"} <= tokens["lower"]
    assert "北京" not in tokens["lower"]
    assert {"Éclair", "éclair"} <= tokens["cased"]
    assert "éclair" in tokens["accents"]


@pytest.mark.parametrize("changes", [{"workers": 3}, {"chunk": 0.0004}])
def test_workers_chunks_paths_order_and_compression_change_no_byte(
    corpus: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    run(corpus, tmp_path / "one")
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for path in corpus.iterdir():
        (moved / f"{path.stem}-moved.txt.gz").write_bytes(gzip.compress(path.read_bytes()))
    run(sorted(moved.iterdir(), reverse=True), tmp_path / "two", **changes)
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM])
def test_killed_run_continues_to_the_same_bytes(
    tmp_path: Path, by: signal.Signals, workers: str
) -> None:
    corpus = write_corpus(tmp_path / "corpus", files=12, per_file=60)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    command = [sys.executable, "-m", "bertctl", "vocab", str(corpus), "--vocab-size", "200"]
    command += ["--chunk-megabytes", "0.05"]  # or small files would share their units

    def reached() -> bool:
        return len(committed_units(killed)) >= 5

    ended = kill_when([*command, "--workers", workers, "-o", str(killed)], reached, by)
    assert ended.returncode == (-by if by == signal.SIGKILL else 128 + by), ended.stderr
    # Each of the 12 files gives two units, its piece's and its own.
    assert 0 < len(committed_units(killed)) < 24
    assert not (killed / "manifest.json").exists()
    run(corpus, killed, chunk=0.05)
    run(corpus, whole)
    assert bytes_of(killed) == bytes_of(whole)


def test_statistics_are_measured_on_held_out_text(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", files=3, per_file=300)
    done = run(corpus, tmp_path / "out", vocab_size=90)
    figures = done.manifest.statistics
    held_out = figures["held_out"]
    text = "".join(path.read_text() for path in corpus.iterdir())
    total = len(text.replace(".", " .").split())
    assert figures["words"] + held_out["words"] == total
    assert 0 < held_out["words"] < 0.05 * total
    assert held_out["unknown_rate"] == 0
    assert held_out["coverage"] == 1
    assert 1 < held_out["fertility"] < 4
    finer = run(corpus, tmp_path / "finer", vocab_size=200)
    assert finer.manifest.statistics["held_out"]["fertility"] < held_out["fertility"]


def test_special_and_unused_tokens_stand_first(corpus: Path, tmp_path: Path) -> None:
    run(corpus, tmp_path / "out", special_token=("[NAME]",), unused_tokens=2)
    tokens = (tmp_path / "out" / "vocab.txt").read_text().split("\n")
    assert tokens[5:8] == ["[NAME]", "[unused0]", "[unused1]"]
    loaded = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert loaded.convert_tokens_to_ids("[NAME]") == 5
    assert loaded.tokenize("river [NAME]")[-1] == "[NAME]"


def test_vocabulary_smaller_than_the_alphabet_is_refused_with_the_numbers(
    corpus: Path, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match="smaller than what has to be in it") as refusal:
        run(corpus, tmp_path / "out", vocab_size=20)
    assert "--vocab-size" in refusal.value.hint
    assert not (tmp_path / "out" / "manifest.json").exists()


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"special_token": ("[NAME]", "[NAME]")}, "given twice"),
        ({"special_token": ("[MASK]",)}, "one of BERT's own"),
        ({"special_token": ("[MY NAME]",)}, "ordinary text could hold it"),
        ({"special_token": ("name",)}, "ordinary text could hold it"),
        ({"special_token": ("[unused7]",)}, "ordinary text could hold it"),
        ({"unused_tokens": 195}, "leaves no room for words"),
        ({"algorithm": "unigram"}, "one of bpe, wordpiece"),
    ],
)
def test_what_no_text_could_make_good_is_refused_before_it_is_read(
    corpus: Path, tmp_path: Path, changes: dict[str, Any], what: str
) -> None:
    with pytest.raises(BadInput, match=what) as refusal:
        run(corpus, tmp_path / "out", **changes)
    assert refusal.value.hint
    assert not (tmp_path / "out").exists()


class Recording(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.notices: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def notice(self, text: str) -> None:
        self.notices.append(text)


@pytest.mark.parametrize("min_frequency", [1, 3])
def test_text_that_gives_fewer_tokens_is_said_so(
    corpus: Path, tmp_path: Path, min_frequency: int
) -> None:
    heard = Recording()
    run(corpus, tmp_path / "out", vocab_size=5000, min_frequency=min_frequency, reporter=heard)
    (warning,) = heard.warnings
    assert "not 5,000" in warning
    assert f"comes {min_frequency} times" in warning
    assert ("--min-frequency" in warning) == (min_frequency > 1)


def test_more_words_than_memory_holds_are_said_to_be_left_out(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lesson, "MOST_CHARACTERS", 100)
    heard = Recording()
    figures = run(corpus, tmp_path / "out", reporter=heard).manifest.statistics
    (notice,) = (each for each in heard.notices if "held out" not in each)
    assert figures["distinct_words_learnt_from"] < figures["distinct_words"]
    assert f"{figures['distinct_words_learnt_from']:,} that come most often" in notice
    assert figures["words_learnt_from"] < figures["words"]


def test_algorithms_make_different_vocabularies_of_the_same_size(
    corpus: Path, tmp_path: Path
) -> None:
    made = {
        name: run(corpus, tmp_path / name, algorithm=name, vocab_size=120)
        for name in ("bpe", "wordpiece")
    }
    tokens = [(done.directory / "vocab.txt").read_text().split("\n") for done in made.values()]
    assert len(tokens[0]) == len(tokens[1]) == 121
    assert set(tokens[0]) != set(tokens[1])
    with pytest.raises(OutputRefused, match="--algorithm: bpe → wordpiece"):
        run(corpus, tmp_path / "bpe", algorithm="wordpiece", vocab_size=120)


def test_rounds_of_adding_up_change_no_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = write_corpus(tmp_path / "corpus", files=1, per_file=300)
    run(corpus, tmp_path / "one")
    monkeypatch.setattr(totals, "TABLES_AT_ONCE", 3)
    monkeypatch.setattr(tables, "ROWS_AT_ONCE", 2)
    run(corpus, tmp_path / "two", chunk=0.01, workers=2)
    one, two = bytes_of(tmp_path / "one"), bytes_of(tmp_path / "two")
    # The words held out are in smaller batches of rows now.
    assert one.pop("held_out.arrow") != two.pop("held_out.arrow")
    assert one == two


def test_a_file_that_changes_after_words_were_added_up_is_counted_anew(
    corpus: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    stopped = mock.patch.object(run_module, "choose_words", side_effect=KeyboardInterrupt)
    with stopped, pytest.raises(KeyboardInterrupt):
        run(corpus, out)
    assert "training-0-00000" in committed_units(out)
    (corpus / "0.txt").write_text("Zebras zigzag. " * 99)
    run(corpus, out)
    run(corpus, tmp_path / "fresh")
    assert bytes_of(out) == bytes_of(tmp_path / "fresh")


@pytest.mark.slow
def test_killed_while_it_adds_up_it_continues_to_the_same_bytes(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", files=1, per_file=900)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    command = [sys.executable, "-m", "bertctl", "vocab", str(corpus), "--vocab-size", "200"]
    command += ["--chunk-megabytes", "0.003", "--workers", "1"]

    def sums() -> set[str]:
        return {name for name in committed_units(killed) if name.startswith("training-")}

    ended = kill_when([*command, "-o", str(killed)], lambda: bool(sums()), signal.SIGKILL)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert "training-0-00000" in sums()
    assert not (killed / "manifest.json").exists()
    run(corpus, killed, chunk=0.003)
    run(corpus, whole)
    assert bytes_of(killed) == bytes_of(whole)


def test_added_file_is_another_corpus(corpus: Path, tmp_path: Path) -> None:
    run(corpus, tmp_path / "out")
    (corpus / "more.txt").write_text("One more document.\n")
    with pytest.raises(OutputRefused, match=r"more\.txt"):
        run(corpus, tmp_path / "out")


def test_of_a_small_corpus_nothing_is_held_out(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", files=1, per_file=150)
    figures = run(corpus, tmp_path / "out").manifest.statistics
    text = "".join(path.read_text() for path in corpus.iterdir())
    assert figures["words"] == len(text.replace(".", " .").split())
    assert figures["held_out"] is None


def test_vocabulary_that_cannot_be_replaced_after_all_stays(corpus: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    run(corpus, output)
    before = bytes_of(output)
    (corpus / "zz.txt").write_bytes(b"Not \xff text.\n")
    request = VocabRequest((str(corpus),), SETTINGS)
    with pytest.raises(BadInput, match=r"zz\.txt"):
        vocab(request, output, reporter=Silent(), force=True)
    (corpus / "zz.txt").unlink()
    with pytest.raises(BadInput, match="smaller than what has to be"):
        vocab(
            VocabRequest((str(corpus),), replace(SETTINGS, vocab_size=7)),
            output,
            reporter=Silent(),
            force=True,
        )
    assert bytes_of(output) == before
    # Nothing of the attempts is left, and the old vocabulary is what it was.
    assert run(corpus, output).was_up_to_date
    assert not (output / ".bertctl").exists()
    larger = VocabRequest((str(corpus),), replace(SETTINGS, vocab_size=220))
    assert not vocab(larger, output, reporter=Silent(), force=True).was_up_to_date
    vocab(larger, tmp_path / "fresh", reporter=Silent())
    assert bytes_of(output) == bytes_of(tmp_path / "fresh")


def test_few_documents_are_said_to_leave_none_to_measure_on(tmp_path: Path) -> None:
    heard, source = Recording(), tmp_path / "few.txt"
    source.write_text("\n\n".join([ENGLISH] * 3))
    assert run(source, tmp_path / "out", reporter=heard).manifest.statistics["held_out"] is None
    assert any("none is held out" in each for each in heard.notices)
