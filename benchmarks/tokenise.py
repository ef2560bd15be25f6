"""How fast text becomes WordPiece ids, beside the tokenizer everybody takes for the limit.

    python benchmarks/tokenise.py [TEXT …] [--vocab PATH] [--repetitions 5]

Each figure is MB of text per CPU-second of a fresh process that knows no word yet, from the making
of its encoder to the last id; imports and reading the file are left out. In turn with it, on the
same lines, `tokenizers.encode_batch_fast` on one thread. Both must give the same ids. Without a
TEXT the docstrings of the installed packages are taken; without --vocab a vocabulary is learnt
from each text.
"""

import argparse
import hashlib
import io
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from corpus import docstrings
from processes import spread, table

from bertctl.pipeline.vocab.counting import count_words
from bertctl.pipeline.vocab.lesson import choose_words
from bertctl.pipeline.vocab.merging import train_wordpiece
from bertctl.pipeline.wordpiece.encode import WordPieceEncoder
from bertctl.pipeline.wordpiece.files import load_vocabulary, write_tokenizer_files
from bertctl.pipeline.wordpiece.library import text_tokenizer
from bertctl.pipeline.wordpiece.vocabulary import Normalization, Vocabulary

PART_BYTES = 8_000_000  # as much as a unit of `bertctl shard` has
REFERENCE_LINES = 1_000  # a call's Encoding objects stay in the caches: more lines are slower
OURS, REFERENCE = "bertctl", "tokenizers.encode_batch_fast"
Result = dict[str, float | str]


def ours(text: bytes, vocabulary: Vocabulary, normalization: Normalization) -> Iterator[list[Any]]:
    """Yield arrays of ids."""
    encoder = WordPieceEncoder(vocabulary, normalization)
    start = 0
    while start < len(text):
        stop = text.find(b"\n", start + PART_BYTES) + 1 or len(text)
        yield [encoder.encode_lines(text[start:stop])[0]]
        start = stop


def reference(
    text: bytes, vocabulary: Vocabulary, normalization: Normalization
) -> Iterator[list[Any]]:
    """Yield lists of ids."""
    tokenizer = text_tokenizer(vocabulary, normalization)
    lines = io.TextIOWrapper(io.BytesIO(text), "utf-8", newline="\n")
    while some := [line.rstrip("\n") for line in itertools.islice(lines, REFERENCE_LINES)]:
        encodings = tokenizer.encode_batch_fast(some, add_special_tokens=False)
        yield [encoding.ids for encoding in encodings]


def tokenise(who: str, text: bytes, vocab: Path) -> Result:
    """Encode a text once, in this process; return the CPU time and a digest of the ids."""
    vocabulary, normalization = load_vocabulary(vocab)
    batches = (ours if who == OURS else reference)(text, vocabulary, normalization)
    digest = hashlib.sha256()
    seconds = 0.0
    while True:
        begun = time.process_time()
        batch = next(batches, None)
        seconds += time.process_time() - begun
        if batch is None:
            break
        for ids in batch:
            digest.update(np.array(ids, np.uint32).tobytes())
    return {"seconds": seconds, "digest": digest.hexdigest()}


def measured(who: str, text: Path, vocab: Path) -> Result:
    command = [sys.executable, __file__, "--child", who, "--vocab", str(vocab), str(text)]
    environment = {**os.environ, "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def learn(text: Path, directory: Path) -> Path:
    """Write a vocabulary of the usual size learnt from the text itself."""
    normalization = Normalization()
    words = count_words([text.read_bytes()], normalization)
    tokens = train_wordpiece(choose_words([words], "auto"), vocab_size=30_522, min_frequency=2)
    write_tokenizer_files(Vocabulary(tuple(tokens)), normalization, directory)
    return directory


def compare(text: Path, vocab: Path, repetitions: int) -> None:
    runs: dict[str, list[Result]] = {REFERENCE: [], OURS: []}
    for _ in range(repetitions):
        for who, done in runs.items():
            done.append(measured(who, text, vocab))
    if len({run["digest"] for done in runs.values() for run in done}) != 1:
        raise SystemExit(f"{text}: the ids differ")
    megabytes = text.stat().st_size / 1e6
    rows = [["", "MB per CPU-second", "× reference"]]
    for who, done in runs.items():
        ratios = [
            float(theirs["seconds"]) / float(run["seconds"])
            for theirs, run in zip(runs[REFERENCE], done, strict=True)
        ]
        rows.append(
            [
                who,
                spread([megabytes / float(run["seconds"]) for run in done]),
                spread(ratios),
            ]
        )
    print(f"{text.name}, {megabytes:.1f} MB, the same ids, median of {repetitions} (range)")
    print(table(rows), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("texts", nargs="*", type=Path, metavar="TEXT")
    parser.add_argument("--vocab", type=Path)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--child", choices=[OURS, REFERENCE], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        (text,) = arguments.texts
        print(json.dumps(tokenise(arguments.child, text.read_bytes(), arguments.vocab)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        texts = arguments.texts or [docstrings(Path(temporary))]
        for number, text in enumerate(texts):
            directory = Path(temporary) / str(number)
            directory.mkdir()
            vocab = arguments.vocab or learn(text, directory)
            compare(text, vocab, arguments.repetitions)


if __name__ == "__main__":
    main()
