import fcntl
import json
import multiprocessing
import os
import re
import resource
import struct
import subprocess
import sys
import termios
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from bertctl.cli.console import Console
from bertctl.cli.shard import command as shard
from bertctl.cli.showing import vocabulary_rows
from bertctl.pipeline.inspect.vocabulary import look_at_vocabulary

from .corpora import SPECIAL, write_corpus, write_vocabulary

PLAIN = Console(as_json=False, plain=True, quiet=False)


def test_figure_that_counts_is_shown_with_its_rate(capsys: pytest.CaptureFixture[str]) -> None:
    with PLAIN.phase("write shards", total=2, unit="shards") as progress:
        progress.advance(2, files="3 of 7", instances_done=4100, documents=90)
    said = capsys.readouterr().err
    assert re.search(r"files 3 of 7, 4.1k instances, \S+ instances/s, documents 90, mem", said)


def _take_memory(megabytes: int, done: object, stop: object) -> None:
    held = b"x" * (megabytes << 20)
    done.set()  # type: ignore[attr-defined]
    stop.wait(60)  # type: ignore[attr-defined]
    del held


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells")
def test_memory_shown_is_that_of_the_largest_worker_while_it_works(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # What processes of other tests took is no part of this.
    monkeypatch.setattr(resource, "getrusage", lambda _: SimpleNamespace(ru_maxrss=1000))
    context = multiprocessing.get_context("spawn")
    done, stop = context.Event(), context.Event()
    worker = context.Process(target=_take_memory, args=(200, done, stop))
    worker.start()
    assert done.wait(60)
    with PLAIN.phase("tokenise", total=None, unit="B") as progress:
        progress.advance(1)
    stop.set()
    worker.join()
    said = capsys.readouterr().err
    assert re.search(r"mem [23]\d\dMB", said), said


def test_table_of_shards_tells_what_padding_would_have_cost(tmp_path: Path) -> None:
    corpus, vocab = write_corpus(tmp_path / "corpus"), write_vocabulary(tmp_path / "vocab.txt")
    arguments = [str(corpus), "--vocab", str(vocab), "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(shard, [*arguments, "--max-seq-length", "70", "--workers", "1"])
    train = json.loads((tmp_path / "out" / "manifest.json").read_text())["statistics"]["train"]
    share = 1 - train["tokens"] / train["instances"] / 70
    assert re.search(rf"padding saved +{share:.1%}", done.stdout), done.output


def test_token_that_looks_like_markup_is_printed_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokens = [*SPECIAL, "[red]", ":smile:", "[/bold]"]
    (tmp_path / "vocab.txt").write_text("\n".join(tokens) + "\n")
    PLAIN.table("[title]", vocabulary_rows(look_at_vocabulary(tmp_path / "vocab.txt", None)))
    said = capsys.readouterr().out
    assert all(each in said for each in ("[title]", "[red]", ":smile:", "[/bold]"))


STEPS = """
import sys, time
from bertctl.cli.console import Console
console = Console(as_json=False, plain=False)
figures = {"loss": 5.2149, "MLM": "12%", "NSP": "60%", "tokens/s": 12345.0, "of peak": "34%"}
with console.phase("pretrain", total=8000, unit="steps", done=1200) as progress:
    for _ in range(4):
        time.sleep(0.12)
        progress.advance(1, **figures)
"""
SHOWN = ("loss 5.21", "MLM 12%", "NSP 60%", "tokens/s 12.3k", "of peak 34%")


@pytest.mark.parametrize(("columns", "fitting"), [(32, 0), (60, 3), (80, 4), (200, 5)])
def test_live_line_shows_the_step_and_then_what_fits_each_figure_whole(
    columns: int, fitting: int
) -> None:
    own, terminal = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    process = subprocess.Popen([sys.executable, "-c", STEPS], stderr=terminal)
    os.close(terminal)
    written = b""
    with suppress(OSError):  # the other side is closed: all has been read
        while part := os.read(own, 1 << 16):
            written += part
    os.close(own)
    assert process.wait(60) == 0
    lines = [each for each in written.decode().split("\r") if re.search(r"\b120[1-4]/8000", each)]
    assert lines
    for line in lines:
        assert len(line) <= columns
        figures = re.split(", ", line.rstrip("]\n "))[1:]
        assert [each for each in figures if each in SHOWN] == list(SHOWN[:fitting])
        # Beside them stand, in a wide terminal, the rate and, after all of them, the memory.
        others = [each for each in figures if each not in SHOWN]
        assert all(re.fullmatch(r"mem \S+B| *\S+ steps/s| *\S+s/ steps", each) for each in others)
