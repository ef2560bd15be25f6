"""Proof of a vocabulary: its files name the same tokens, and do on held-out words what is claimed.

The words are cut by the `tokenizers` library, from `tokenizer.json` as anybody would load it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer

from ..stage.report import Reporter
from . import checks
from .checks import Check
from .claim import Claim, Untold

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_ALIKE = 1e-9
"""Shares are written as float64."""


def prove(claim: Claim, reporter: Reporter) -> Iterator[Check]:
    """Yield what the vocabulary's files say."""
    text = (claim.directory / "vocab.txt").read_text(encoding="utf-8")
    tokens = text.removesuffix("\n").split("\n")
    what, statistics = claim.what, claim.statistics
    yield checks.equal("tokens", len(tokens), statistics["vocab_size"])
    yield checks.equal("different tokens", len(set(tokens)), len(tokens))
    special = (*_SPECIAL, *what["special_token"])
    yield checks.equal("special tokens", sum(each in tokens for each in special), len(special))
    yield Check("id 0", tokens[0], "[PAD]", tokens[0] == "[PAD]")
    file = claim.directory / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(file))
    ids = tokenizer.get_vocab()
    yield checks.equal(
        "tokens with the same id in tokenizer.json",
        sum(ids.get(token) == number for number, token in enumerate(tokens)),
        len(ids),
    )
    normalizer = json.loads(file.read_text(encoding="utf-8"))["normalizer"]
    for name in ("lowercase", "strip_accents"):
        found, expected = normalizer[name], what[name]
        yield Check(f"tokenizer.json: {name}", str(found), str(expected), found == expected)
    if statistics["held_out"] is not None:
        if "held_out.arrow" not in claim.files:
            raise Untold("held_out.arrow")
        yield from _held_out(claim, tokenizer, statistics["held_out"], reporter)


def _held_out(
    claim: Claim, tokenizer: Tokenizer, claimed: dict[str, Any], reporter: Reporter
) -> Iterator[Check]:
    words = pieces = unknown_words = characters = unknown_characters = 0
    unk_id = tokenizer.token_to_id("[UNK]")
    with (
        pa.memory_map(str(claim.directory / "held_out.arrow")) as source,
        reporter.phase("held-out words", total=None, unit="words") as progress,
    ):
        file = pa.ipc.open_file(source)
        for number in range(file.num_record_batches):
            batch = file.get_batch(number)
            texts, counts = batch["word"].to_pylist(), batch["count"].to_numpy()
            encoded = tokenizer.encode_batch(texts, add_special_tokens=False)
            unknown = np.array([unk_id in each.ids for each in encoded], bool)
            lengths = np.array([len(each) for each in texts], np.int64)
            words += int(counts.sum())
            pieces += int(counts @ np.array([len(each.ids) for each in encoded], np.int64))
            unknown_words += int(counts[unknown].sum())
            characters += int(counts @ lengths)
            unknown_characters += int((counts * lengths)[unknown].sum())
            progress.advance(len(texts))
    yield checks.equal("held-out words", words, claimed["words"])
    for name, found in (
        ("fertility", pieces / words),
        ("unknown_rate", unknown_words / words),
        ("coverage", 1 - unknown_characters / characters),
    ):
        ok = abs(found - claimed[name]) < _ALIKE
        words_of_it = f"held-out {name.replace('_', ' ')}"
        yield Check(words_of_it, f"{found:.6f}", f"{claimed[name]:.6f}", ok)
