"""Names of files that lie elsewhere: scheme://place/path?option=value&…

The path is taken as it is written: nothing in it is percent-encoded. A question mark begins the
options, which are Arrow's (https://arrow.apache.org/docs/python/filesystems.html).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import BadInput

_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://([^/?]*)/*([^?]*)(?:\?(.*))?", re.DOTALL)
_SECRET = re.compile(r"(^|&)[^=&]*(secret|token|password|key)[^=&]*=", re.IGNORECASE)


@dataclass(frozen=True)
class Uri:
    """A URI in its parts."""

    scheme: str
    place: str
    """The bucket, container or server; empty for `file:///…`."""
    path: str
    """What is named there, without slashes around it; empty for everything."""
    options: str

    @property
    def name(self) -> str:
        """The URI without its options, as a person is shown it."""
        return f"{self.scheme}://{self.place}/{self.path}"

    def with_path(self, path: str) -> str:
        """Return the whole URI of another path in the same place."""
        options = f"?{self.options}" if self.options else ""
        return f"{self.scheme}://{self.place}/{path}{options}"


def is_uri(name: str) -> bool:
    """Whether a name is a URI; a path on this machine never is."""
    return _URI.fullmatch(name) is not None


def without_options(name: str) -> str:
    """Return a URI without what follows its question mark; a path as it is."""
    return name.split("?")[0] if is_uri(name) else name


def parse_uri(name: str) -> Uri:
    """Take a URI apart; raise `BadInput` for one that holds a password."""
    found = _URI.fullmatch(name)
    assert found is not None, "`is_uri` has said so"
    scheme, place, path, options = found.groups(default="")
    user, at, rest = place.rpartition("@")
    if (at and ":" in user) or _SECRET.search(options):
        # Inputs are written down in recipe.json and manifest.json, and commands in many a log.
        raise BadInput(
            f"{scheme}://{rest}/{path} comes with a secret; expected none, because what is named "
            "on the command line is written down.",
            hint="Give it as this storage's own tools take it: environment variables such as "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a configuration file.",
        )
    return Uri(scheme.lower(), place, path.strip("/"), options)
