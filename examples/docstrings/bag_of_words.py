"""A bag-of-words classifier on the demo's task: the line that a pre-trained encoder must beat.

    python examples/docstrings/bag_of_words.py --data demo/corpus --output demo/bag-of-words.json

TF-IDF of words and pairs of words, then logistic regression, its strength C being the one that
does best on the validation file. Nothing in it is random, so it has one score and no deviation.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""The values of C tried: from strong regularisation to nearly none."""

Examples = tuple[list[str], list[str]]
"""Texts and their labels."""
Scores = dict[str, float]
"""Accuracy and macro-F1."""


def read_examples(path: Path) -> Examples:
    """Return the texts and labels of a TSV file with a header."""
    with path.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, dialect="excel-tab"))
    return [row["text"] for row in rows], [row["label"] for row in rows]


def bag_of_words(
    train: Examples, validation: Examples, test: Examples
) -> tuple[float, dict[str, Scores]]:
    """Fit on `train`, choose C on `validation`; return it and both files' scores by split."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import accuracy_score, f1_score
    from sklearn.pipeline import Pipeline, make_pipeline

    def fitted(strength: float) -> Pipeline:
        return make_pipeline(
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
            LogisticRegression(C=strength, max_iter=2000),
        ).fit(*train)

    def scores(model: Pipeline, examples: Examples) -> Scores:
        texts, labels = examples
        predicted = model.predict(texts)
        return {
            "accuracy": float(accuracy_score(labels, predicted)),
            "macro_f1": float(f1_score(labels, predicted, average="macro")),
        }

    models = {strength: fitted(strength) for strength in STRENGTHS}
    on_validation = {strength: scores(model, validation) for strength, model in models.items()}
    best = max(STRENGTHS, key=lambda strength: on_validation[strength]["accuracy"])
    return best, {"validation": on_validation[best], "test": scores(models[best], test)}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder with the TSV files")
    parser.add_argument("--output", "-o", type=Path, required=True, help="the JSON file to write")
    arguments = parser.parse_args()
    files = [arguments.data / f"{split}.tsv" for split in ("train", "validation", "test")]
    sources = b"".join(path.read_bytes() for path in [*files, Path(__file__)])
    made_from = hashlib.blake2b(sources, digest_size=8).hexdigest()
    if arguments.output.exists():
        made: dict[str, Any] = json.loads(arguments.output.read_text())
        if made["made_from"] == made_from:
            print("up to date", file=sys.stderr)
            return 0
    strength, scores = bag_of_words(*(read_examples(path) for path in files))
    result = {"seeds": [scores], "C": strength, "made_from": made_from}
    aside = arguments.output.with_suffix(".partial")
    aside.write_text(json.dumps(result, indent=2) + "\n")
    aside.replace(arguments.output)
    print(f"bag of words: test accuracy {scores['test']['accuracy']:.1%} with C = {strength}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
