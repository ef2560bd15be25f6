"""How entities are written as tags, and read from them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertctl.pipeline.finetune.examples.tags import (
    Scheme,
    all_tags,
    breaks,
    converted,
    entities,
    scheme_of,
)

from .seqeval_oracle import entities_of

SCHEMES: tuple[Scheme, ...] = ("IOB1", "IOB2", "BIOES")
ANY_TAG = st.one_of(
    st.just("O"), st.builds("{}-{}".format, st.sampled_from("BIES"), st.sampled_from(["PER", "X"]))
)


@given(st.lists(ANY_TAG, max_size=12))
def test_entities_of_any_tags_are_those_of_the_conll_evaluation(tags: list[str]) -> None:
    assert set(entities(tags)) == entities_of(tags)


@pytest.mark.parametrize("scheme", SCHEMES)
@given(st.lists(ANY_TAG, max_size=12))
def test_written_in_a_scheme_entities_stay_what_they_are(scheme: Scheme, tags: list[str]) -> None:
    written = converted(tags, scheme)
    assert entities(written) == entities(tags)
    assert not list(breaks(written, scheme))
    assert set(written) <= set(all_tags(["PER", "X"], scheme))


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        ("IOB1", "I-A I-A O I-A B-A I-B O"),
        ("IOB2", "B-A I-A O B-A B-A B-B O"),
        ("BIOES", "B-A E-A O S-A S-A S-B O"),
    ],
)
def test_schemes_write_the_same_entities_each_in_its_way(scheme: Scheme, expected: str) -> None:
    assert converted("B-A I-A O B-A B-A B-B O".split(), scheme) == expected.split()


@pytest.mark.parametrize(
    ("sentences", "expected"),
    [
        (["B-A I-A O", "O B-B B-B"], "IOB2"),
        (["I-A I-A O", "O I-B B-B"], "IOB1"),
        (["I-A I-A O", "O O O"], "IOB1"),
        (["B-A E-A O", "O S-B"], "BIOES"),
        # One sentence that breaks a scheme doesn't make another of the rest.
        (["B-A I-A O", "B-B O O", "O B-A I-A", "O I-A O"], "IOB2"),
        (["NOUN VERB", "X"], None),
        (["O O"], None),
    ],
)
def test_scheme_is_told_from_the_tags(sentences: list[str], expected: Scheme | None) -> None:
    assert scheme_of([each.split() for each in sentences]) == expected


def test_break_is_named_with_the_tag_that_would_stand_there() -> None:
    assert list(breaks("O I-A I-A B-A".split(), "IOB2")) == [(1, "B-A")]
    assert list(breaks("B-A E-A O I-B".split(), "BIOES")) == [(3, "S-B")]
