"""How fast raw text becomes a vocabulary and shards, beside the tokenizer everybody takes.

    python benchmarks/corpus.py [TEXT …] [--repetitions 5] [--language en]

Each figure is MB of raw text per CPU-second of a fresh process, its start and its children
included: `bertctl vocab` and `bertctl shard` with one worker, and, on the same text and in
turn with them, `tokenizers.encode_batch_fast` on one thread giving ids and nothing else. Without
a TEXT the docstrings of the installed packages are taken, as in `make demo`.
"""

import argparse
import itertools
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from processes import interleaved, spread, table

REFERENCE = """
import sys
from tokenizers import Tokenizer
tokenizer = Tokenizer.from_file(sys.argv[1])
lines = []
for line in open(sys.argv[2], encoding="utf-8", newline="\\n"):
    lines.append(line.rstrip("\\n"))
    if len(lines) == 10_000:
        for encoding in tokenizer.encode_batch_fast(lines, add_special_tokens=False):
            encoding.ids
        lines = []
for encoding in tokenizer.encode_batch_fast(lines, add_special_tokens=False):
    encoding.ids
"""
BERTCTL = [sys.executable, "-m", "bertctl"]
ROOT = Path(__file__).resolve().parent.parent


def docstrings(directory: Path) -> Path:
    """Harvest the demo's corpus into one file."""
    harvest = ROOT / "examples" / "docstrings" / "harvest.py"
    subprocess.run([sys.executable, str(harvest), "-o", str(directory / "harvest")], check=True)
    text = directory / "docstrings.txt"
    parts = sorted((directory / "harvest" / "text").glob("*.txt"))
    text.write_text("\n".join(part.read_text() for part in parts))
    return text


def measure(text: Path, directory: Path, *, language: str, repetitions: int) -> None:
    number = itertools.count()
    vocab = directory / "vocab"
    subprocess.run(
        [*BERTCTL, "vocab", str(text), "-o", str(vocab), "--force", "-q"],
        check=True,
        stdout=subprocess.DEVNULL,
    )

    def output() -> str:
        return str(directory / f"out-{next(number)}")

    def vocab_command() -> Sequence[str]:
        return [*BERTCTL, "vocab", str(text), "--workers", "1", "-q", "-o", output()]

    def shard_command(copies: int) -> Sequence[str]:
        flags = ["--workers", "1", "--dupe-factor", str(copies), "--language", language, "-q"]
        return [*BERTCTL, "shard", str(text), "--vocab", str(vocab), *flags, "-o", output()]

    reference = "tokenizers.encode_batch_fast, ids only"
    runs = interleaved(
        {
            reference: lambda: [
                "env",
                "TOKENIZERS_PARALLELISM=false",
                sys.executable,
                "-c",
                REFERENCE,
                str(vocab / "tokenizer.json"),
                str(text),
            ],
            "bertctl vocab": vocab_command,
            "bertctl shard, one copy": lambda: shard_command(1),
            "bertctl shard, two copies": lambda: shard_command(2),
        },
        repetitions=repetitions,
    )
    megabytes = text.stat().st_size / 1e6
    rows = [["", "MB per CPU-second", "× reference", "wall s", "peak MB"]]
    for name, done in runs.items():
        ratios = [
            theirs.cpu_seconds / ours.cpu_seconds
            for theirs, ours in zip(runs[reference], done, strict=True)
        ]
        rows.append(
            [
                name,
                spread([megabytes / run.cpu_seconds for run in done]),
                spread(ratios),
                spread([run.wall_seconds for run in done]),
                f"{max(run.peak_bytes for run in done) / 1e6:.0f}",
            ]
        )
    print(f"{text.name}, {megabytes:.1f} MB, median of {repetitions} (range)")
    print(table(rows), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("texts", nargs="*", type=Path, metavar="TEXT")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--language", default="en")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        texts = arguments.texts or [docstrings(Path(temporary))]
        for number, text in enumerate(texts):
            directory = Path(temporary) / str(number)
            directory.mkdir()
            measure(
                text,
                directory,
                language=arguments.language,
                repetitions=arguments.repetitions,
            )


if __name__ == "__main__":
    main()
