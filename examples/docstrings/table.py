"""The demo's last word: what pre-training gave, beside the same model without it and a word count.

    python examples/docstrings/table.py --pretrained demo/finetuned/metrics.json \\
        --random demo/finetuned-random/metrics.json --bag-of-words demo/bag-of-words.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

METRICS = {"accuracy": "accuracy, %", "macro_f1": "macro-F1, %"}


def test_scores(path: Path, metric: str) -> list[float]:
    """Return one score a seed from the `metrics.json` of a finetune run, or one shaped like it."""
    return [seed["test"][metric] for seed in json.loads(path.read_text())["seeds"]]


def mean_and_deviation(scores: Sequence[float]) -> str:
    """Write scores between 0 and 1 as per cent: mean ± sample standard deviation, if it has one."""
    mean = f"{100 * statistics.mean(scores):.1f}"
    return f"{mean} ± {100 * statistics.stdev(scores):.1f}" if len(scores) > 1 else mean


def results_table(runs: dict[str, Path], *, plain: bool) -> Table:
    """Return a row a run: its name, how many seeds, and each metric in per cent."""
    table = Table(box=None if plain else box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("from which package?", no_wrap=True)
    table.add_column("seeds", justify="right", no_wrap=True)
    for heading in METRICS.values():
        table.add_column(heading, justify="right", no_wrap=True)
    for name, path in runs.items():
        scores = [test_scores(path, metric) for metric in METRICS]
        table.add_row(name, str(len(scores[0])), *map(mean_and_deviation, scores))
    return table


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pretrained", type=Path, required=True, help="its metrics.json")
    parser.add_argument("--random", type=Path, required=True, help="the same from random weights")
    parser.add_argument("--bag-of-words", type=Path, required=True, help="bag_of_words.py's JSON")
    arguments = parser.parse_args()
    runs = {
        "pre-trained, fine-tuned": arguments.pretrained,
        "random weights, fine-tuned": arguments.random,
        "bag of words": arguments.bag_of_words,
    }
    console = Console()
    console.print(results_table(runs, plain=not console.is_terminal))
    return 0


if __name__ == "__main__":
    sys.exit(main())
