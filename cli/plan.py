"""What `bertctl run --dry-run` shows: how each job stands, and what is to come will take."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from ..pipeline.project.commands import arguments_of
from ..pipeline.project.estimates import Estimate
from ..pipeline.project.standing import Standing
from ..pipeline.shard.room import Need
from .console import Console

_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
_NEXT_UNIT_FROM = 1.5
"""Of a unit: 80 minutes are told in minutes, 100 in hours."""


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
        _range(estimate.seconds(peak), duration),
        _range(estimate.memory_bytes, size),
        _range(estimate.disk_bytes, size),
    )


def _total_row(coming: Sequence[Estimate], peak: float) -> tuple[str, ...]:
    """Return what all of it takes, one after another."""
    seconds = disk = Need(0, 0)
    for each in coming:
        seconds, disk = seconds.plus(each.seconds(peak)), disk.plus(each.disk_bytes)
    memory = max((each.memory_bytes for each in coming), key=lambda each: each.most)
    return ("", _range(seconds, duration), _range(memory, size), _range(disk, size))


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


def _range(need: Need, told: Callable[[float], str]) -> str:
    """Return both bounds, and their unit once where they share it."""
    least, most = told(need.least), told(need.most)
    number, unit = least.split(" ")
    if least == most:
        return most
    return f"{number}–{most}" if most.endswith(f" {unit}") else f"{least}–{most}"


def duration(seconds: float) -> str:
    """Return a time as people estimate it: 40 s, 80 min, 2 h, 3 d."""
    unit, length = next(
        (each for each in _UNITS if seconds >= _NEXT_UNIT_FROM * each[1]), _UNITS[-1]
    )
    return f"{seconds / length:,.0f} {unit}"


def size(num_bytes: float) -> str:
    """Return bytes as people estimate them: 30 MB, 1.2 GB."""
    return f"{num_bytes / 1e9:,.1f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:,.0f} MB"
