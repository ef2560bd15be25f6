import gzip
import json
import lzma
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bertctl.cli.main import COMMANDS, main
from bertctl.cli.signals import Terminated, stop_on_signals, terminate
from bertctl.pipeline.shard.request import ShardRequest
from bertctl.pipeline.shard.stage import shard
from bertctl.pipeline.stage.report import Silent
from bertctl.pipeline.stage.stopping import STOPPING

from .corpora import write_corpus, write_vocabulary

BERTCTL = [sys.executable, "-m", "bertctl"]


class Ended(tuple[int, str, str]):
    """How a command ended: exit code, stdout, stderr."""

    __slots__ = ()


@pytest.fixture
def bertctl(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ended]:
    """Run a command line in this process."""

    def run(*arguments: object) -> Ended:
        before = {each: signal.getsignal(each) for each in STOPPING}
        monkeypatch.setattr(sys, "argv", ["bertctl", *map(str, arguments)])
        capsys.readouterr()
        try:
            with pytest.raises(SystemExit) as ending:
                main()
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)
        out, err = capsys.readouterr()
        code = ending.value.code
        return Ended((code if isinstance(code, int) else 0, out, err))

    return run


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write_corpus(tmp_path / "corpus", files=3)


@pytest.fixture
def vocab(tmp_path: Path) -> Path:
    return write_vocabulary(tmp_path / "vocab.txt")


def test_help_names_the_stages_in_order_with_one_line_each(bertctl: Callable[..., Ended]) -> None:
    code, out, _ = bertctl("--help")
    places = [out.index(f"  {name} ") for name in COMMANDS]
    assert code == 0
    assert places == sorted(places)
    assert all(line in out for line in COMMANDS.values())


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_explains_itself_with_an_example(
    bertctl: Callable[..., Ended], command: str
) -> None:
    code, out, _ = bertctl(command, "--help")
    assert code == 0
    assert "Example: bertctl " + command in " ".join(out.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["vocap"], "Did you mean 'vocab'"),
        (["vocab", "x", "-o", "y", "--vocab-sise", "9"], "--vocab-size"),
        (["vocab", "x"], "--output"),
        (["vocab", "x", "-o", "y", "--vocab-size", "many"], "whole number"),
        (["vocab", "x", "-o", "y", "--vocab-size", "2"], "at least 6"),
        (["shard", "x", "-o", "y"], "--vocab"),
        (["shard", "x", "--vocab", "v", "-o", "y", "--documents", "page"], "blank-line"),
    ],
)
def test_mistyped_command_is_a_usage_error_that_names_what_was_meant(
    bertctl: Callable[..., Ended], arguments: list[str], said: str
) -> None:
    code, out, err = bertctl(*arguments)
    assert code == 2
    assert said in err
    assert out == ""


BAD_INPUTS: dict[str, tuple[str, bytes, list[str]]] = {
    "an empty file": ("empty.txt", b"", ["empty.txt", "empty"]),
    "blank lines only": ("blank.txt", b"\n \n\n", ["no text"]),
    "invalid UTF-8": (
        "latin.txt",
        "A river.\nCaf\xe9.\n".encode("latin-1"),
        ["latin.txt", "UTF-8"],
    ),
    "a binary file": ("image.txt", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" * 9, ["image.txt"]),
    "UTF-16": ("wide.txt", "A river.".encode("utf-16"), ["wide.txt", "UTF-16"]),
    "a line that isn't JSON": (
        "a.jsonl",
        b'{"text": "A river."}\n{"text": oops}\n',
        ["a.jsonl", "2"],
    ),
    "a record without the field": (
        "a.jsonl",
        b'{"text": "A river."}\n{"body": "A stone."}\n',
        ["a.jsonl", "2", "body", "text"],
    ),
    "a truncated gzip": ("a.txt.gz", gzip.compress(b"A river. " * 5000)[:-30], ["a.txt.gz"]),
    "a truncated xz": ("a.txt.xz", lzma.compress(b"A river. " * 5000)[:-30], ["a.txt.xz"]),
    "a suffix nobody knows": ("a.docx", b"A river.", ["a.docx", ".txt"]),
}


@pytest.mark.parametrize("stage", ["vocab", "shard"])
@pytest.mark.parametrize("name", list(BAD_INPUTS))
def test_bad_input_is_an_error_with_its_place_and_leaves_no_manifest(
    bertctl: Callable[..., Ended], tmp_path: Path, vocab: Path, name: str, stage: str
) -> None:
    file, content, said = BAD_INPUTS[name]
    (tmp_path / file).write_bytes(content)
    more = ["--vocab", vocab] if stage == "shard" else []
    code, out, err = bertctl(stage, tmp_path / file, *more, "-o", tmp_path / "out")
    assert code == 2
    assert all(each in err for each in said), err
    assert "Traceback" not in err
    assert out == ""
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_missing_input_is_named(bertctl: Callable[..., Ended], tmp_path: Path) -> None:
    code, _, err = bertctl("vocab", tmp_path / "nowhere.txt", "-o", tmp_path / "out")
    assert code == 2
    assert "nowhere.txt" in err
    assert not (tmp_path / "out").exists()


def test_mended_input_continues(bertctl: Callable[..., Ended], tmp_path: Path, vocab: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", files=4)
    good = (corpus / "2.txt").read_bytes()
    (corpus / "2.txt").write_bytes(good + b"\xff")
    assert bertctl("shard", corpus, "--vocab", vocab, "-o", tmp_path / "out")[0] == 2
    (corpus / "2.txt").write_bytes(good)
    assert bertctl("shard", corpus, "--vocab", vocab, "-o", tmp_path / "out")[0] == 0


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_another_program_s_directory_is_refused_with_and_without_force(
    bertctl: Callable[..., Ended], corpus: Path, tmp_path: Path, force: list[str]
) -> None:
    output = tmp_path / "thesis"
    output.mkdir()
    (output / "chapter.tex").write_text("mine")
    code, _, err = bertctl("vocab", corpus, "-o", output, *force)
    assert code == 2
    assert "chapter.tex" in err
    assert [path.name for path in output.iterdir()] == ["chapter.tex"]


def test_result_is_one_json_object_on_stdout_and_progress_is_on_stderr(
    bertctl: Callable[..., Ended], corpus: Path, tmp_path: Path
) -> None:
    command = ["vocab", corpus, "--vocab-size", "90", "-o", tmp_path / "out", "--json"]
    for up_to_date in (False, True):
        code, out, _ = bertctl(*command)
        result = json.loads(out)
        assert code == 0
        assert result["up_to_date"] is up_to_date
        assert result["statistics"]["vocab_size"] == 90


def test_output_without_a_terminal_has_no_control_characters(corpus: Path, tmp_path: Path) -> None:
    command = [*BERTCTL, "vocab", str(corpus), "--vocab-size", "90", "-o", str(tmp_path / "out")]
    environment = {**os.environ, "COLUMNS": "60"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    for text in (done.stdout, done.stderr):
        assert "\x1b" not in text
        assert "\r" not in text
        assert max(map(len, text.split("\n"))) <= 120
    assert "count words" in done.stderr


def test_quiet_command_says_nothing_when_all_is_well(
    bertctl: Callable[..., Ended], corpus: Path, tmp_path: Path
) -> None:
    code, out, err = bertctl("vocab", corpus, "--vocab-size", "90", "-q", "-o", tmp_path / "out")
    assert (code, out, err) == (0, "", "")


def test_debug_shows_the_traceback(bertctl: Callable[..., Ended], tmp_path: Path) -> None:
    _, _, plain = bertctl("vocab", tmp_path / "nowhere", "-o", tmp_path / "out")
    _, _, debug = bertctl("vocab", tmp_path / "nowhere", "-o", tmp_path / "out", "--debug")
    assert "Traceback" not in plain
    assert "Traceback" in debug


def test_full_disk_is_an_error_of_the_work_and_what_was_done_is_kept(
    bertctl: Callable[..., Ended], corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = 0
    replace = Path.replace

    def fill_up(self: Path, target: Path) -> Path:
        nonlocal written
        written += 1
        if written == 6:
            raise OSError(28, os.strerror(28), str(target))
        return replace(self, target)

    output = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fill_up)
        code, _, err = bertctl("vocab", corpus, "--vocab-size", "90", "-o", output, "--workers", 1)
    assert code == 1
    assert "No space left" in err
    assert "same command" in err
    assert not (output / "manifest.json").exists()
    assert bertctl("vocab", corpus, "--vocab-size", "90", "-o", output)[0] == 0


def test_interrupt_from_the_keyboard_ends_with_130(tmp_path: Path, vocab: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", files=9, per_file=200)
    command = [*BERTCTL, "shard", str(corpus), "--vocab", str(vocab), "-o", str(tmp_path / "out")]
    process = subprocess.Popen([*command, "--workers", "1"], stderr=subprocess.PIPE, text=True)
    while not list((tmp_path / "out").glob(".bertctl/units/*.json")):
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "same command continues" in err
    assert "Traceback" not in err


def test_size_and_description_of_a_model_together_are_refused(
    bertctl: Callable[..., Ended], tmp_path: Path
) -> None:
    config = tmp_path / "config.json"
    config.write_text("{}")
    both = ("--config", config, "--model", "tiny", "--steps", 3)
    code, _, err = bertctl("pretrain", tmp_path / "shards", *both, "-o", tmp_path / "out")
    assert code == 2
    assert "--model and --config" in err


SIGNALLED_WHEN_IMPORTING = """
import os, sys
module, number = sys.argv[1], int(sys.argv[2])
class Signalling:
    def find_spec(self, name, *_):
        if name == module:
            os.kill(os.getpid(), number)
sys.meta_path.insert(0, Signalling())
del sys.argv[1:3]
from bertctl.cli.entry import main
main()
"""


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP])
def test_signal_while_modules_are_imported_ends_with_its_code_and_a_line(
    by: signal.Signals,
) -> None:
    code = [sys.executable, "-c", SIGNALLED_WHEN_IMPORTING, "click", str(by.value)]
    ended = subprocess.run(code, capture_output=True, text=True)
    said = f"Stopped by {by.name} before anything had begun.\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (128 + by, "", said)


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGUSR1])
def test_signal_before_there_is_anything_to_save_ends_with_its_code_and_a_line(
    corpus: Path, vocab: Path, tmp_path: Path, by: signal.Signals
) -> None:
    shards, output = tmp_path / "shards", tmp_path / "run"
    request = ShardRequest(inputs=(str(corpus),), vocab=vocab)
    shard(request, shards, reporter=Silent())
    arguments = ["pretrain", str(shards), "--model", "tiny", "--steps", "9", "-o", str(output)]
    code = [sys.executable, "-c", SIGNALLED_WHEN_IMPORTING, "torch", str(by.value)]
    ended = subprocess.run([*code, *arguments], capture_output=True, text=True)
    assert ended.returncode == 128 + by, ended.stderr
    assert ended.stderr.startswith(f"Stopped by {by.name}. ")
    assert ended.stderr.count("\n") == 1


def test_signal_is_noted_from_the_first_question_on_and_acts_at_once_before_it() -> None:
    raised = signal.signal(signal.SIGUSR1, terminate)
    try:
        with stop_on_signals() as stop, pytest.raises(Terminated):
            signal.raise_signal(signal.SIGUSR1)
        with stop_on_signals() as stop:
            assert not stop()
            signal.raise_signal(signal.SIGUSR1)
            assert stop()
            assert stop.exit_code == 128 + signal.SIGUSR1
            with pytest.raises(Terminated):
                signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, raised)


def test_names_that_are_empty_are_refused(
    bertctl: Callable[..., Ended], corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As from a shell variable that isn't set: neither is the current directory.
    monkeypatch.chdir(tmp_path)
    for arguments in (("vocab", "", "-o", "out"), ("vocab", corpus, "-o", "")):
        code, _, err = bertctl(*arguments)
        assert code == 2
        assert "name is empty" in err


def test_verbose_command_says_every_setting(
    bertctl: Callable[..., Ended], corpus: Path, vocab: Path, tmp_path: Path
) -> None:
    command = ("shard", corpus, "--vocab", vocab, "--max-seq-length", 64, "-o", tmp_path / "out")
    _, _, err = bertctl(*command, "-v")
    assert "--max-seq-length 64" in err
    assert "--dupe-factor 5" in err
    assert "3 input files" in err
