"""What is prose in a docstring, and what isn't."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

DEMO = Path(__file__).parent.parent / "examples" / "docstrings"
sys.path.insert(0, str(DEMO))

from prose import is_prose, prose  # noqa: E402

NUMPYDOC = """
    Return the largest value found along an
    axis of the given array.

    Parameters
    ----------
    a, b : array_like, optional
        Arrays whose values are
        compared with each other.
    axis : {int, None}
        The axis along which to look.

    Returns
    -------
    out : ndarray of shape (n,) with one value for each row

    See Also
    --------
    min, argmax

    .. versionadded:: 1.7.0

    .. note::

        Empty arrays have no largest value at all.

    .. math::

        many words of mathematics that nobody reads aloud

    Notes
    -----
    The method is described in [1]_ and needs `O(n)` time. It is this one::

        for each in the values of the array
            compare and keep the larger one

    A paragraph follows the block of code.

    Examples
    --------
    >>> largest([1, 2])
    the output has many plain words too
"""

GOOGLE = """Open a file of the [`Repository`] and give
back its content as bytes.

Args:
    path (`str` or `Path`, *optional*):
        Where the file is found on the disk.
    retries: how many times to try again
        before the error is raised.

Returns:
    The bytes that the file was found to hold.

```python
these are words of code inside a fence
```

| name | meaning of the name in the table |
|------|------------------------|
| one  | the first of all names in here |

+------+-------------------------------+
| cell | more words than five in a cell |
+------+-------------------------------+

=====  =================================
one    the first of many words in a table
=====  =================================

> [!WARNING]
> Files that are large take their time.
"""

SPHINX = """Send the message over the wire to :class:`~mail.Server` and **wait**.

:param message: the text of the message,
    wrapped over two of the lines
:type message: str
:returns: what the server has answered
:raises OSError: when no server can be found

- first, the socket is opened and
  greeted by its name
- then ``QUIT`` is sent (see `the manual <https://example.org/manual>`_)

      $ run this command with many words

1. A numbered item is kept just as well.
"""


@pytest.mark.parametrize(
    ("docstring", "paragraphs"),
    [
        (
            NUMPYDOC,
            [
                "Return the largest value found along an axis of the given array.",
                "Arrays whose values are compared with each other.",
                "The axis along which to look.",
                "Empty arrays have no largest value at all.",
                "The method is described in and needs O(n) time. It is this one:",
                "A paragraph follows the block of code.",
            ],
        ),
        (
            GOOGLE,
            [
                "Open a file of the Repository and give back its content as bytes.",
                "Where the file is found on the disk.",
                "how many times to try again before the error is raised.",
                "The bytes that the file was found to hold.",
                "Files that are large take their time.",
            ],
        ),
        (
            SPHINX,
            [
                "Send the message over the wire to mail.Server and wait.",
                "the text of the message, wrapped over two of the lines",
                "what the server has answered",
                "when no server can be found",
                "first, the socket is opened and greeted by its name",
                "then QUIT is sent (see the manual)",
                "A numbered item is kept just as well.",
            ],
        ),
    ],
    ids=["numpydoc", "google", "sphinx"],
)
def test_prose_of_each_docstring_style(docstring, paragraphs):
    assert prose(inspect.cleandoc(docstring)) == paragraphs


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Return the sum of all values.", True),
        ("It's a well-known (and old) method, isn't it?", True),
        ("Return the sum.", False),
        ("x = foo(a, b) + bar[c] - d ** 2 and so on", False),
        ("-1 0 1 2 3 4 5 of the first five values", False),
    ],
)
def test_prose_is_worded(text, expected):
    assert is_prose(text) is expected


@given(st.text(alphabet=st.sampled_from("ab `:*.>-_|\n \t[]()=~'\"<\\"), max_size=200))
def test_any_docstring_gives_lines_of_single_spaced_prose(docstring):
    for paragraph in prose(docstring):
        assert paragraph == " ".join(paragraph.split())
        assert is_prose(paragraph)


def test_prose_of_prose_is_itself():
    paragraphs = prose(inspect.cleandoc(NUMPYDOC))
    assert prose("\n\n".join(paragraphs)) == paragraphs
