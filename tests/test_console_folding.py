import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from bertctl.cli.folding import folded

PARTS = [
    "河水流过石桥，",
    "孩子们在岸边等船。",
    "[MASK→河]",
    "[MASK→。]",
    "{ka→趣}",
    "(船)",
    " river banks ",
    "[MASK→river] ",
    "pro{pharm→ject}ed ",
    " " + "w" * 100 + " ",
]


@given(st.lists(st.sampled_from(PARTS)).map("".join), st.integers(24, 90), st.integers(0, 4))
def test_folded_lines_fit_keep_their_text_and_tear_no_mark(
    text: str, width: int, indent: int
) -> None:
    first, *others = folded(Text(text), width, indent=indent).plain.split("\n")
    assert all(cell_len(line) <= width for line in (first, *others))
    assert all(line.startswith(" " * indent) for line in others)
    lines = [first, *(line[indent:] for line in others)]
    assert "".join("".join(lines).split()) == "".join(text.split())
    marks = re.compile(r"\[MASK→\w+\]|\{\w+→\w+\}|\(\w\)|\[MASK→。\]")
    assert sum(len(marks.findall(line)) for line in lines) == len(marks.findall(text))
    assert not any(line.startswith(("，", "。")) for line in lines[1:])


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("1 河水流过石桥，船来了", ["1 河水流过", "  石桥，船", "  来了"]),
        ("1 a river and a boat", ["1 a river", "  and a", "  boat"]),
        ("1 wwwwwwwwwwwwwww", ["1 wwwwwwwww", "  wwwwww"]),
    ],
    ids=["Chinese", "English", "longer than a line"],
)
def test_line_goes_on_beneath_its_text_and_is_filled_before(text: str, lines: list[str]) -> None:
    assert folded(Text(text), 11, indent=2).plain.split("\n") == lines


def test_styles_stay_with_their_words() -> None:
    text = Text("河水").append("[MASK→流]", style="bold").append("过石桥" * 3)
    kept = folded(text, 12)
    (span,) = [each for each in kept.spans if each.style == "bold"]
    assert kept.plain[span.start : span.end] == "[MASK→流]"
