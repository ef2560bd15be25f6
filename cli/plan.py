"""What `bertctl run --dry-run` shows: how each job stands, and what is to come will take."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click

from ..pipeline.project.commands import arguments_of
from ..pipeline.project.estimates import Estimate
from ..pipeline.project.standing import Standing
from ..pipeline.shard.room import Need
from .console import Console

Units = Sequence[tuple[str, float]]

_TIME: Units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
_BYTES: Units = (("TB", 1e12), ("GB", 1e9), ("MB", 1e6))
_NEXT_UNIT_FROM = 1.2
"""Of a unit: 70 minutes are told in minutes, 80 in hours."""
_WHOLE_FROM = 10
"""Below it a number has a decimal."""


def show_plan(
    console: Console, standings: Sequence[Standing], estimates: Mapping[str, Estimate]
) -> None:
    """Print how each job stands and what it takes."""
    peak = _peak() if any(each.peak_flops.most for each in estimates.values()) else 1.0
    if console.as_json:
        jobs = [_standing_json(each, estimates, peak) for each in standings]
        click.echo(json.dumps({"jobs": jobs}, ensure_ascii=False))
        return
    rows = [_plan_row(each, estimates.get(each.job.name), peak) for each in standings]
    coming = list(estimates.values())
    if len(coming) > 1:
        rows.append(("all", *_total_row(coming, peak)))
    console.table("", rows, heading=("job", "", "time", "memory", "disk"))


def _plan_row(standing: Standing, estimate: Estimate | None, peak: float) -> tuple[str, ...]:
    state = str(standing.state)
    if standing.waits_for:
        state = f"after {', '.join(standing.waits_for)}"
    if estimate is None:
        return (standing.job.name, state, "", "", "")
    return (
        standing.job.name,
        state,
        _range(estimate.seconds(peak), _TIME),
        _range(estimate.memory_bytes, _BYTES),
        _range(estimate.disk_bytes, _BYTES),
    )


def _total_row(coming: Sequence[Estimate], peak: float) -> tuple[str, ...]:
    """Return what all of it takes, one after another."""
    seconds = disk = Need(0, 0)
    for each in coming:
        seconds, disk = seconds.plus(each.seconds(peak)), disk.plus(each.disk_bytes)
    memory = max((each.memory_bytes for each in coming), key=lambda each: each.most)
    return ("", _range(seconds, _TIME), _range(memory, _BYTES), _range(disk, _BYTES))


def _standing_json(
    standing: Standing, estimates: Mapping[str, Estimate], peak: float
) -> dict[str, Any]:
    told: dict[str, Any] = {
        "job": standing.job.name,
        "output": str(standing.job.output),
        "state": standing.state,
        "waits_for": list(standing.waits_for),
        "refusal": None if standing.refusal is None else standing.refusal.message,
        "command": ["bertctl", *arguments_of(standing.job)],
        "estimate": None,
    }
    if estimate := estimates.get(standing.job.name):
        needs = {
            "seconds": estimate.seconds(peak),
            "memory_bytes": estimate.memory_bytes,
            "disk_bytes": estimate.disk_bytes,
        }
        told["estimate"] = {name: [need.least, need.most] for name, need in needs.items()}
    return told


def _peak() -> float:
    """Return the FLOP/s that training may reach here: measured, which takes torch and a second."""
    from ..pipeline.training.machine import set_up
    from ..pipeline.training.peak import measured_peak
    from ..pipeline.training.settings import NumericsSettings

    machine = set_up(NumericsSettings(), longest=1)
    return measured_peak(machine.device, machine.precision)


def _range(need: Need, units: Units) -> str:
    """Return both bounds in the unit that suits the greater: 0.4–2 h."""
    unit, length = _unit(need.most, units)
    least, most = (_number(each / length) for each in (need.least, need.most))
    return f"{most} {unit}" if least == most else f"{least}–{most} {unit}"


def duration(seconds: float) -> str:
    """Return a time as people estimate it: 40 s, 80 min, 2 h, 3 d."""
    unit, length = _unit(seconds, _TIME)
    return f"{_number(seconds / length)} {unit}"


def _unit(value: float, units: Units) -> tuple[str, float]:
    return next((each for each in units if value >= _NEXT_UNIT_FROM * each[1]), units[-1])


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= _WHOLE_FROM or value == 0 else f"{value:.1f}"
