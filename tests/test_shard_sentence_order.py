from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertctl.pipeline.randomness import KeyedRandom
from bertctl.pipeline.shard.segments import Pairs
from bertctl.pipeline.shard.sentence_order import draw_ordered_pairs
from bertctl.pipeline.shard.settings import InstanceSettings
from bertctl.pipeline.shard.tokens import TokenisedDocuments

from .shard_files import document_of, make_documents

SETTINGS = InstanceSettings(max_seq_length=43, next_sentence="order")


def draw(documents: TokenisedDocuments, settings: InstanceSettings = SETTINGS) -> Pairs:
    return draw_ordered_pairs(documents, settings, KeyedRandom(1, "pairs"))


def in_text_order(pairs: Pairs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where each pair's text begins, where its second segment does, and where that ends."""
    assert pairs.not_next is not None
    start = np.where(pairs.not_next, pairs.b_start, pairs.a_start)
    cut = np.where(pairs.not_next, pairs.a_start, pairs.b_start)
    return start, cut, start + pairs.a_length + pairs.b_length


def one_document(lengths: list[int], *, continues: np.ndarray | None = None) -> TokenisedDocuments:
    total = sum(lengths)
    return TokenisedDocuments(
        ids=np.arange(total, dtype=np.uint16),
        sentence_ends=np.cumsum(lengths),
        document_ends=np.array([len(lengths)]),
        identities=np.array([7], np.uint64),
        parts=np.zeros(1, np.uint32),
        digests=np.zeros(1, np.uint64),
        continues=np.zeros(total, bool) if continues is None else continues,
    )


@pytest.mark.parametrize("sentences", [1, 9])
@pytest.mark.parametrize("max_seq_length", [8, 43, 500])
def test_every_token_of_every_document_is_in_exactly_one_pair(
    sentences: int, max_seq_length: int
) -> None:
    documents = make_documents(documents=60, sentences=sentences, with_words=True)
    pairs = draw(documents, replace(SETTINGS, max_seq_length=max_seq_length, short_seq_prob=0.3))
    start, _, stop = in_text_order(pairs)
    assert start[0] == 0
    assert (start[1:] == stop[:-1]).all()
    assert stop[-1] == len(documents.ids)
    assert (document_of(documents, start) == document_of(documents, stop - 1)).all()
    assert pairs.lengths.max() <= max_seq_length


def test_second_segment_directly_follows_the_first_or_precedes_it_where_the_label_says_so() -> None:
    pairs = draw(make_documents(documents=200, with_words=True))
    assert pairs.not_next is not None
    a_end, b_end = pairs.a_start + pairs.a_length, pairs.b_start + pairs.b_length
    assert (a_end == pairs.b_start)[~pairs.not_next].all()
    assert (b_end == pairs.a_start)[pairs.not_next].all()
    assert (pairs.document_a == pairs.document_b).all()
    assert min(pairs.not_next.sum(), (~pairs.not_next).sum()) > 100


def test_half_of_the_pairs_are_swapped_whatever_their_length() -> None:
    pairs = draw(make_documents(documents=3000, with_words=True))
    assert pairs.not_next is not None
    for some in (pairs.lengths < 30, pairs.lengths >= 30):
        swapped = pairs.not_next[some]
        assert len(swapped) > 1000
        assert abs(swapped.mean() - 0.5) < 4 * 0.5 / np.sqrt(len(swapped))


def test_segments_are_whole_sentences_wherever_two_fit() -> None:
    documents = make_documents(documents=300, sentences=9, with_words=True)
    pairs = draw(documents, replace(SETTINGS, max_seq_length=103, short_seq_prob=0.2))
    _, cut, _ = in_text_order(pairs)
    borders = np.isin(cut, documents.sentence_ends)
    num_sentences = np.diff(documents.document_ends, prepend=0)
    alone = num_sentences[document_of(documents, cut)] == 1
    assert alone.any()
    # Sentences have at most 24 tokens, so three fit and only a document's only one stands alone.
    assert (borders | alone).all()


def test_sentence_that_would_be_left_alone_comes_along_or_gets_company() -> None:
    settings = replace(SETTINGS, max_seq_length=43, short_seq_prob=0)
    for lengths in ([15, 15, 10], [10, 10, 10, 15], [18, 20, 17, 19, 20]):
        _, cut, _ = in_text_order(draw(one_document(lengths), settings))
        if lengths[-1] < 20:
            assert set(cut.tolist()) <= set(np.cumsum(lengths).tolist())
        else:
            # Two and two fit, three don't: one of five has to be cut.
            assert (~np.isin(cut, np.cumsum(lengths))).sum() == 1


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=19), st.integers(0, 2**32))
def test_only_sentence_of_a_document_is_cut_between_words(continues: list[bool], seed: int) -> None:
    flags = np.array([False, *continues])
    documents = one_document([len(flags)], continues=flags)
    pairs = draw_ordered_pairs(documents, SETTINGS, KeyedRandom(seed))
    ((start,), (cut,), (stop,)) = in_text_order(pairs)
    assert (start, stop) == (0, len(flags))
    assert start < cut < stop
    assert not flags[cut] or flags[1:].all(), "there was a word's beginning to cut at"


def test_only_sentence_is_cut_between_any_two_words_equally() -> None:
    words = np.array([False, True, False, True, True, False, False])
    documents = one_document([7], continues=words)
    cuts = [
        int(in_text_order(draw_ordered_pairs(documents, SETTINGS, KeyedRandom(seed)))[1][0])
        for seed in range(900)
    ]
    counts = np.bincount(cuts, minlength=7)
    assert counts[[2, 5, 6]].sum() == 900
    assert (np.abs(counts[[2, 5, 6]] - 300) < 4.5 * np.sqrt(200)).all()


def test_document_of_one_token_is_kept_beside_an_empty_segment() -> None:
    pairs = draw(one_document([1]))
    assert sorted([*pairs.a_length, *pairs.b_length]) == [0, 1]
    assert pairs.lengths.tolist() == [4]


def test_copies_are_cut_and_swapped_differently() -> None:
    documents = make_documents(documents=200, with_words=True)
    first, second = (
        draw_ordered_pairs(documents, SETTINGS, KeyedRandom(1, "pairs", copy)) for copy in (0, 1)
    )
    seen = [
        set(zip(each.a_start.tolist(), each.a_length.tolist(), strict=True))
        for each in (first, second)
    ]
    assert len(seen[0] & seen[1]) < 0.5 * len(seen[0])


def test_nothing_makes_nothing() -> None:
    nothing = make_documents(documents=5, with_words=True).reordered(np.arange(0))
    assert len(draw(nothing)) == 0
