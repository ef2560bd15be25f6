"""Lines looked at together: stripped, counted and found blank as they are one by one."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bertctl.pipeline.corpus.stripping import (
    count_line_ends,
    places_of_blank_lines,
    stripped_lines,
)

SPACES = "".join(chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace())
# Characters whose UTF-8 begins or ends like that of a space are the ones to be mistaken for one.
LIKE_SPACES = "a\u0445\u00e0\u3002\u300a\u2010\u20a8\U0001f600\U00013000"
TEXTS = st.text(st.sampled_from("\n" * 20 + SPACES + LIKE_SPACES * 4), max_size=60)


def stripped_one_by_one(text: str) -> bytes:
    return "\n".join(line.strip() for line in text.split("\n")).encode()


@given(text=TEXTS)
@settings(max_examples=500, deadline=None)
def test_lines_are_stripped_together_as_str_strip_does_one_by_one(text):
    assert stripped_lines(text.encode()) == stripped_one_by_one(text)


@pytest.mark.parametrize("space", SPACES)
def test_every_space_is_taken_from_either_edge_and_from_no_other_place(space):
    for text in (f"ab{space}\ncd", f"ab\n{space}cd", f"{space}ab", f"ab{space}", f"a{space}b\nc"):
        assert stripped_lines(text.encode()) == stripped_one_by_one(text)


@pytest.mark.parametrize("character", LIKE_SPACES)
def test_what_only_looks_like_a_space_costs_no_second_look(character):
    data = f"{character}b{character}\n{character}\n\n{character}".encode()
    assert stripped_lines(data) is data


@given(text=st.text("\n\nab\u3002", max_size=40))
def test_line_ends_are_counted_and_blank_lines_found(text):
    data = text.encode()
    assert count_line_ends(data) == text.count("\n")
    assert places_of_blank_lines(data) == [
        place for place in range(len(data)) if data[place : place + 2] == b"\n\n"
    ]
