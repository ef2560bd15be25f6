from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from bertctl.pipeline.finetune.examples.examples import Examples, Known
from bertctl.pipeline.finetune.examples.texts import TextRow
from bertctl.pipeline.finetune.reading.rows import Table
from bertctl.pipeline.finetune.settings import FinetuneSettings
from bertctl.pipeline.finetune.tasks.numbers import numbers
from bertctl.pipeline.finetune.tasks.sequences import longest_first
from bertctl.pipeline.finetune.tasks.task import Items
from bertctl.pipeline.finetune.tasks.texts import encode_texts
from bertctl.pipeline.wordpiece.encode import WordPieceEncoder
from bertctl.pipeline.wordpiece.vocabulary import Normalization

from .finetune_toys import VOCABULARY, write_vocabulary

TEXTS = [
    "The red cat sat on an old dog.",
    "Blue?",
    "green green, we'll say",
    "a big, big tree in the wind 我 and you",
    "of",
]
PAIRS = [
    "on",
    "was it the dog or the cat or the tree or the wind or you",
    "a red sky",
    "the wind was in the big old tree with you and an old cat",
    "xyzzy blue",
]


def encode(
    encoder: WordPieceEncoder,
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    *,
    max_seq_length: int,
    **settings: Any,
) -> Items:
    rows = [TextRow(*each, None) for each in zip(texts, pairs or [None] * len(texts), strict=True)]
    examples = Examples(Table(Path("some.csv"), "", {"": texts}, []), rows, range(len(rows)))
    targets = np.arange(len(rows))
    asked = FinetuneSettings(max_seq_length=max_seq_length, **settings)
    return encode_texts(encoder, examples, targets, asked)


@pytest.fixture(scope="module")
def encoder() -> WordPieceEncoder:
    return WordPieceEncoder(VOCABULARY, Normalization())


# Of an odd number of tokens BERT gives A one more, transformers the longer text: only even ones.
@pytest.mark.parametrize("max_seq_length", [9, 13, 41])
@pytest.mark.parametrize("pairs", [None, PAIRS])
def test_ids_and_segments_are_those_of_transformers_cut_longest_first(
    tmp_path: Path, encoder: WordPieceEncoder, pairs: list[str] | None, max_seq_length: int
) -> None:
    reference = AutoTokenizer.from_pretrained(write_vocabulary(tmp_path))
    expected = reference(TEXTS, pairs, truncation="longest_first", max_length=max_seq_length)
    whole = reference(TEXTS, pairs)
    found = encode(encoder, TEXTS, pairs, max_seq_length=max_seq_length)
    for row in range(len(TEXTS)):
        ids, lengths, segment_a_lengths = found.sequences.rows(np.array([row]))
        assert ids.tolist() == expected["input_ids"][row]
        assert len(ids) == lengths[0]
        types = [int(position >= segment_a_lengths[0]) for position in range(len(ids))]
        assert types == expected["token_type_ids"][row]
    cut = sum(len(each) > max_seq_length for each in whole["input_ids"])
    assert found.num_cut == cut


def test_gathered_rows_come_in_the_order_asked_for(encoder: WordPieceEncoder) -> None:
    sequences = encode(encoder, TEXTS, None, max_seq_length=11).sequences
    together, lengths, _ = sequences.rows(np.array([3, 0, 3, 1]))
    single = [sequences.rows(np.array([row]))[0] for row in (3, 0, 3, 1)]
    assert together.tolist() == np.concatenate(single).tolist()
    assert lengths.tolist() == [len(each) for each in single]
    assert together.dtype == np.int64


def test_special_token_in_a_text_is_ordinary_text(encoder: WordPieceEncoder) -> None:
    items = encode(encoder, ["[SEP] red"], None, max_seq_length=20)
    ids, _, _ = items.sequences.rows(np.array([0]))
    assert ids.tolist().count(VOCABULARY.sep_id) == 1


def test_share_of_unknown_tokens_is_of_the_text(encoder: WordPieceEncoder) -> None:
    items = encode(encoder, ["red é 你", "sky"], None, max_seq_length=20)
    # é loses its accent; only the character 你 is in no vocabulary.
    assert items.unknown_share == pytest.approx(1 / 4)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(5, 33))
def test_longest_first_is_taking_one_token_after_another(a: int, b: int, most: int) -> None:
    kept_a, kept_b = longest_first(np.array([a]), np.array([b]), most)
    while a + b > most:
        if a > b:
            a -= 1
        else:
            b -= 1
    assert (kept_a.tolist(), kept_b.tolist()) == ([a], [b])


def test_numbers_to_learn_are_in_float32_which_every_device_knows(
    encoder: WordPieceEncoder,
) -> None:
    rows = [TextRow(text, None, float(label)) for label, text in enumerate(TEXTS)]
    examples = Examples(Table(Path("some.csv"), "", {"": TEXTS}, []), rows, range(len(rows)))
    known = Known((), {"label_mean": 2.3, "label_sd": 1.7})
    targets = numbers(known, FinetuneSettings(), examples).encode(encoder, examples).targets
    assert targets.dtype == np.float32
    np.testing.assert_array_equal(targets, ((np.arange(5) - 2.3) / 1.7).astype(np.float32))
