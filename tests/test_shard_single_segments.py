from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertctl.pipeline.randomness import KeyedRandom
from bertctl.pipeline.shard.segments import with_short_sentences
from bertctl.pipeline.shard.settings import InstanceSettings
from bertctl.pipeline.shard.single_segments import draw_single_segments

from .shard_files import document_of, make_documents

SETTINGS = InstanceSettings(max_seq_length=43, next_sentence="none")


@pytest.mark.parametrize("sentences", [1, 9])
@pytest.mark.parametrize("max_seq_length", [8, 43, 500])
def test_every_token_of_every_document_is_in_exactly_one_segment(
    sentences: int, max_seq_length: int
) -> None:
    documents = make_documents(documents=60, sentences=sentences, with_words=True)
    settings = replace(SETTINGS, max_seq_length=max_seq_length, short_seq_prob=0.3)
    segments = draw_single_segments(documents, settings, KeyedRandom(1, "pairs"))
    stop = segments.a_start + segments.a_length
    assert segments.a_start[0] == 0
    assert (segments.a_start[1:] == stop[:-1]).all()
    assert stop[-1] == len(documents.ids)
    first = document_of(documents, segments.a_start)
    assert (first == document_of(documents, stop - 1)).all(), "one document each"
    assert (documents.identities[first] == segments.document_a).all()
    assert (segments.lengths == segments.a_length + 2).all()
    assert segments.lengths.max() <= max_seq_length
    assert segments.not_next is None


def test_segments_are_full_but_for_words_and_a_document_s_last() -> None:
    documents = make_documents(documents=100, sentences=30, with_words=True)
    settings = replace(SETTINGS, short_seq_prob=0)
    segments = draw_single_segments(documents, settings, KeyedRandom(1, "pairs"))
    assert documents.continues is not None
    stop = segments.a_start + segments.a_length
    goes_on = ~np.isin(stop, documents.token_ends)
    assert not documents.continues[stop[goes_on]].any(), "cut between words"
    for first, last in zip(segments.a_start[goes_on], stop[goes_on], strict=True):
        assert documents.continues[last + 1 : first + 42].all(), "no other word would fit"
    assert np.median(segments.a_length) == 41


def test_word_longer_than_an_instance_is_cut_not_lost() -> None:
    documents = replace(
        make_documents(documents=1, with_words=True),
        ids=np.arange(100, dtype=np.uint16),
        sentence_ends=np.array([100]),
        document_ends=np.array([1]),
        continues=np.arange(100) > 3,
    )
    settings = replace(SETTINGS, short_seq_prob=0)
    segments = draw_single_segments(documents, settings, KeyedRandom(1, "pairs"))
    assert segments.a_length.tolist() == [3, 41, 41, 15]


def test_short_segments_appear_with_their_probability() -> None:
    documents = make_documents(documents=2, sentences=9000, with_words=True)
    documents = replace(documents, continues=np.zeros(len(documents.ids), bool))
    settings = replace(SETTINGS, short_seq_prob=0.25)
    segments = draw_single_segments(documents, settings, KeyedRandom(1, "pairs"))
    # A target is uniform over 2 … 41, both included: 39 of 40 are short of the greatest.
    expected = 0.25 * 39 / 40
    sigma = np.sqrt(expected * (1 - expected) / len(segments))
    assert len(segments) > 3000
    assert abs((segments.lengths < 43).mean() - expected) < 4 * sigma
    assert segments.a_length[:-1].min() == 2


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 90), st.booleans()), min_size=1, max_size=9),
    st.integers(2, 40),
    st.integers(0, 2**32),
)
def test_long_sentences_are_cut_between_words_and_nothing_else_is(
    sentences: list[tuple[int, bool]], longest: int, seed: int
) -> None:
    lengths, ends_document = zip(*sentences, strict=True)
    total = sum(lengths)
    continues = np.random.default_rng(seed).random(total) < 0.4
    before = replace(
        make_documents(documents=1),
        ids=np.arange(total, dtype=np.uint32),
        sentence_ends=np.cumsum(lengths),
        document_ends=np.append(np.flatnonzero(ends_document[:-1]) + 1, len(lengths)),
        continues=continues,
    )
    after = with_short_sentences(before, longest)
    starts = np.concatenate(([0], after.sentence_ends[:-1]))
    assert (after.sentence_ends - starts).max() <= longest
    assert (after.sentence_ends > starts).all()
    assert set(before.sentence_ends.tolist()) <= set(after.sentence_ends.tolist())
    for old, new in ((before.document_ends, before), (after.document_ends, after)):
        assert (new.sentence_ends[old - 1] == before.sentence_ends[before.document_ends - 1]).all()
    short = np.flatnonzero(np.array(lengths) <= longest)
    whole = before.sentence_ends[short] - np.array(lengths)[short]
    for start, end in zip(whole, before.sentence_ends[short], strict=True):
        assert not ((after.sentence_ends > start) & (after.sentence_ends < end)).any()
    made = after.sentence_ends[~np.isin(after.sentence_ends, before.sentence_ends)]
    previous = starts[~np.isin(after.sentence_ends, before.sentence_ends)]
    for start, cut in zip(previous, made, strict=True):
        assert not continues[cut] or continues[start + 1 : cut + 1].all()


def test_nothing_makes_nothing() -> None:
    nothing = make_documents(documents=5, with_words=True).reordered(np.arange(0))
    assert len(draw_single_segments(nothing, SETTINGS, KeyedRandom(1))) == 0
