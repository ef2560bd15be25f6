"""Which of several processes this one is, as torchrun and others tell it; nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import BadInput


@dataclass(frozen=True)
class Place:
    """One process among those that train together, over all machines."""

    rank: int = 0
    size: int = 1
    """How many processes there are."""
    local_rank: int = 0
    local_size: int = 1
    """How many of them are on this machine."""

    @property
    def leads(self) -> bool:
        """Whether this process writes the output and talks to people."""
        return self.rank == 0

    @classmethod
    def of_environment(cls, variables: Mapping[str, str]) -> Place:
        """Read what torchrun's launcher tells each process it starts; alone where it says nothing.

        Raises:
            BadInput: a variable is no such number.
        """
        if "WORLD_SIZE" not in variables:
            return cls()
        size = _number(variables, "WORLD_SIZE", 1, least=1)
        if size > 1:
            for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
                if not variables.get(name):
                    raise BadInput(
                        f"The environment says WORLD_SIZE={size} and not {name}; expected both.",
                        hint="torchrun sets them. Without torchrun, unset WORLD_SIZE.",
                    )
            _number(variables, "MASTER_PORT", 0, below=65536)
        local_size = _number(variables, "LOCAL_WORLD_SIZE", 1, least=1)
        return cls(
            rank=_number(variables, "RANK", 0, below=size),
            size=size,
            local_rank=_number(variables, "LOCAL_RANK", 0, below=local_size),
            local_size=local_size,
        )


def _number(
    variables: Mapping[str, str],
    name: str,
    default: int,
    *,
    least: int = 0,
    below: int | None = None,
) -> int:
    text = variables.get(name, str(default))
    expected = f"a whole number of at least {least}" + (f", below {below}" if below else "")
    right = text.isdecimal() and int(text) >= least
    if not right or (below is not None and int(text) >= below):
        raise BadInput(
            f"The environment says {name}={text}; expected {expected}.",
            hint="torchrun sets it. Without torchrun, unset WORLD_SIZE.",
        )
    return int(text)
