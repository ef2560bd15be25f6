import io
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pyarrow.parquet as pq
import pytest

from bertctl.cli.main import main
from bertctl.model.finetuning import BertForQuestionAnswering, BertForTokenClassification
from bertctl.model.pretraining import BertForPreTraining
from bertctl.pipeline.predict.windows import ROWS_AT_ONCE

from .test_predict import CONFIG, write, write_classifier

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("models")
    write(place / "encoder", BertForPreTraining(CONFIG), "BertForPreTraining")
    write_classifier(place / "classifier")
    tagger = BertForTokenClassification(CONFIG, num_labels=3)
    names = {"0": "O", "1": "B-x", "2": "I-x"}
    write(place / "tagger", tagger, "BertForTokenClassification", id2label=names)
    write(place / "reader", BertForQuestionAnswering(CONFIG), "BertForQuestionAnswering")
    return place


@pytest.fixture
def predict(
    models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Run `bertctl predict --model …` in this process: exit code, stdout, stderr."""

    def run(model: str, *arguments: object, stdin: bytes = b"") -> tuple[int, str, str]:
        before = signal.getsignal(signal.SIGTERM)
        words = ["bertctl", "predict", "--model", str(models / model), "--threads", "1"]
        monkeypatch.setattr(sys, "argv", [*words, *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsys.readouterr()
        try:
            with pytest.raises(SystemExit) as ending:
                main()
        finally:
            signal.signal(signal.SIGTERM, before)
        out, err = capsys.readouterr()
        assert isinstance(ending.value.code, int)
        return ending.value.code, out, err

    return run


def test_text_that_is_an_argument_is_filled(predict: Run) -> None:
    code, out, err = predict("encoder", "the river [MASK] and [MASK]", "--top-k", 3)
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert [lines[0], lines[1].strip(), lines[5].strip()] == [
        "the river [MASK] and [MASK]",
        "[MASK] 1",
        "[MASK] 2",
    ]
    assert len(lines) == 9
    assert all("%" in line for line in lines[2:5])


def test_lines_of_a_pipe_are_answered_one_object_a_row(predict: Run) -> None:
    code, out, _ = predict("classifier", "--json", stdin=b"river stone\nbridge\n")
    assert code == 0
    answers = [json.loads(line) for line in out.splitlines()]
    assert [each["row"] for each in answers] == [1, 2]
    assert set(answers[0]["probabilities"]) == {"no", "so", "yes"}


@contextmanager
def asking(model: Path) -> Generator[tuple[subprocess.Popen[bytes], IO[bytes], IO[bytes]]]:
    """Ask a model of a pipe, until its first answer; give the process, its stdout and stderr."""
    command = [sys.executable, "-m", "bertctl", "predict", "--model", str(model), "--json"]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [*command, "--threads", "1"], stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(b"river stone\n" * ROWS_AT_ONCE)
        assert json.loads(process.stdout.readline())["row"] == 1
        yield process, process.stdout, process.stderr


def test_pipe_that_nobody_reads_any_more_ends_it_quietly(models: Path) -> None:
    with asking(models / "classifier") as (process, out, err):
        out.close()
        assert (process.wait(), err.read()) == (1, b"")


def test_interrupt_ends_it_with_130(models: Path) -> None:
    with asking(models / "classifier") as (process, _, err):
        process.send_signal(signal.SIGINT)
        assert (process.wait(), err.read()) == (130, b"Stopped by SIGINT.\n")


def test_two_texts_are_a_pair(predict: Run) -> None:
    code, out, _ = predict("encoder", "river stone.", "--text-pair", "bridge.")
    assert code == 0
    assert "\triver stone. | bridge." in out
    assert "next" in out or "random" in out


def test_answer_is_shown_beneath_its_question_and_cut_from_the_text(predict: Run) -> None:
    text = "the winter River, and stone"
    code, out, _ = predict("reader", "river?", "--text-pair", text, "--n-best-size", 3)
    question, *answers = out.splitlines()
    assert (code, question, len(answers)) == (0, "river?", 3)
    assert all(line[:8].strip().endswith("%") and line[10:] in text for line in answers)
    code, out, _ = predict("reader", "river?", "--text-pair", text, "--json")
    assert json.loads(out)["prediction"] == answers[0][10:]


def test_entities_are_shown_beneath_their_text(predict: Run) -> None:
    code, out, _ = predict("tagger", stdin=b"river stone, winter\n")
    _, json_out, _ = predict("tagger", "--json", stdin=b"river stone, winter\n")
    found = [f"  {each['type']}  {each['text']}" for each in json.loads(json_out)["entities"]]
    assert (code, out.splitlines()) == (0, ["river stone, winter", *(found or ["  (none)"])])


def test_file_is_read_and_written(predict: Run, tmp_path: Path) -> None:
    (tmp_path / "in.tsv").write_text("text\tlabel\nriver\tx\nstone bridge\ty\n")
    code, out, _ = predict("classifier", tmp_path / "in.tsv", "-o", tmp_path / "out.jsonl")
    assert code == 0
    assert "sequence-classification" in out
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert [json.loads(line)["row"] for line in lines] == [1, 2]
    code, _, err = predict("classifier", tmp_path / "in.tsv", "-o", tmp_path / "out.jsonl")
    assert code == 2
    assert "is there already" in err
    code, out, _ = predict("encoder", tmp_path / "in.tsv", "-o", tmp_path / "v.parquet", "-q")
    assert (code, out, pq.read_table(tmp_path / "v.parquet").num_rows) == (0, "", 2)


@pytest.mark.parametrize(
    ("model", "arguments", "said"),
    [
        ("encoder", ["nowhere.txt"], "nowhere.txt: there is no such file"),
        ("encoder", ["no mask here"], r"there is no [MASK] to fill"),
        ("encoder", ["a", "--task", "embeddings"], "expected --output FILE"),
        ("encoder", ["-", "--text-pair", "b"], "--text-pair goes with a text"),
        ("encoder", ["-", "--choice", "b"], "--choice goes with a text"),
        ("reader", ["when?"], "expected the text it is asked of, too"),
        ("tagger", ["a", "--long-text", "tail"], "token-classification takes one of auto, head"),
        ("classifier", ["a", "--n-best-size", "2"], "--n-best-size means nothing to --task"),
        ("classifier", ["nowhere.conll"], "nowhere.conll: there is no such file"),
        ("encoder", ["a [MASK]", "--max-seq-length", "31"], "reads at most 30 tokens"),
        ("encoder", ["a [MASK]", "--top-k", "0"], "at least 1"),
        ("nowhere", ["a [MASK]"], "there is no such directory"),
        ("encoder", ["the", "capital"], "several texts go in a file, or in a pipe"),
        ("encoder", ["."], "is a directory; expected a file, a text"),
    ],
)
def test_mistake_is_told_with_a_way_out(
    predict: Run, model: str, arguments: list[str], said: str
) -> None:
    code, out, err = predict(model, *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err
