"""How fast and how well a vocabulary is learnt, beside the trainer everybody takes.

    python benchmarks/vocabulary.py [TEXT …] [--repetitions 5] [--workers 1 2] [--times 1]

Whole processes, start-up and children included, in turn: `bertctl vocab` with so many workers, and
`tokenizers`' WordPieceTrainer with as many threads, on the same text with the same normalisation,
size, least frequency and alphabet. Every 50th document is kept from both; pieces per word and
unknown words are measured on these. Without a TEXT the docstrings of the installed packages are
taken. `--times 4` learns from four times the text, each time with its rare words spelled otherwise:
so there are ever more distinct words, as in a longer text.
"""

import argparse
import itertools
import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from string import ascii_lowercase
from typing import Any

from corpus import BERTCTL, docstrings
from processes import Run, interleaved, spread, table

SIZE = 30_522
HELD_OUT_EVERY = 50
WORD, RARE = re.compile("[A-Za-z]+"), 20
REFERENCE = "tokenizers.WordPieceTrainer"
TRAINER = """
import sys
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
text, size, output = sys.argv[1:]
tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
tokenizer.normalizer = normalizers.BertNormalizer()
tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
trainer = trainers.WordPieceTrainer(
    vocab_size=int(size), min_frequency=2, limit_alphabet=1000, special_tokens=special,
    show_progress=False,
)
tokenizer.train([text], trainer)
tokenizer.save(output)
"""


def part(text: Path, times: int, training: Path, held_out: Path) -> None:
    """Write every 50th document to `held_out` and the others, so many times, to `training`."""
    documents = text.read_text(encoding="utf-8").split("\n\n")
    held_out.write_text("\n\n".join(documents[::HELD_OUT_EVERY]), encoding="utf-8")
    del documents[::HELD_OUT_EVERY]
    with training.open("w", encoding="utf-8") as file:
        for time in range(times):
            file.writelines(f"{document.strip()}\n\n" for document in respelled(documents, time))


def respelled(documents: Sequence[str], shift: int) -> Iterable[str]:
    """Yield the documents, each letter of a rare word so many places on in the alphabet."""
    if not shift:
        return documents
    often = Counter(word for document in documents for word in WORD.findall(document))
    moved = ascii_lowercase[shift:] + ascii_lowercase[:shift]
    table = str.maketrans(ascii_lowercase + ascii_lowercase.upper(), moved + moved.upper())

    def spell(match: re.Match[str]) -> str:
        return match[0].translate(table) if often[match[0]] <= RARE else match[0]

    return (WORD.sub(spell, document) for document in documents)


def commands(text: Path, directory: Path, workers: int) -> dict[str, Callable[[], Sequence[str]]]:
    """Return the commands to run in turn; each writes to a directory or file of its own name."""
    number = itertools.count()

    def ours(algorithm: str) -> Sequence[str]:
        output = directory / f"{algorithm}-{next(number)}"
        (directory / algorithm).unlink(missing_ok=True)
        (directory / algorithm).symlink_to(output)
        flags = ["--vocab-size", str(SIZE), "--limit-alphabet", "1000", "--algorithm", algorithm]
        flags += ["--workers", str(workers), "-q", "-o", str(output)]
        return [*BERTCTL, "vocab", str(text), *flags]

    def theirs() -> Sequence[str]:
        output = str(directory / "theirs.json")
        threads = f"RAYON_NUM_THREADS={workers}"
        return ["env", threads, sys.executable, "-c", TRAINER, str(text), str(SIZE), output]

    return {
        REFERENCE: theirs,
        "bertctl vocab": lambda: ours("bpe"),
        "bertctl vocab --algorithm wordpiece": lambda: ours("wordpiece"),
    }


def qualities(directory: Path, held_out: Path) -> dict[str, Mapping[str, Any]]:
    """Measure the vocabularies that the commands have made."""
    from bertctl.pipeline.vocab.counting import count_words
    from bertctl.pipeline.vocab.measuring import AS_WRITTEN, measure
    from bertctl.pipeline.wordpiece.files import load_vocabulary
    from bertctl.pipeline.wordpiece.vocabulary import Normalization, Vocabulary

    words = [count_words([held_out.read_bytes()], AS_WRITTEN)]
    ids = json.loads((directory / "theirs.json").read_text())["model"]["vocab"]
    theirs = Vocabulary(tuple(sorted(ids, key=ids.__getitem__))), Normalization()
    vocabularies = {
        REFERENCE: theirs,
        "bertctl vocab": load_vocabulary(directory / "bpe"),
        "bertctl vocab --algorithm wordpiece": load_vocabulary(directory / "wordpiece"),
    }
    return {name: measure(*each, words) or {} for name, each in vocabularies.items()}


def aside(call: Callable[..., Any], *arguments: Any) -> Any:
    """Call in another process: the system counts the memory of this one as its children's peak."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        return executor.submit(call, *arguments).result()


def show(runs: Mapping[str, list[Run]], measured: Mapping[str, Mapping[str, Any]]) -> None:
    rows = [["", "wall s", "× faster", "CPU s", "× less", "peak MB", "pieces a word", "unknown"]]
    for name, done in runs.items():
        pairs = list(zip(runs[REFERENCE], done, strict=True))
        rows.append(
            [
                name,
                spread([run.wall_seconds for run in done]),
                spread([theirs.wall_seconds / run.wall_seconds for theirs, run in pairs]),
                spread([run.cpu_seconds for run in done]),
                spread([theirs.cpu_seconds / run.cpu_seconds for theirs, run in pairs]),
                f"{max(run.peak_bytes for run in done) / 1e6:.0f}",
                f"{measured[name]['fertility']:.4f}",
                f"{measured[name]['unknown_rate']:.3%}",
            ]
        )
    print(table(rows), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("texts", nargs="*", type=Path, metavar="TEXT")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--times", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        for number, text in enumerate(arguments.texts or [docstrings(Path(temporary))]):
            directory = Path(temporary) / str(number)
            directory.mkdir()
            training, held_out = directory / text.name, directory / "held-out"
            aside(part, text, arguments.times, training, held_out)
            for workers in arguments.workers:
                made = directory / str(workers)
                made.mkdir()
                runs = interleaved(
                    commands(training, made, workers), repetitions=arguments.repetitions
                )
                megabytes = training.stat().st_size / 1e6
                measured = f"{workers} worker(s), median of {arguments.repetitions} (range)"
                print(f"{text.name}, {megabytes:.1f} MB, {measured}")
                show(runs, aside(qualities, made, held_out))


if __name__ == "__main__":
    main()
