from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest

from bertctl.pipeline.randomness import KeyedRandom
from bertctl.pipeline.shard.holding_out import Split
from bertctl.pipeline.shard.pairs import draw_pairs
from bertctl.pipeline.shard.segments import Pairs
from bertctl.pipeline.shard.settings import InstanceSettings
from bertctl.pipeline.shard.tokens import (
    TokenisedDocuments,
    documents_in,
    gathered,
    open_tokenised,
    rows_between,
)

from .shard_files import document_of, make_documents

SETTINGS = InstanceSettings(max_seq_length=40)


def assert_uniform(counts: npt.NDArray[np.int64], *, most: float) -> None:
    """`most`: what chi-square exceeds once in a thousand times, of one degree less than counts."""
    expected = counts.mean()
    assert ((counts - expected) ** 2 / expected).sum() < most


def test_every_sentence_is_paired_exactly_once_per_copy() -> None:
    documents = make_documents(documents=60)
    generous = InstanceSettings(max_seq_length=500, short_seq_prob=0.3)
    pairs = draw_pairs(documents, generous, KeyedRandom(1, "pairs"))
    uses = np.zeros(len(documents.ids), int)
    for start, length in zip(pairs.a_start, pairs.a_length, strict=True):
        uses[start : start + length] += 1
    for start, length in zip(
        pairs.b_start[~pairs.not_next], pairs.b_length[~pairs.not_next], strict=True
    ):
        uses[start : start + length] += 1
    assert (uses == 1).all()


def test_random_segment_never_comes_from_the_same_document_or_its_copy() -> None:
    documents = make_documents(documents=50)
    documents.identities[10:30] = documents.identities[10]
    pairs = draw_pairs(documents, SETTINGS, KeyedRandom(1, "pairs"))
    assert (pairs.document_a[pairs.not_next] != pairs.document_b[pairs.not_next]).all()
    assert (pairs.document_a[~pairs.not_next] == pairs.document_b[~pairs.not_next]).all()
    b_document = document_of(documents, pairs.b_start)
    assert (documents.identities[b_document] == pairs.document_b).all()


def test_random_segment_comes_from_every_other_document_equally() -> None:
    documents = make_documents(documents=11, sentences=400)
    pairs = draw_pairs(documents, SETTINGS, KeyedRandom(1, "pairs"))
    from_first = pairs.not_next & (pairs.document_a == documents.identities[0])
    drawn = document_of(documents, pairs.b_start[from_first])
    counts = np.bincount(drawn, minlength=11)
    assert counts[0] == 0
    assert_uniform(counts[1:], most=27.9)


def test_next_segment_directly_follows_its_first() -> None:
    documents = make_documents(documents=40)
    generous = InstanceSettings(max_seq_length=500)
    pairs = draw_pairs(documents, generous, KeyedRandom(1, "pairs"))
    follows = pairs.a_start + pairs.a_length == pairs.b_start
    assert follows[~pairs.not_next].all()
    assert (~pairs.not_next).sum() > 10


def test_pairs_are_balanced_although_documents_end() -> None:
    documents = make_documents(documents=3000, sentences=9)
    pairs = draw_pairs(documents, SETTINGS, KeyedRandom(1, "pairs"))
    sigma = 0.5 / np.sqrt(len(pairs))
    assert abs(pairs.not_next.mean() - 0.5) < 4 * sigma
    assert pairs.unpaired < 10


def test_pairs_fit_and_are_as_long_as_they_can_be() -> None:
    documents = make_documents(documents=300, sentences=40)
    settings = InstanceSettings(max_seq_length=40, short_seq_prob=0)
    pairs = draw_pairs(documents, settings, KeyedRandom(1, "pairs"))
    assert pairs.lengths.max() == 40
    assert (pairs.a_length >= 1).all()
    assert (pairs.b_length >= 1).all()
    assert np.median(pairs.lengths) == 40


def one_token_sentences(*document_ends: int) -> TokenisedDocuments:
    """Sentences that fill any target exactly."""
    number = document_ends[-1]
    return TokenisedDocuments(
        ids=np.zeros(number, np.uint16),
        sentence_ends=np.arange(1, number + 1),
        document_ends=np.array(document_ends),
        identities=np.arange(1, len(document_ends) + 1, dtype=np.uint64),
        parts=np.zeros(len(document_ends), np.uint32),
        digests=np.zeros(len(document_ends), np.uint64),
    )


def test_first_segment_has_any_number_of_its_sentences_equally_often() -> None:
    settings = InstanceSettings(max_seq_length=23, short_seq_prob=0)
    pairs = draw_pairs(one_token_sentences(50_000, 100_000), settings, KeyedRandom(1, "pairs"))
    counts = np.bincount(pairs.a_length[pairs.lengths == 23], minlength=20)
    # Of 20 sentences 1 to 19 are A's.
    assert counts[0] == 0
    assert len(counts) == 20
    assert_uniform(counts[1:], most=42.3)


def test_short_targets_are_any_number_of_tokens_from_two_on() -> None:
    settings = InstanceSettings(max_seq_length=23, short_seq_prob=1)
    pairs = draw_pairs(one_token_sentences(50_000, 100_000), settings, KeyedRandom(1, "pairs"))
    counts = np.bincount(pairs.lengths - pairs.num_special_tokens, minlength=21)
    assert counts[:2].tolist() == [0, 0]
    assert len(counts) == 21
    assert_uniform(counts[2:], most=42.3)


def test_documents_of_a_sentence_or_two_give_no_empty_segment_and_stay_in_balance() -> None:
    documents = make_documents(documents=4000, sentences=2)
    pairs = draw_pairs(documents, SETTINGS, KeyedRandom(1, "pairs"))
    assert (pairs.a_length >= 1).all()
    assert (pairs.b_length >= 1).all()
    follows = pairs.a_start + pairs.a_length <= pairs.b_start
    assert follows[~pairs.not_next].all()
    assert pairs.not_next.sum() - pairs.unpaired <= len(pairs) // 2 + 4 * np.sqrt(len(pairs) / 4)


def test_short_instances_appear_with_their_probability() -> None:
    documents = one_token_sentences(50_000, 100_000)
    settings = InstanceSettings(max_seq_length=43, short_seq_prob=0.25)
    pairs = draw_pairs(documents, settings, KeyedRandom(1, "pairs"))
    # A target is uniform over 2 … 40, both included: 38 of 39 are short of the greatest.
    expected = 0.25 * 38 / 39
    sigma = np.sqrt(expected * (1 - expected) / len(pairs))
    assert abs((pairs.lengths < 43).mean() - expected) < 4 * sigma
    assert pairs.lengths.min() == 2 + pairs.num_special_tokens


def test_truncation_takes_from_either_end_of_the_longer_segment() -> None:
    documents = make_documents(documents=400, sentences=30)
    pairs = draw_pairs(documents, InstanceSettings(max_seq_length=12), KeyedRandom(1, "pairs"))
    assert (pairs.lengths <= 12).all()
    starts = np.concatenate(([0], documents.sentence_ends))
    at_start = np.isin(pairs.a_start, starts)
    at_end = np.isin(pairs.a_start + pairs.a_length, starts)
    assert 0.2 < at_start.mean() < 0.95
    assert 0.2 < at_end.mean() < 0.95


def test_sentence_longer_than_an_instance_is_cut_not_lost() -> None:
    documents = TokenisedDocuments(
        ids=np.arange(1000, dtype=np.uint16),
        sentence_ends=np.array([700, 705, 1000]),
        document_ends=np.array([2, 3]),
        identities=np.array([7, 9], np.uint64),
        parts=np.zeros(2, np.uint32),
        digests=np.zeros(2, np.uint64),
    )
    settings = InstanceSettings(max_seq_length=40, short_seq_prob=0)
    pairs = draw_pairs(documents, settings, KeyedRandom(1, "pairs"))
    assert len(pairs) > 15


def test_only_the_bucket_s_own_documents_are_paired_up() -> None:
    documents = make_documents(documents=9)
    pairs = draw_pairs(documents, SETTINGS, KeyedRandom(1, "pairs"), num_documents=4)
    assert set(pairs.document_a.tolist()) == set(documents.identities[:4].tolist())
    assert set(pairs.document_b.tolist()) - set(pairs.document_a.tolist())


@pytest.mark.parametrize("length", [8, 40])
def test_no_documents_make_no_pairs(length: int) -> None:
    nothing = make_documents(documents=5).reordered(np.arange(0))
    pairs = draw_pairs(nothing, InstanceSettings(max_seq_length=length), KeyedRandom(1))
    assert isinstance(pairs, Pairs)
    assert len(pairs) == 0


def test_tokenised_documents_come_back_from_their_file_by_ranges_of_keys(tmp_path) -> None:
    documents = make_documents(documents=50)
    documents.parts[7] = 3
    documents.write(tmp_path / "piece.arrow", seed=5)
    batch = open_tokenised(tmp_path / "piece.arrow")
    bounds = [0, 2**62, 2**63, 2**63 + 2**62, 2**64]
    split = Split(int(np.sort(documents.validation_keys(5))[9]) + 1)
    found = [
        documents_in(rows, split.is_held_out(rows) == held_out)
        for first, last in pairwise(bounds)
        for rows in (rows_between(batch, first, last - 1),)
        for held_out in (False, True)
    ]
    assert sum(len(each) for each in found[1::2]) == 10
    together = gathered(found)
    assert (together.ids == documents.ids).all()
    assert (together.sentence_ends == documents.sentence_ends).all()
    assert (together.document_ends == documents.document_ends).all()
    assert (together.identities == documents.identities).all()
    assert (together.parts == documents.parts).all()
    assert min(len(each) for each in found[::2]) > 0
