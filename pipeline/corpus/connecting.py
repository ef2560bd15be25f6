"""Connections to where files lie elsewhere, through `pyarrow.fs`, and what their failures mean."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Generator
from contextlib import contextmanager
from functools import lru_cache

import pyarrow.fs as pafs

from ..errors import BadInput, WorkFailed
from .uris import Uri

RETRY = "Check the network, then run the same command again: what is finished is kept."
CONNECT = "Check the network, and endpoint_override, scheme and region in the URI."
_REMEDIES = {
    (
        "DENIED",
        "FORBIDDEN",
        "ACCESS_KEY",
        "SIGNATURE",
        "401 Client",
        "403 Client",
        "redential",
        "OAuth",
    ): (
        "Give credentials that may list and read it, the way this storage's own tools take them: "
        "for S3 AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE."
    ),
    ("NO_SUCH_BUCKET", "NOT_FOUND", "not found", "not exist", "No such"): "Check the spelling.",
    ("NETWORK", "UNAVAILABLE", "connect", "resolve", "imed out", "Name or service"): CONNECT,
    ("Unrecognized filesystem", "query parameter", "URI"): (
        "Arrow reads s3://, gs://, abfss:// and hf://, each with options of its own after a "
        "question mark."
    ),
    ("No module",): "Install the Python package that is missing.",
}


def file_system(uri: Uri) -> tuple[pafs.FileSystem, str]:
    """Connect to the place a URI names; return it and the path at which its own paths begin."""
    return _connected(uri.with_path(""), os.getpid())


@lru_cache(maxsize=8)
def _connected(root: str, process: int) -> tuple[pafs.FileSystem, str]:
    # A forked process must not go on with the connections of its parent: hence `process`.
    del process
    return pafs.FileSystem.from_uri(root)


def join(base: str, path: str) -> str:
    """Return the path of a URI as its file system has it."""
    return posixpath.join(base, path).rstrip("/") or "/"


@contextmanager
def refusing(named: str) -> Generator[None]:
    """Turn whatever a file system raises into `BadInput`."""
    try:
        yield
    except (BadInput, WorkFailed):
        raise
    # Arrow's own errors, Python's, and for hf:// those of a library that may not be there.
    except Exception as error:
        raise BadInput(f"{named}: {reason(error)}.", hint=_remedy(str(error))) from error


def reason(error: Exception) -> str:
    """Return an error's first line without the numbers that only the server's owner can use."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return text.split("\n")[0].split(" (Request ID")[0].rstrip(". ")


def _remedy(message: str) -> str:
    for signs, remedy in _REMEDIES.items():
        if any(each in message for each in signs):
            return remedy
    return "Mend it or leave it out."
