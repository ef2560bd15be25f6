"""The learning rate at points worked out by hand."""

from __future__ import annotations

from functools import partial

import pytest

from bertctl.model.schedule import Schedule, learning_rate

SCHEDULES: tuple[Schedule, ...] = ("linear", "cosine", "constant", "wsd")
rate = partial(learning_rate, total_steps=1000, peak=8.0, warmup_proportion=0.2)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("step", "expected"), [(0, 0.04), (99, 4.0), (199, 8.0), (200, 8.0)])
def test_warm_up_climbs_in_equal_parts_to_the_peak(
    schedule: Schedule, step: int, expected: float
) -> None:
    assert rate(step, schedule=schedule) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("schedule", "step", "expected"),
    [
        ("linear", 600, 4.0),
        ("linear", 999, 0.01),
        ("cosine", 400, 8 * (2 + 2**0.5) / 4),
        ("cosine", 600, 4.0),
        ("constant", 999, 8.0),
        ("wsd", 899, 8.0),
        ("wsd", 900, 8.0),
        ("wsd", 950, 4.0),
        ("wsd", 999, 0.08),
    ],
)
def test_schedule_after_the_warm_up(schedule: Schedule, step: int, expected: float) -> None:
    assert rate(step, schedule=schedule) == pytest.approx(expected)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("total_steps", [1, 2, 7])
@pytest.mark.parametrize("warmup_proportion", [0.0, 0.01, 0.5, 1.0])
def test_every_step_of_the_shortest_runs_has_a_rate(
    schedule: Schedule, total_steps: int, warmup_proportion: float
) -> None:
    for step in range(total_steps):
        got = learning_rate(
            step,
            total_steps=total_steps,
            peak=8.0,
            warmup_proportion=warmup_proportion,
            schedule=schedule,
        )
        assert 0 < got <= 8.0
