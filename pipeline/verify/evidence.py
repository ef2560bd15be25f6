"""What the rows of shards add up to, and how many of them break a rule: one rule, one count.

Shapes: R instances, P predictions of a block of rows; V tokens of the vocabulary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .rows import Flags, Ints, Rows
from .tokens import Tokens


@dataclass(frozen=True)
class Rules:
    """The settings of a recipe that rows are held against."""

    max_seq_length: int
    masked_lm_prob: float
    max_predictions_per_seq: int | None
    whole_words: bool
    next_sentence: str

    @classmethod
    def of(cls, what: Mapping[str, Any]) -> Rules:
        """Read them."""
        most = what["max_predictions_per_seq"]
        return cls(
            max_seq_length=what["max_seq_length"],
            masked_lm_prob=what["masked_lm_prob"],
            max_predictions_per_seq=None if most == "auto" else most,
            whole_words=what["whole_word_mask"],
            next_sentence=what["next_sentence"],
        )

    @property
    def num_special(self) -> int:
        """[CLS], and a [SEP] after each segment."""
        return 2 if self.next_sentence == "none" else 3

    def wanted(self, lengths: Ints) -> Ints:
        """Return max(1, round(prob · length)), no more than may be predicted or the cap."""
        wanted = np.maximum(1, np.rint(self.masked_lm_prob * lengths)).astype(np.int64)
        wanted = np.minimum(wanted, lengths - self.num_special)
        most = self.max_predictions_per_seq
        return wanted if most is None else np.minimum(wanted, most)


@dataclass
class Evidence:
    """Sums over blocks of rows; `faults` counts broken rules by what the rule says.

    `originals`, `random_words`: (V,) how often each token was to be predicted, and was shown as a
    random word. `squares`: of the sizes of runs of adjacent predictions, which may be one word;
    `places`: of every prediction, from 0 at the first token that may be predicted to 1.
    """

    tokens: Tokens
    rules: Rules
    sums: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    squares: int = 0
    places: float = 0.0
    longest: int = 0

    def __post_init__(self) -> None:
        self.originals = np.zeros(len(self.tokens), np.int64)
        self.random_words = np.zeros(len(self.tokens), np.int64)

    def add(self, rows: Rows, *, misshapen: int) -> Counter[str]:
        """Take a block of rows into account; return its own sums."""
        self.faults["lists fit each other"] += misshapen
        beyond = (rows.ids >= len(self.tokens)).sum() + (rows.originals >= len(self.tokens)).sum()
        self.faults["ids below the vocabulary's size"] += int(beyond)
        if beyond or not len(rows):
            return Counter()
        self.longest = max(self.longest, int(rows.lengths.max()))
        self._frame(rows)
        self._predictions(rows)
        shown, original = rows.ids[rows.places], rows.originals
        masked, same = shown == self.tokens.mask_id, shown == original
        random = shown[~masked & ~same]
        self.faults["random words are words"] += int((~self.tokens.is_word[random]).sum())
        self.originals += np.bincount(original, minlength=len(self.tokens))
        self.random_words += np.bincount(random, minlength=len(self.tokens))
        if self.rules.whole_words:
            self._words(rows, masked)
        unknown = (rows.restored == self.tokens.unk_id).sum()
        sums = {
            "instances": len(rows),
            "tokens": len(rows.ids),
            "predictions": len(original),
            "masked": masked.sum(),
            "random": len(random),
            "not_next": 0 if rows.labels is None else rows.labels.sum(),
            "text_tokens": len(rows.ids) - self.rules.num_special * len(rows),
            "unknown": unknown,
        }
        counted = Counter({name: int(value) for name, value in sums.items()})
        self.sums += counted
        return counted

    def _frame(self, rows: Rows) -> None:
        """`[CLS] A [SEP] B [SEP]`, or `[CLS] A [SEP]`, and nothing but text between them."""
        ids, first, last = rows.restored, rows.starts, rows.ends - 1
        middle = first + rows.a_lengths - 1
        pair = self.rules.next_sentence != "none"
        framed = (ids[first] == self.tokens.cls_id) & (ids[last] == self.tokens.sep_id)
        framed &= (ids[middle] == self.tokens.sep_id) & ((middle < last) == pair)
        self.faults["[CLS] and [SEP] where they belong"] += int((~framed).sum())
        inside = np.ones(len(ids), bool)
        inside[np.concatenate((first, middle, last))] = False
        self.faults["decodes to text"] += int((~self.tokens.is_text[ids[inside]]).sum())
        if self.rules.next_sentence == "random":
            empty = (rows.a_lengths < 3) | (rows.lengths - rows.a_lengths < 2)
            self.faults["A and B hold text"] += int(empty.sum())
        if rows.labels is None:
            unlike = rows.document_a != rows.document_b
        elif self.rules.next_sentence == "order":
            self.faults["labels are 0 or 1"] += int((rows.labels > 1).sum())
            unlike = rows.document_a != rows.document_b
        else:
            self.faults["labels are 0 or 1"] += int((rows.labels > 1).sum())
            unlike = (rows.document_a != rows.document_b) != (rows.labels == 1)
        self.faults["documents of A and B as labelled"] += int(unlike.sum())

    def _predictions(self, rows: Rows) -> None:
        positions, owner = rows.positions, rows.prediction_rows
        step = np.diff(positions, prepend=-1)
        begins = np.diff(owner, prepend=-1) > 0
        self.faults["positions ascend"] += int((~begins & (step <= 0)).sum())
        special = (positions == 0) | (positions == rows.a_lengths[owner] - 1)
        special |= positions == rows.lengths[owner] - 1
        special |= ~self.tokens.is_text[rows.originals]
        self.faults["no special token is predicted"] += int(special.sum())
        runs = np.flatnonzero(begins | (step != 1))
        sizes = np.diff(runs, append=len(positions))
        self.squares += int((sizes**2).sum()) if self.rules.whole_words else len(positions)
        wanted, found = self.rules.wanted(rows.lengths), rows.num_predictions
        wrong = found != wanted
        if self.rules.whole_words:
            # Fewer where no word fits; more only in a single word that is longer than all of it.
            one_run = np.bincount(owner[runs], minlength=len(rows)) == 1
            wrong = (found > wanted) & ~one_run
        self.faults["predictions per instance"] += int(wrong.sum())
        candidates = rows.lengths - self.rules.num_special
        rank = positions - 1 - (positions >= rows.a_lengths[owner])
        self.places += float(((rank + 0.5) / np.maximum(candidates, 1)[owner]).sum())

    def _words(self, rows: Rows, masked: Flags) -> None:
        """Count words, as far as `##` tells them, of which a part is treated unlike the rest."""
        continues = self.tokens.continues[rows.restored]
        for place in (rows.starts, rows.starts + 1, rows.starts + rows.a_lengths):
            continues[np.minimum(place, rows.ends - 1)] = False
        word = np.cumsum(~continues) - 1
        fate = np.zeros(len(continues), np.int64)
        fate[rows.places] = 1 + masked
        starts = np.flatnonzero(~continues)
        mixed = np.minimum.reduceat(fate, starts) != np.maximum.reduceat(fate, starts)
        if self.rules.max_predictions_per_seq is not None:
            # Of a word longer than the cap only the first pieces are predicted.
            mixed &= np.bincount(word, minlength=len(starts)) <= self.rules.max_predictions_per_seq
        self.faults["words are treated whole"] += int(mixed.sum())
