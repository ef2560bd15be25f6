"""Small corpora and vocabularies that tests write for themselves."""

from pathlib import Path

import numpy as np

WORDS = (
    "river stone bridge morning letter garden window winter teacher market silver engine harbour "
    "village mountain story question answer kitchen paper forest island number circle doctor "
    "yellow quiet narrow broken early seven walks carries opens finds writes builds watches"
).split()
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def sentence(random: np.random.Generator, *, in_order: bool = False) -> str:
    count = int(random.integers(3, 14))
    first = int(random.integers(len(WORDS)))
    words = (2 * WORDS)[first : first + count] if in_order else random.choice(WORDS, count)
    return " ".join(words).capitalize() + "."


def document(random: np.random.Generator, *, sentences: int = 12) -> str:
    count = int(random.integers(2, sentences))
    return "\n".join(
        " ".join(sentence(random) for _ in range(random.integers(1, 4))) for _ in range(count)
    )


def documents(count: int, *, seed: int = 1) -> list[str]:
    random = np.random.default_rng(seed)
    return [document(random) for _ in range(count)]


def write_corpus(directory: Path, *, files: int = 9, per_file: int = 9, seed: int = 1) -> Path:
    """Write several files of several documents each, blank lines between them."""
    directory.mkdir(parents=True, exist_ok=True)
    texts = documents(files * per_file, seed=seed)
    for number in range(files):
        some = texts[number * per_file : (number + 1) * per_file]
        (directory / f"{number}.txt").write_text("\n\n".join(some) + "\n")
    return directory


def write_predictable_corpus(path: Path, *, count: int = 60) -> Path:
    """Write documents in which every word tells the next."""
    random = np.random.default_rng(1)
    texts = [
        "\n".join(sentence(random, in_order=True) for _ in range(random.integers(4, 12)))
        for _ in range(count)
    ]
    path.write_text("\n\n".join(texts) + "\n")
    return path


def write_vocabulary(path: Path) -> Path:
    """Write a vocab.txt that knows most of the words, some of them in two pieces."""
    whole = WORDS[: len(WORDS) // 2]
    halves = {piece for word in WORDS[len(whole) :] for piece in (word[:3], "##" + word[3:])}
    path.write_text("\n".join([*SPECIAL, *whole, ".", *sorted(halves)]) + "\n")
    return path
