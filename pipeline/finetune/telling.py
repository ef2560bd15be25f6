"""What a person should know of the files, before anything is learnt from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from ..stage.report import Reporter
from .examples.classes import SINGLE, alike_labels
from .parts import Part, Parts
from .request import FinetuneRequest, Material
from .results import SCORED
from .settings import FinetuneSettings
from .tasks.task import Items

_MANY_UNKNOWN = 0.1
_FEW_TOKENS = 50
"""Of fewer one unknown word is many, and tells nothing"""
_RATE_FOR_ALL = 5e-5
"""The greatest rate of the paper's grid"""


def tell_of_files(reporter: Reporter, request: FinetuneRequest, material: Material) -> None:
    """Tell what was guessed, what is left out, and what looks wrong."""
    columns, given = material.columns, request.settings
    train = material.examples["train"]
    named = (given.text_column, given.text_pair_column, given.label_column, *given.choice_column)
    if not set(columns.used) <= set(named):
        unused = [name for name in train.table.columns if name not in columns.used]
        rest = f"; not used: {', '.join(map(repr, unused))}" if unused else ""
        reporter.notice(f"Columns, guessed from their names: {columns}{rest}.")
    if given.problem_type == "auto" and material.kind == "multi_label_classification":
        reporter.notice("Rows have several labels: each label is a question of its own.")
    if scheme := material.known.reads.get("tag_scheme"):
        kept = material.known.config["tag_scheme"]
        as_kept = "" if kept == scheme else f", learnt as {kept}"
        reporter.notice(f"Entities are written as {scheme}{as_kept}.")
    for examples in material.examples.values():
        for news in examples.news:
            reporter.warn(f"{examples.table.path}: {news}")
        if missing := len(examples) - examples.num_labelled:
            reporter.notice(
                f"{examples.table.path}: {missing:,} of {len(examples):,} rows have no label: "
                + ("left out." if examples is train else "predicted, not scored.")
            )
        if examples is not train and (copies := examples.num_also_in(train)):
            reporter.warn(
                f"{examples.table.path}: {copies:,} of {len(examples):,} rows are in the training "
                "file too: their scores tell what was remembered."
            )
    if material.kind == SINGLE:
        for group in alike_labels(material.known.labels):
            reporter.warn(
                f"The labels {', '.join(map(repr, group))} are told apart, each a class. If they "
                "mean the same, write them the same way."
            )
    if "validation" not in material.examples and given.folds is None:
        reporter.notice(
            "No --validation file: the last epoch is taken, and the first seed's model. --folds 5 "
            "would validate on the training rows."
        )
    if given.train_layers in ("head", "none") and given.learning_rate <= _RATE_FOR_ALL:
        reporter.notice(
            f"--learning-rate {given.learning_rate:g} suits the training of all layers; a head "
            "alone learns faster, with 1e-3 or so."
        )
    if material.keeps_head:
        reporter.notice("The model knows these labels already: its head is trained on.")


def tell_of_results(reporter: Reporter, metrics: Mapping[str, Any]) -> None:
    """Warn of a classifier that is right no more often than one that reads nothing."""
    always = metrics["baseline"].get("accuracy", {})
    for name in (name for name in SCORED if name in always and metrics["mean"].get(name)):
        accuracy = metrics["mean"][name]["accuracy"]
        if accuracy <= always[name]:
            reporter.warn(
                f"The model learnt too little: of the {name} rows it gets {accuracy:.1%} right, "
                f"and always saying the commonest label {always[name]:.1%}. Give a higher "
                "--learning-rate (1e-4 to 1e-3 for tiny and mini) or more --epochs."
            )
        return


def tell_of_reading(reporter: Reporter, settings: FinetuneSettings, parts: Parts) -> None:
    """Tell what of the texts is not read as it stands."""
    for part in parts.values():
        _tell_of_part(reporter, settings, part)


def _tell_of_part(reporter: Reporter, settings: FinetuneSettings, part: Part) -> None:
    tell_of_texts(reporter, settings, part.examples.table.path, Counts.of(part.items))


@dataclass(frozen=True)
class Counts:
    """What became of texts when they were encoded."""

    rows: int = 0
    items: int = 0
    windowed: int = 0
    cut: int = 0
    empty: int = 0
    tokens: int = 0
    unknown: float = 0.0
    """Tokens that are `[UNK]`"""

    @classmethod
    def of(cls, items: Items) -> Counts:
        """Count the texts of some items."""
        tokens = len(items.sequences.input_ids)
        return cls(
            items.num_rows,
            len(items),
            items.num_windowed,
            items.num_cut,
            items.num_empty,
            tokens,
            items.unknown_share * tokens,
        )

    def __add__(self, other: Counts) -> Counts:
        """Count both."""
        return Counts(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


def tell_of_texts(
    reporter: Reporter, settings: FinetuneSettings, path: Path, counts: Counts
) -> None:
    """Tell what of some texts is not read as it stands."""
    if counts.windowed:
        reporter.notice(
            f"{path}: {counts.windowed:,} of {counts.rows:,} texts have more than "
            f"{settings.max_seq_length} tokens (--max-seq-length): they are read in windows, "
            f"{counts.items:,} in all."
        )
    if counts.cut:
        what = {"tail": "their beginnings are", "head+tail": "their middles are"}.get(
            settings.long_text, "their ends are"
        )
        reporter.notice(
            f"{path}: {counts.cut:,} of {counts.rows:,} texts have more than "
            f"{settings.max_seq_length} tokens (--max-seq-length): {what} cut off."
        )
    if counts.empty:
        reporter.warn(
            f"{path}: {counts.empty:,} of {counts.rows:,} texts come to no token: "
            "nothing in them but what BERT drops, such as control and zero-width characters."
        )
    if counts.unknown > _MANY_UNKNOWN * max(_FEW_TOKENS, counts.tokens):
        share = counts.unknown / counts.tokens
        reporter.warn(
            f"{path}: {share:.0%} of the tokens are not in the vocabulary. Is it "
            "one for this language?"
        )
