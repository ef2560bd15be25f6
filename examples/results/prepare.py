"""Cut real task sets to a size: at most 2,000 rows to learn from, a test of at most 1,000.

    python examples/results/prepare.py --data ../shared/data/finetune --output work/tasks

DATA has a directory a set, as its README lists them. Which rows are taken follows from the rows
alone; those without a label are left out. What comes out are the formats that `bertctl finetune`
reads.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import lzma
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TRAIN, VALIDATION, TEST = 2000, 500, 1000
_PARTS = {"train": TRAIN, "validation": VALIDATION, "test": TEST}
Row = dict[str, Any]


@dataclass(frozen=True)
class TaskSet:
    """One set: its directory, its files by part, and how a file becomes rows or sentences."""

    name: str
    directory: str
    files: Mapping[str, Sequence[str]]
    read: Callable[[Sequence[str]], list[Any]]
    write: Callable[[list[Any]], str]
    suffix: str
    held_out_from: str = "train"
    """The part that a missing one is cut from"""


def main() -> None:
    """Write every set."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="where the sets are")
    parser.add_argument("--output", type=Path, required=True, help="a directory to write to")
    arguments = parser.parse_args()
    for each in SETS:
        parts = cut(each, arguments.data)
        for part, items in parts.items():
            path = arguments.output / each.name / f"{part}.{each.suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(each.write(items), encoding="utf-8")
        print(each.name, *(f"{part} {len(items):,}" for part, items in parts.items()))


def cut(task: TaskSet, data: Path) -> dict[str, list[Any]]:
    """Return a set's parts; one that has no file is cut from another, without its rows."""
    texts = {
        part: [unpacked(data / task.directory / name) for name in names]
        for part, names in task.files.items()
    }
    whole = {part: drawn(task.read(each)) for part, each in texts.items()}
    parts: dict[str, list[Any]] = {}
    for part, size in _PARTS.items():
        source = part if part in whole else task.held_out_from
        parts[part], whole[source] = whole[source][:size], whole[source][size:]
    return parts


def unpacked(path: Path) -> str:
    """Return what a packed file holds."""
    return lzma.decompress(path.read_bytes()).decode("utf-8-sig")


def drawn(items: list[Any]) -> list[Any]:
    """Order items by a hash of their first text, which draws some as chance would.

    Those that share it, a premise or an article, stay together: parts cut from one order share at
    most the one that they were cut within.
    """
    return sorted(items, key=lambda item: hashlib.sha256(_first(item).encode()).digest())


def _first(item: Any) -> str:
    """Return what an item is about: its first value, or the whole of a sentence."""
    return item if isinstance(item, str) else str(next(iter(item.values())))


def lines(rows: list[Any]) -> str:
    """Write rows as JSON Lines."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def table(text: str, delimiter: str = ",") -> list[Row]:
    """Read a table whose first line names its columns; TSV knows no quotes."""
    quoting = csv.QUOTE_MINIMAL if delimiter == "," else csv.QUOTE_NONE
    return list(csv.DictReader(io.StringIO(text), delimiter=delimiter, quoting=quoting))


def texts_of(
    *, text: str, label: str, pair: str = "", delimiter: str = ",", is_number: bool = False
) -> Callable[[Sequence[str]], list[Row]]:
    """Return a reader of tables or JSON Lines (`delimiter` "") with such columns."""

    def read(files: Sequence[str]) -> list[Row]:
        found: list[Row] = []
        for file in files:
            rows = table(file, delimiter) if delimiter else list(map(json.loads, file.splitlines()))
            for row in rows:
                if row[label] == "-":
                    continue
                new: Row = {"text": row[text].strip()}
                if pair:
                    new["text_pair"] = row[pair].strip()
                new["label"] = float(row[label]) if is_number else row[label].strip()
                found.append(new)
        return found

    return read


def sentences(files: Sequence[str]) -> list[str]:
    """Read CoNLL's sentences, comments left out."""
    found: list[str] = []
    for file in files:
        for block in re.split(r"\n\s*\n", file.replace("\r\n", "\n")):
            kept = [line for line in block.split("\n") if line.strip() and line[0] != "#"]
            if kept:
                found.append("\n".join(kept))
    return found


def blocks(items: list[str]) -> str:
    """Write sentences with a blank line after each."""
    return "".join(f"{each}\n\n" for each in items)


def questions(files: Sequence[str]) -> list[Row]:
    """Read SQuAD's questions, each with its text, but those whose answers stand elsewhere."""
    return [
        {"context": paragraph["context"], "qa": question}
        for file in files
        for article in json.loads(file)["data"]
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
        if all(
            paragraph["context"][each["answer_start"] :].startswith(each["text"])
            for each in question["answers"]
        )
    ]


def squad(items: list[Row]) -> str:
    """Write questions as SQuAD's JSON."""
    paragraphs = [{"context": each["context"], "qas": [each["qa"]]} for each in items]
    return json.dumps({"version": "1.1", "data": [{"title": "", "paragraphs": paragraphs}]})


def reasons(files: Sequence[str]) -> list[Row]:
    """Read ComVE's task B: which of three says why a sentence is against common sense."""
    data, answers = files
    key = dict(csv.reader(io.StringIO(answers)))
    return [
        {
            "question": row["FalseSent"],
            "choices": [row["OptionA"], row["OptionB"], row["OptionC"]],
            "label": "ABC".index(key[row["id"]]),
        }
        for row in table(data)
    ]


def exams(files: Sequence[str]) -> list[Row]:
    """Read questions of an examination with four answers each."""
    return [
        {
            "question": row["question"],
            "choices": row["options"],
            "label": "ABCD".index(row["answer"]),
        }
        for row in map(json.loads, "".join(files).splitlines())
    ]


def _rows(name: str, directory: str, read: Any, **files: Sequence[str] | str) -> TaskSet:
    named = {part: [each] if isinstance(each, str) else each for part, each in files.items()}
    return TaskSet(name, directory, named, read, lines, "jsonl")


SETS = (
    _rows(
        "en-intents",
        "en-cls-banking77",
        texts_of(text="text", label="category"),
        train="train.csv.xz",
        test="test.csv.xz",
    ),
    _rows(
        "zh-topics",
        "zh-cls-kdconv_domain",
        texts_of(text="text", label="label", delimiter="\t"),
        train="train.tsv.xz",
        test="test.tsv.xz",
    ),
    _rows(
        "en-entailment",
        "en-pair-mnli_dev",
        texts_of(text="premise", pair="hypothesis", label="label"),
        train="mnli_dev_matched_mismatched.csv.xz",
    ),
    _rows(
        "zh-entailment",
        "zh-pair-ocnli",
        texts_of(text="sentence1", pair="sentence2", label="label", delimiter=""),
        train="train.10k.json.xz",
        test="dev.json.xz",
    ),
    _rows(
        "en-similarity",
        "en-sim-sick",
        texts_of(
            text="sentence_A",
            pair="sentence_B",
            label="relatedness_score",
            delimiter="\t",
            is_number=True,
        ),
        train="SICK_train.txt.xz",
        validation="SICK_trial.txt.xz",
        test="SICK_test_annotated.txt.xz",
    ),
    _rows(
        "zh-similarity",
        "zh-sim-sts_open_zh",
        texts_of(text="sentence1", pair="sentence2", label="score", delimiter="\t", is_number=True),
        train="train.tsv.xz",
        validation="dev.tsv.xz",
        test="test.tsv.xz",
    ),
    TaskSet(
        "en-names",
        "en-ner-wnut17",
        {
            "train": ["wnut17train.conll.xz"],
            "validation": ["emerging.dev.conll.xz"],
            "test": ["emerging.test.annotated.conll.xz"],
        },
        sentences,
        blocks,
        "conll",
    ),
    TaskSet(
        "zh-names",
        "zh-ner-uner_gsdsimp",
        {
            "train": ["zh_gsdsimp-ud-train.iob2.xz"],
            "validation": ["zh_gsdsimp-ud-dev.iob2.xz"],
            "test": ["zh_gsdsimp-ud-test.iob2.xz"],
        },
        sentences,
        blocks,
        "conll",
    ),
    TaskSet(
        "en-answers",
        "en-qa-fairytaleqa",
        {
            "train": ["train.squad.json.xz"],
            "validation": ["val.squad.json.xz"],
            "test": ["test.squad.json.xz"],
        },
        questions,
        squad,
        "json",
    ),
    TaskSet(
        "zh-answers",
        "zh-qa-cmrc2018",
        {"train": ["cmrc2018_train.json.xz"], "test": ["cmrc2018_dev.json.xz"]},
        questions,
        squad,
        "json",
    ),
    _rows(
        "en-reasons",
        "en-mc-comve",
        reasons,
        train=("train_subtaskB_data_all.csv.xz", "train_subtaskB_answers_all.csv.xz"),
        validation=("dev_subtaskB_dev_data.csv.xz", "dev_subtaskB_gold_answers.csv.xz"),
        test=("test_subtaskB_test_data.csv.xz", "test_subtaskB_gold_answers.csv.xz"),
    ),
    _rows(
        "zh-exams",
        "zh-mc-gaokao",
        exams,
        train="train.jsonl.xz",
        validation="dev.jsonl.xz",
        test="test.jsonl.xz",
    ),
)

if __name__ == "__main__":
    main()
