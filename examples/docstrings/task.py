"""Modules to a corpus and a task: dealt to splits, cleared of copies, drawn as labelled rows."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from packages import Module, Package, docstring_prose, modules

LABELS = (
    "fsspec",
    "huggingface-hub",
    "jinja2",
    "mpmath",
    "networkx",
    "numpy",
    "pygments",
    "python",
    "rich",
    "setuptools",
    "sympy",
    "torch",
)
"""The packages with docstrings enough to be told apart; the others are in the corpus only."""

OTHER_NAMES = (
    "arrow",
    "cpython",
    "hf",
    "hub",
    "hugging face",
    "jinja",
    "mp",
    "np",
    "nx",
    "pa",
    "pytorch",
    "stdlib",
)
"""What packages are called besides the names they are installed under."""

ROWS_PER_LABEL = {"train": 33, "validation": 20, "test": 85}
"""At most: a small package has fewer docstrings in its test modules."""
MIN_ROW_WORDS = 8
MAX_ROW_WORDS = 40
"""Where a row's text ends: what a model of 64 tokens can read, so that all classifiers read it."""

MAX_PACKAGE_WORDS = 320_000
"""A package gives no further module after so many words."""

SPLITS = ("test", "validation", "train")
"""In the order in which text is claimed: what two splits have in common stays in the first."""
DEAL = ("test", "train", "train", "validation", "train", "test", "train", "train")
"""Where a package's modules go, in the order of their keyed hashes, round and round."""

HAND = 64
"""How many modules are read at a time, and so how far a package may pass its cap."""

SHINGLE_WORDS = 8
"""A paragraph is a copy when half of its runs of so many words were met before."""

Map = Callable[[Callable[[Module], list[list[str]]], Iterable[Module]], Iterable[list[list[str]]]]
"""The shape of the built-in `map` and of an executor's."""


@dataclass(frozen=True, kw_only=True)
class Document:
    """What a module's docstrings say: a tuple of paragraphs for each."""

    package: str
    module: str
    split: str
    docstrings: tuple[tuple[str, ...], ...]

    @property
    def paragraphs(self) -> tuple[str, ...]:
        """The docstrings' paragraphs, one after the other."""
        return tuple(itertools.chain.from_iterable(self.docstrings))

    @property
    def num_words(self) -> int:
        """How many words the paragraphs have, split at spaces."""
        return sum(len(paragraph.split()) for paragraph in self.paragraphs)


@dataclass(frozen=True, kw_only=True, order=True)
class Row:
    """A labelled docstring on one line, and the module that it comes from."""

    text: str
    label: str
    module: str


class SeenText:
    """The text met so far, as hashes of its runs of words, to know a copy by."""

    def __init__(self) -> None:
        self._hashes: set[bytes] = set()

    def is_new(self, paragraph: str) -> bool:
        """Tell whether a paragraph is no copy of earlier ones, and remember it.

        Case, spacing, punctuation and the digits of numbers make no difference.
        """
        words = re.sub(r"\d+", "0", re.sub(r"\W+", " ", paragraph.lower())).split()
        starts = range(max(1, len(words) - SHINGLE_WORDS + 1))
        runs = (" ".join(words[start : start + SHINGLE_WORDS]) for start in starts)
        hashes = [keyed_hash("copy", run) for run in runs]
        num_seen = sum(each in self._hashes for each in hashes)
        self._hashes.update(hashes)
        return 2 * num_seen < len(hashes)


def keyed_hash(purpose: str, text: str) -> bytes:
    """Return 8 bytes that put texts in a random order, another one for each purpose."""
    return hashlib.blake2b(text.encode(), key=purpose.encode(), digest_size=8).digest()


def read_documents(packages: Iterable[Package], *, map_modules: Map = map) -> Iterator[Document]:
    """Deal each package's modules to the splits, then read them, up to the package's cap."""
    for package in packages:
        order = sorted(modules(package), key=lambda module: keyed_hash("split", module.name))
        dealt = zip(order, itertools.cycle(DEAL), strict=False)
        num_words = 0
        while num_words < MAX_PACKAGE_WORDS and (hand := list(itertools.islice(dealt, HAND))):
            contents = map_modules(docstring_prose, [module for module, _ in hand])
            for (module, split), docstrings in zip(hand, contents, strict=True):
                document = Document(
                    package=package.name,
                    module=module.name,
                    split=split,
                    docstrings=tuple(map(tuple, docstrings)),
                )
                num_words += document.num_words
                yield document


def without_copies(documents: Iterable[Document]) -> list[Document]:
    """Drop every paragraph met before, the test modules' being met first; order by split and name.

    Inherited docstrings are copied a lot; what is left of a training module says nothing that a
    test module says.
    """
    seen = SeenText()
    kept: list[Document] = []
    for document in sorted(documents, key=lambda each: (SPLITS.index(each.split), each.module)):
        new = [tuple(filter(seen.is_new, paragraphs)) for paragraphs in document.docstrings]
        if docstrings := tuple(filter(None, new)):
            kept.append(replace(document, docstrings=docstrings))
    return kept


def name_pattern(packages: Iterable[str]) -> re.Pattern[str]:
    """Match any package's name as a word, as a dotted part or within a CamelCase name."""
    names = {*packages, *OTHER_NAMES}
    names |= {re.sub(r"[-_ ]", joint, name) for name in names for joint in ("-", "_", " ", "")}
    longest_first = sorted(names, key=lambda name: (-len(name), name))
    return re.compile(
        r"(?:(?<![A-Za-z])|(?<=[a-z])(?=[A-Z]))"
        rf"(?i:{'|'.join(map(re.escape, longest_first))})(?![a-z])\.?"
    )


def draw_rows(documents: Iterable[Document], split: str, names: re.Pattern[str]) -> list[Row]:
    """Draw a split's labelled docstrings at random, as many a label, all names stripped."""
    candidates: dict[str, dict[bytes, Row]] = {label: {} for label in LABELS}
    for document in documents:
        if document.split != split or document.package not in LABELS:
            continue
        for docstring in document.docstrings:
            words = names.sub("", " ".join(docstring)).replace('"', "'").split()
            if len(words) >= MIN_ROW_WORDS:
                text = " ".join(words[:MAX_ROW_WORDS])
                row = Row(text=text, label=document.package, module=document.module)
                candidates[row.label][keyed_hash("row", f"{row.module}: {text}")] = row
    drawn = {
        key: row
        for label in LABELS
        for key, row in sorted(candidates[label].items())[: ROWS_PER_LABEL[split]]
    }
    return [row for _, row in sorted(drawn.items())]
