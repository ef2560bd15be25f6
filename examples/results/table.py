"""The results of `bertctl run examples/results/bertctl.toml` as a table in Markdown.

python examples/results/table.py examples/results/work
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

_MEASURES = {
    "regression": ("spearman", "Spearman × 100"),
    "token-classification": ("f1", "entity F1, %"),
    "question-answering": ("f1", "F1, %"),
}
"""What is shown of a task, and its name; of the others the accuracy"""
_STARTS = ("random", "pretrained")


def main() -> None:
    """Print a row for each set whose fine-tunings are there."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("work", type=Path, help="the project's output")
    place = parser.parse_args().work / "finetune"
    print("| set | task | rows | measure | random weights | pre-trained | minutes |")
    print("|---|---|---|---|---|---|---|")
    for start in sorted(place.glob("*-pretrained/metrics.json")):
        name = start.parent.name.removesuffix("-pretrained")
        runs = [place / f"{name}-{each}" for each in _STARTS]
        if all((each / "manifest.json").exists() for each in runs):
            print(row(name, runs))


def row(name: str, runs: list[Path]) -> str:
    """Return a set's row: its measure on the test rows from each start, mean ± sd over seeds."""
    found = [json.loads((each / "metrics.json").read_text(encoding="utf-8")) for each in runs]
    task = found[0]["task"]
    key, measure = _MEASURES.get(task, ("accuracy", "accuracy, %"))
    cells = [
        name,
        task,
        f"{found[0]['labelled_rows']['train']:,}",
        measure,
        *(_told(each, key) for each in found),
        f"{sum(map(_minutes, runs)) / len(runs):.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def _told(figures: dict[str, Any], key: str) -> str:
    mean, sd = (100 * figures[each]["test"][key] for each in ("mean", "sd"))
    return f"{mean:.1f} ± {sd:.1f}"


def _minutes(run: Path) -> float:
    """Return how long a fine-tuning took that nobody stopped, by its first and its last file."""
    begun, ended = ((run / name).stat().st_mtime for name in ("recipe.json", "manifest.json"))
    return (ended - begun) / 60


if __name__ == "__main__":
    main()
