"""Proof of shards from their own rows: each figure counted again, each rule held against each row.

Memory is bounded by two shards, and by the held-out documents.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..stage.report import Progress, Reporter
from . import checks
from .checks import Check
from .claim import Claim
from .documents import Documents, DocumentSet
from .evidence import Evidence, Rules
from .likeness import Likeness
from .rows import Misshapen, blocks_of, expected_columns, open_shard
from .tokens import Tokens, read_tokens

_NAME = re.compile(r"(train|validation)-([0-9]{5})-of-([0-9]{5})\.arrow")
_COUNTED = ("instances", "tokens", "predictions", "masked", "random", "not_next")
"""Figures of the manifest, of training and held-out shards."""
_FEWEST_IN_BIN, _MOST_BINS = 20, 1000


@dataclass
class _Findings:
    """What reading all shards has shown; keys of `sets` are (split, bucket, copy)."""

    evidence: dict[str, Evidence]
    documents: Documents = field(default_factory=Documents)
    sets: dict[tuple[str, int, int], DocumentSet] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    per_copy: defaultdict[int, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    repeats: int = 0
    misshapen: list[Check] = field(default_factory=list)


def prove(claim: Claim, reporter: Reporter) -> Iterator[Check]:
    """Yield what the rows say, rule by rule."""
    tokens, rules = read_tokens(claim.directory), Rules.of(claim.what)
    names = _names(claim)
    yield _check_names(claim, names)
    yield checks.equal("tokens in vocab.txt", len(tokens), claim.statistics["vocab_size"])
    found = _Findings({split: Evidence(tokens, rules) for split in ("train", "validation")})
    total = sum(claim.statistics["rows"].values())
    with reporter.phase("read instances", total=total, unit="instances") as progress:
        # Held-out documents first: no other shard may have one.
        for split in ("validation", "train"):
            _read_split(claim, names[split], split, found, progress)
    yield from found.misshapen
    if not found.misshapen:
        yield from _judge(claim, found)


def _names(claim: Claim) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {"train": [], "validation": []}
    for name in sorted(claim.files):
        if match := _NAME.fullmatch(name):
            names[match[1]].append(name)
    return names


def _check_names(claim: Claim, names: dict[str, list[str]]) -> Check:
    """Check that the shards are numbered without a gap, and that all copies have as many."""
    expected = {
        f"{split}-{number:05d}-of-{len(some):05d}.arrow"
        for split, some in names.items()
        for number in range(len(some))
    }
    found = {name for some in names.values() for name in some}
    whole = found == expected and len(names["train"]) % claim.what["dupe_factor"] == 0
    return Check(
        "shards of every copy",
        f"{len(names['train'])} for {claim.what['dupe_factor']} copies",
        "as many for each" if whole else "numbered from 0, as many for each",
        ok=whole and bool(names["train"]),
    )


def _read_split(
    claim: Claim, names: list[str], split: str, found: _Findings, progress: Progress
) -> None:
    copies = claim.what["dupe_factor"] if split == "train" else 1
    per_copy = len(names) // copies
    # Bucket by bucket: all copies of one are made of the same documents.
    for bucket in range(per_copy):
        before: Likeness | None = None
        for copy in range(copies):
            name = names[copy * per_copy + bucket]
            try:
                likeness = _read_shard(claim, name, split, copy, found, progress)
            except Misshapen as error:
                found.misshapen.append(Check(name, str(error), "documented columns", ok=False))
                continue
            found.sets[split, bucket, copy] = found.documents.close(
                is_held_out=split == "validation"
            )
            found.repeats += likeness.repeats()
            if before is not None:
                found.repeats += likeness.repeats_of(before)
            before = likeness


def _read_shard(
    claim: Claim, name: str, split: str, copy: int, found: _Findings, progress: Progress
) -> Likeness:
    evidence = found.evidence[split]
    shard = open_shard(claim.directory / name)
    _check_schema(claim, evidence, dict(zip(shard.schema.names, shard.schema.types, strict=True)))
    metadata = json.loads((shard.schema.metadata or {}).get(b"bertctl", b"{}"))
    named = {
        "fingerprint": claim.manifest["fingerprint"],
        "vocab_fingerprint": claim.recipe["earlier"]["vocab"],
        "vocab_size": len(evidence.tokens),
        "max_seq_length": evidence.rules.max_seq_length,
        "next_sentence": evidence.rules.next_sentence,
    }
    wrong = [each for each, value in named.items() if metadata.get(each) != value]
    evidence.faults["shards name their recipe"] += bool(wrong)
    parts: list[Likeness] = []
    found.rows[name] = 0
    for rows, misshapen in blocks_of(shard):
        counted = evidence.add(rows, misshapen=misshapen)
        found.rows[name] += len(rows) + misshapen
        if split == "train":
            found.per_copy[copy] += counted
        found.documents.add(rows)
        if len(rows):
            parts.append(
                Likeness.of(
                    rows,
                    num_special=evidence.rules.num_special,
                    whole_words=evidence.rules.whole_words,
                )
            )
        progress.advance(len(rows))
    return Likeness.joined(parts)


def _check_schema(claim: Claim, evidence: Evidence, columns: dict[str, Any]) -> None:
    has_label = evidence.rules.next_sentence != "none"
    expected = expected_columns(len(evidence.tokens), has_label=has_label)
    if columns != expected:
        odd = sorted(
            name for name in {*columns, *expected} if columns.get(name) != expected.get(name)
        )
        raise Misshapen(f"{', '.join(odd)} unlike the documentation")


def _judge(claim: Claim, found: _Findings) -> Iterator[Check]:
    train, validation = (found.evidence[split] for split in ("train", "validation"))
    rules, statistics = train.rules, claim.statistics
    yield from _check_counts(claim, found)
    yield from _check_documents(found, statistics)
    yield from _check_text(found, statistics)
    sums, faults = train.sums + validation.sums, train.faults + validation.faults
    for name in (*train.faults, *found.documents.faults):
        yield checks.none(name, faults[name] + found.documents.faults[name])
    longest = max(train.longest, validation.longest)
    yield Check(
        "longest instance",
        f"{longest:,}",
        f"at most {rules.max_seq_length:,}",
        longest <= rules.max_seq_length,
    )
    yield checks.none("no instance comes twice", found.repeats)
    yield from _check_masks(claim, sums, found)
    yield from _check_labels(claim, sums)


def _check_counts(claim: Claim, found: _Findings) -> Iterator[Check]:
    rows = claim.statistics["rows"]
    odd = [name for name in sorted({*rows, *found.rows}) if rows.get(name) != found.rows.get(name)]
    yield checks.equal("rows of each shard", len(rows) - len(odd), len(rows))
    for name in odd:
        yield checks.equal(f"rows of {name}", found.rows.get(name, 0), rows.get(name, 0))
    for name in _COUNTED:
        sides = [
            (evidence.sums[name], claim.statistics[split].get(name, 0))
            for split, evidence in found.evidence.items()
        ]
        counted, claimed = (
            " + ".join(f"{each:,}" for each in side) for side in zip(*sides, strict=True)
        )
        yield Check(name.replace("_", " "), counted, claimed, counted == claimed)


def _check_documents(found: _Findings, statistics: Any) -> Iterator[Check]:
    copies = {copy for split, _, copy in found.sets if split == "train"}
    buckets = {bucket for split, bucket, _ in found.sets if split == "train"}
    unlike = sum(
        len({found.sets["train", bucket, copy] for copy in copies}) > 1 for bucket in buckets
    )
    yield checks.none("all copies of the same documents", unlike)
    sides = [split for split in ("train", "validation") if statistics[split]]
    dealt = sum(statistics[split].get("documents", 0) for split in sides)
    yield checks.equal("documents dealt to shards", dealt, statistics.get("documents"))
    for split in sides:
        # Parts of a document too long for one shard count in each that has some of it.
        different = sum(
            each.size for (one, _, copy), each in found.sets.items() if (one, copy) == (split, 0)
        )
        words = {"train": "different documents", "validation": "  held out"}[split]
        yield checks.equal(words, different, statistics[split].get("different_documents"))


def _check_text(found: _Findings, statistics: Any) -> Iterator[Check]:
    """Without a random B every token of the corpus is in each copy, or held out, once."""
    train, validation = found.evidence["train"], found.evidence["validation"]
    if train.rules.next_sentence == "random":
        return
    for name, claimed, words in (
        ("text_tokens", "tokens", "text tokens of each copy"),
        ("unknown", "unknown", "unknown tokens of each copy"),
    ):
        expected = statistics[claimed] - validation.sums[name]
        counted = sorted({each[name] for each in found.per_copy.values()})
        shown = " or ".join(f"{each:,}" for each in counted)
        yield Check(words, shown, f"{expected:,}", counted == [expected])


def _check_masks(claim: Claim, sums: Counter[str], found: _Findings) -> Iterator[Check]:
    train, validation = found.evidence["train"], found.evidence["validation"]
    tokens, what = train.tokens, claim.what
    total, squares = sums["predictions"], train.squares + validation.squares
    mask_prob, random_prob = what["mask_token_prob"], what["random_token_prob"]
    originals = train.originals + validation.originals
    # A random word that is the very one that stood there looks as if it were kept.
    seen = random_prob * (
        1 - originals[tokens.is_word].sum() / max(total, 1) / tokens.is_word.sum()
    )
    kept = total - sums["masked"] - sums["random"]
    for name, count, probability in (
        ("predicted: shows [MASK]", sums["masked"], mask_prob),
        ("predicted: shows a random word", sums["random"], seen),
        ("predicted: shows what it was", kept, 1 - mask_prob - seen),
    ):
        yield checks.share(name, count, total, max(probability, 0.0), squares=squares)
    random_words = train.random_words + validation.random_words
    yield _check_uniform(tokens, random_words, (total - originals).astype(np.float64))
    if not train.rules.whole_words:
        deviation = (12 * max(total, 1)) ** -0.5
        place = (train.places + validation.places) / max(total, 1)
        yield checks.mean("predicted: mean place, 0 to 1", place, 0.5, deviation=deviation)


def _check_uniform(tokens: Tokens, counts: Any, weights: Any) -> Check:
    """Check that random words are uniform; `weights`: (V,) how often each could have been seen."""
    counts, weights = counts[tokens.is_word], weights[tokens.is_word]
    bins = min(int(counts.sum()) // _FEWEST_IN_BIN, _MOST_BINS, len(counts))
    if bins < 2:
        return checks.chi_square("random words are uniform", 0.0, 0)
    starts = np.arange(bins) * len(counts) // bins
    found = np.add.reduceat(counts, starts)
    expected = np.add.reduceat(weights, starts)
    expected *= found.sum() / expected.sum()
    statistic = float(((found - expected) ** 2 / expected).sum())
    return checks.chi_square("random words are uniform", statistic, bins - 1)


def _check_labels(claim: Claim, sums: Counter[str]) -> Iterator[Check]:
    """Half of the labels are 1, those aside that had to be and could not be made up for."""
    mode = claim.what["next_sentence"]
    if mode == "none":
        return
    forced = sum(claim.statistics[each].get("unpaired", 0) for each in ("train", "validation"))
    name = {"random": "pairs with a random B", "order": "pairs that are swapped"}[mode]
    aside = f" beside {forced:,} that must" if forced else ""
    yield checks.share(name + aside, sums["not_next"] - forced, sums["instances"], 0.5)
