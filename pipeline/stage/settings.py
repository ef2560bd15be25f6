"""A setting, written once: its field gives the flag, the key in `bertctl.toml` and the reference.

Each stage groups its settings in frozen dataclasses of three kinds, and the class a field stands in
answers whether turning that knob invalidates an output:

* *what* is part of the recipe and is hashed;
* *numerics* is recorded, and free to change when a run is resumed;
* *how* is neither.
"""

from __future__ import annotations

import dataclasses
import math
import os
import types
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ..corpus.uris import is_uri, parse_uri
from ..errors import BadInput

_KEY = "bertctl"
_NUMBER_BITS = 63
"""Whatever is counted is counted in an int64, and a greater number would be no float either."""


@dataclass(frozen=True)
class Setting:
    """One setting as the command line, the project file and the reference see it."""

    name: str
    type: type[int] | type[float] | type[str] | type[bool]
    default: Any
    help: str
    words: tuple[str, ...]
    """Strings that may stand in place of a value, such as `auto`; all there is for a choice."""
    minimum: float | None
    maximum: float | None
    is_place: bool
    """Whether it names a directory of this machine, there or to be made"""
    repeated: bool
    optional: bool

    @property
    def flag(self) -> str:
        """The long option: `--masked-lm-prob` for `masked_lm_prob`."""
        return "--" + self.name.replace("_", "-")

    @property
    def is_choice(self) -> bool:
        """Whether nothing but one of `words` is accepted."""
        return self.type is str and bool(self.words)

    def check(self, value: Any) -> None:
        """Raise `BadInput` where `value` is outside this setting's range."""
        for one in value if self.repeated else (value,):
            if (one is None and self.optional) or (isinstance(one, str) and one in self.words):
                continue
            if self.is_choice:
                raise self._refusal(one, "one of " + ", ".join(self.words))
            if self.type in (int, float):
                self._check_number(one)
            if self.is_place:
                self._check_place(str(one))

    def _check_number(self, value: Any) -> None:
        accepted = int if self.type is int else int | float
        if not isinstance(value, accepted) or isinstance(value, bool):
            kind = "a whole number" if self.type is int else "a number"
            raise self._refusal(value, " or ".join([kind, *self.words]))
        if isinstance(value, int) and value.bit_length() > _NUMBER_BITS:
            digits = int(math.log10(abs(value))) + 1
            raise BadInput(
                f"{self.flag} is a number of {digits:,} digits; expected one of a "
                f"reasonable size, within ±2^{_NUMBER_BITS}.",
                hint=self.help,
            )
        if not math.isfinite(value):
            raise self._refusal(value, "a finite number")
        if self.minimum is not None and not value >= self.minimum:
            raise self._refusal(value, f"at least {self.minimum:g}")
        if self.maximum is not None and not value <= self.maximum:
            raise self._refusal(value, f"at most {self.maximum:g}")

    def _check_place(self, value: str) -> None:
        if not value:
            raise BadInput(
                f"{self.flag}'s name is empty; expected a directory.",
                hint="Is a shell variable not set? The current directory is a dot.",
            )
        if is_uri(value):
            raise BadInput(
                f"{self.flag} is {parse_uri(value).name}; expected a directory on this machine.",
                hint=self.help,
            )
        path = Path(value).absolute()
        there = next(each for each in (path, *path.parents) if os.path.lexists(each))
        if not there.is_dir():
            raise BadInput(
                f"{self.flag} is {value}, and {there} isn't a directory; expected one, or a place "
                "where it can be made.",
                hint=self.help,
            )

    def _refusal(self, value: Any, expected: str) -> BadInput:
        return BadInput(f"{self.flag} is {value!r}; expected {expected}.", hint=self.help)


def setting(
    default: Any,
    help: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    is_place: bool = False,
) -> Any:
    """Declare a field of a settings dataclass; its annotation gives type and choices."""
    told = {"help": help, "minimum": minimum, "maximum": maximum, "is_place": is_place}
    return dataclasses.field(default=default, metadata={_KEY: told})


def settings_of(kind: type[Any]) -> tuple[Setting, ...]:
    """List the settings of one dataclass, in the order they are written."""
    hints = get_type_hints(kind)
    return tuple(
        _read(field, hints[field.name])
        for field in dataclasses.fields(kind)
        if _KEY in field.metadata
    )


def check_settings(*groups: Any) -> None:
    """Raise `BadInput` for the first value outside its setting's range."""
    for group in groups:
        for each in settings_of(type(group)):
            each.check(getattr(group, each.name))


def _read(field: dataclasses.Field[Any], hint: Any) -> Setting:
    repeated = get_origin(hint) is tuple
    alternatives = _alternatives(get_args(hint)[0] if repeated else hint)
    words = tuple(
        word for one in alternatives if get_origin(one) is Literal for word in get_args(one)
    )
    plain = [one for one in alternatives if one in (int, float, str, bool)]
    return Setting(
        name=field.name,
        type=plain[0] if plain else str,
        default=field.default,
        words=words,
        repeated=repeated,
        optional=type(None) in alternatives,
        **field.metadata[_KEY],
    )


def _alternatives(hint: Any) -> Iterable[Any]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
