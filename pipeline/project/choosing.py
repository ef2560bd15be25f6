"""Which jobs of a project a person wants done: all, one stage's, or up to one of them."""

from __future__ import annotations

from collections.abc import Sequence, Set

from ..errors import BadInput
from .jobs import Job
from .mistakes import nearest


def named(jobs: Sequence[Job], names: Sequence[str], *, flag: str) -> frozenset[str]:
    """Return the names of the jobs that `names` name: each a job's, or a stage's.

    Raises:
        BadInput: one of them names none.
    """
    chosen: set[str] = set()
    for name in names:
        found = {each.name for each in jobs if name in (each.name, each.stage)}
        if not found:
            known = dict.fromkeys([*(each.stage for each in jobs), *(each.name for each in jobs)])
            raise BadInput(
                f"{flag} {name}: the project has no such job{nearest(name, known)}",
                hint=f"Its jobs: {', '.join(each.name for each in jobs)}.",
            )
        chosen |= found
    return frozenset(chosen)


def chosen_jobs(jobs: Sequence[Job], *, only: Set[str], until: Set[str]) -> tuple[Job, ...]:
    """Return the jobs to be done, in their order.

    `only` are those alone; `until` those and all they are made from. Without either, all are.
    """
    if not only and not until:
        return tuple(jobs)
    wanted = set(only)
    waiting = [each for each in jobs if each.name in until]
    while waiting:
        job = waiting.pop()
        wanted.add(job.name)
        waiting += job.made_from
    return tuple(each for each in jobs if each.name in wanted)
