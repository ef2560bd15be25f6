"""A value of the file turned into what a setting takes."""

from __future__ import annotations

from typing import Any

from ..errors import BadInput
from ..stage.settings import Setting
from .tables import at_home

_PLACES = ("scratch", "compare")
"""Settings that name a place"""
_SHARES = "shares"


def value_of(setting: Setting, value: Any) -> Any:
    """Return what a dataclass of settings holds for a TOML value.

    Raises:
        BadInput: it isn't of the setting's kind, or out of its range.
    """
    if setting.repeated:
        value = tuple(value) if isinstance(value, list) else (value,)
        for each in value:
            _check_text(setting, each)
    elif setting.type is bool:
        if not isinstance(value, bool):
            raise _refusal(setting, value, "true or false")
    elif setting.type is str and not setting.is_choice:
        is_list = isinstance(value, list) and bool(value) and all(map(_is_number, value))
        if is_list and setting.name == _SHARES:
            # On the command line a list of numbers is a text with commas: 0.9,0.1.
            value = ",".join(map(str, value))
        _check_text(setting, value)
        if setting.name in _PLACES:
            value = at_home(str(value))
    setting.check(value)
    if setting.type is float and isinstance(value, int):
        # What a command line makes of 0: a recipe holds 0.0.
        return float(value)
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_text(setting: Setting, value: Any) -> None:
    if not isinstance(value, str):
        raise _refusal(setting, value, "a text in quotes")


def _refusal(setting: Setting, value: Any, expected: str) -> BadInput:
    return BadInput(f"{setting.flag} is {value!r}; expected {expected}.", hint=setting.help)
