"""A task that a tiny model learns in seconds: which colour is named among other words."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bertctl.model.config import BertConfig
from bertctl.model.pretraining import BertForPreTraining
from bertctl.model.weights import initialise
from bertctl.pipeline.finetune.request import FinetuneRequest
from bertctl.pipeline.finetune.settings import FinetuneHow, FinetuneSettings
from bertctl.pipeline.training.model_files import write_model
from bertctl.pipeline.training.settings import NumericsSettings
from bertctl.pipeline.wordpiece.files import write_tokenizer_files
from bertctl.pipeline.wordpiece.vocabulary import SPECIAL_TOKENS, Normalization, Vocabulary

LABELS = ("blue", "green", "red")
WORDS = "a an big cat dog in of old on or sat sky the tree was wind with you".split()
LETTERS = [
    letter for each in "abcdefghijklmnopqrstuvwxyz0123456789" for letter in (each, f"##{each}")
]
VOCABULARY = Vocabulary(
    (*SPECIAL_TOKENS, *LABELS, *WORDS, *(x for x in LETTERS if x != "a"), ".", "我")
)
CONFIG = BertConfig(
    vocab_size=len(VOCABULARY) + 3,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=48,
    max_position_embeddings=40,
    initializer_range=0.1,
)

Row = dict[str, str]


def write_vocabulary(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    write_tokenizer_files(VOCABULARY, Normalization(), directory)
    return directory


def write_start(directory: Path, *, seed: int = 1, **config: Any) -> Path:
    """Write a pre-trained model's directory, were it not for its random weights."""
    shape = replace(CONFIG, **config)
    model = BertForPreTraining(shape)
    initialise(model, shape, seed=seed)
    vocabulary = write_vocabulary(directory / "tokenizer")
    write_model(directory, model.state_dict(), shape, vocabulary, architecture="BertForPreTraining")
    return directory


def rows(count: int, seed: int) -> list[Row]:
    """Draw sentences of which each names one colour, the label in capitals."""
    random = np.random.default_rng(seed)
    drawn: list[Row] = []
    for number in range(count):
        words = random.choice(WORDS, size=random.integers(3, 12)).tolist()
        colour = LABELS[number % len(LABELS)]
        words.insert(int(random.integers(len(words))), colour)
        drawn.append({"text": " ".join(words), "label": colour.upper()})
    return [drawn[each] for each in random.permutation(count)]


def write_csv(path: Path, some: Sequence[Mapping[str, str]], *, delimiter: str = ",") -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(some[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(some)
    return path


def write_task(directory: Path, *, train: int = 90, validation: int = 33, test: int = 41) -> None:
    """Write train.csv, validation.csv and test.csv."""
    directory.mkdir(parents=True, exist_ok=True)
    for seed, (name, count) in enumerate(
        {"train": train, "validation": validation, "test": test}.items()
    ):
        write_csv(directory / f"{name}.csv", rows(count, seed))


def request(
    task: Path,
    /,
    *,
    model: str | Path,
    parts: Sequence[str] = ("train", "validation", "test"),
    how: FinetuneHow | None = None,
    threads: int = 1,
    micro_batch_size: int = 6,
    vocab: Path | None = None,
    **settings: Any,
) -> FinetuneRequest:
    """Ask for a run of seconds over what `write_task` wrote."""
    defaults: dict[str, Any] = {
        "epochs": 2,
        "batch_size": 16,
        "learning_rate": 5e-3,
        "max_seq_length": 20,
    }
    files = {name: task / f"{name}.csv" for name in parts}
    return FinetuneRequest(
        model=str(model),
        vocab=vocab,
        train=files["train"],
        validation=files.get("validation"),
        test=files.get("test"),
        settings=FinetuneSettings(**{**defaults, **settings}),
        numerics=NumericsSettings(
            device="cpu", precision="float32", threads=threads, micro_batch_size=micro_batch_size
        ),
        how=how or FinetuneHow(),
    )


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write_lines(path: Path, some: Sequence[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" for each in some), encoding="utf-8")
    return path


def scored_rows(count: int, seed: int) -> list[dict[str, Any]]:
    """Draw sentences whose number says how often colours are named, in a unit of its own."""
    random = np.random.default_rng(seed)
    drawn: list[dict[str, Any]] = []
    for number in range(count):
        colours = random.choice(LABELS, size=number % 4).tolist()
        words = [*random.choice(WORDS, size=random.integers(3, 9)).tolist(), *colours]
        drawn.append(
            {"text": " ".join(random.permutation(words)), "score": 300 + 50 * (number % 4)}
        )
    return drawn


def several_rows(count: int, seed: int) -> list[dict[str, Any]]:
    """Draw sentences that name none, one or more colours, which are their labels."""
    random = np.random.default_rng(seed)
    drawn: list[dict[str, Any]] = []
    for number in range(count):
        colours = [colour for bit, colour in enumerate(LABELS) if number >> bit & 1]
        words = [*random.choice(WORDS, size=random.integers(3, 9)).tolist(), *colours]
        drawn.append({"text": " ".join(random.permutation(words)), "labels": colours})
    return drawn


def tagged_rows(count: int, seed: int) -> list[dict[str, Any]]:
    """Draw sentences whose colours are entities, longer by each `sky` that follows."""
    random = np.random.default_rng(seed)
    drawn: list[dict[str, Any]] = []
    for _ in range(count):
        tokens = random.choice([*WORDS, *LABELS, *LABELS, "sky"], size=random.integers(5, 12))
        tags: list[str] = []
        for token in tokens.tolist():
            inside = tags and tags[-1] != "O" and token == "sky"
            tag = f"I-{tags[-1][2:]}" if inside else f"B-{token}" if token in LABELS else "O"
            tags.append(tag)
        drawn.append({"tokens": tokens.tolist(), "tags": tags})
    return drawn


def choice_rows(count: int, seed: int) -> list[dict[str, Any]]:
    """Draw questions with two to four choices, of which only the right one names a colour."""
    random = np.random.default_rng(seed)
    drawn: list[dict[str, Any]] = []
    for number in range(count):
        choices = [random.choice(WORDS, size=3).tolist() for _ in range(2 + number % 3)]
        right = int(random.integers(len(choices)))
        choices[right].append(LABELS[number % 3])
        question = " ".join(random.choice(WORDS, size=4))
        drawn.append(
            {"question": question, "choices": [" ".join(x) for x in choices], "label": right}
        )
    return drawn


def squad(count: int, seed: int, *, words: int = 12, impossible: bool = False) -> dict[str, Any]:
    """Draw SQuAD's JSON: the answer to every question is the one colour in the text, if any."""
    random = np.random.default_rng(seed)
    paragraphs: list[dict[str, Any]] = []
    for number in range(count):
        context = random.choice(WORDS, size=words).tolist()
        answers: list[dict[str, Any]] = []
        without = impossible and number % 3 == 0
        if not without:
            colour, place = LABELS[number % 3], int(random.integers(words))
            context[place] = colour.capitalize()
            start = len(" ".join(context[:place])) + (place > 0)
            answers = [{"text": colour.capitalize(), "answer_start": start}]
        asked = {"id": f"q{seed}-{number}", "question": "sat you on", "answers": answers}
        if impossible:
            asked["is_impossible"] = without
        paragraphs.append({"context": " ".join(context), "qas": [asked]})
    return {"version": "v2.0", "data": [{"title": "toys", "paragraphs": paragraphs}]}
