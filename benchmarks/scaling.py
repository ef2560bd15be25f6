"""What two workers, and four times the text, cost `bertctl shard`.

    python benchmarks/scaling.py [TEXT] [--times 4] [--workers 2] [--repetitions 3] [--language en]

Whole processes in turn: one worker on the text; one, and then several, on so many times the text,
each time with its rare words spelled otherwise, as a longer text has them. Peak memory is the
largest process's. Without a TEXT the docstrings of the installed packages are taken.
"""

import argparse
import itertools
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from corpus import BERTCTL, docstrings
from processes import interleaved, spread, table
from vocabulary import aside, respelled


def multiply(text: Path, times: int, larger: Path) -> None:
    """Write the text so many times, each time with other rare words."""
    documents = [each.strip() for each in text.read_text(encoding="utf-8").split("\n\n")]
    with larger.open("w", encoding="utf-8") as file:
        for time in range(times):
            file.writelines(f"{document}\n\n" for document in respelled(documents, time))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("text", nargs="?", type=Path)
    parser.add_argument("--times", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--language", default="en")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        directory, number = Path(temporary), itertools.count()
        text: Path = arguments.text or docstrings(directory)
        larger, vocab = directory / "larger.txt", directory / "vocab"
        aside(multiply, text, arguments.times, larger)
        learn = [*BERTCTL, "vocab", str(text), "-q", "-o", str(vocab)]
        subprocess.run(learn, check=True, stdout=subprocess.DEVNULL)

        def command(corpus: Path, workers: int) -> Sequence[str]:
            flags = ["--dupe-factor", "1", "--language", arguments.language, "-q"]
            output = str(directory / f"out-{next(number)}")
            shard = [*BERTCTL, "shard", str(corpus), "--vocab", str(vocab), *flags]
            return [*shard, "--workers", str(workers), "-o", output]

        small, large = (f"{path.stat().st_size / 1e6:.0f} MB" for path in (text, larger))
        several = f"{large}, {arguments.workers} workers"
        runs = interleaved(
            {
                f"{small}, 1 worker": lambda: command(text, 1),
                f"{large}, 1 worker": lambda: command(larger, 1),
                several: lambda: command(larger, arguments.workers),
            },
            repetitions=arguments.repetitions,
        )
    rows = [["", "wall s", "CPU s", "MB per CPU-second", "peak MB"]]
    for name, done in runs.items():
        megabytes = float(name.split()[0])
        rows.append(
            [
                name,
                spread([run.wall_seconds for run in done]),
                spread([run.cpu_seconds for run in done]),
                spread([megabytes / run.cpu_seconds for run in done]),
                spread([run.peak_bytes / 1e6 for run in done], ".0f"),
            ]
        )
    print(table(rows))
    pairs = zip(runs[f"{large}, 1 worker"], runs[several], strict=True)
    gained = [alone.wall_seconds / together.wall_seconds for alone, together in pairs]
    print(f"{arguments.workers} workers are {spread(gained, '.2f')} times as fast as one")


if __name__ == "__main__":
    main()
