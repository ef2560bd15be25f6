"""The learning rate at points worked out by hand, and where runs of different length part."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertctl.model.schedule import Schedule, agrees_until, learning_rate, warmup_steps

SCHEDULES: tuple[Schedule, ...] = ("linear", "cosine", "constant", "wsd")
rate = partial(learning_rate, total_steps=1000, peak=8.0, warmup_steps=200)


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
            warmup_steps=warmup_steps(total_steps, warmup_proportion),
            schedule=schedule,
        )
        assert 0 < got <= 8.0


LENGTHS = st.integers(1, 150)


@given(st.sampled_from(SCHEDULES), LENGTHS, LENGTHS, st.data())
def test_runs_agree_until_their_rates_first_differ(
    schedule: Schedule, old_total: int, new_total: int, data: st.DataObject
) -> None:
    warmups = st.one_of(st.integers(0, 2), st.integers(0, 160))
    old_warmup = data.draw(warmups)
    new_warmup = data.draw(st.one_of(st.just(old_warmup), warmups))

    def rates(total_steps: int, warmup_steps: int) -> list[float]:
        return [
            learning_rate(
                step,
                total_steps=total_steps,
                peak=3e-4,
                warmup_steps=warmup_steps,
                schedule=schedule,
            )
            for step in range(total_steps)
        ]

    pairs = zip(rates(old_total, old_warmup), rates(new_total, new_warmup), strict=False)
    differing = [step for step, (old, new) in enumerate(pairs) if old != new]
    assert agrees_until(
        old_total,
        new_total,
        old_warmup_steps=old_warmup,
        new_warmup_steps=new_warmup,
        schedule=schedule,
    ) == (differing[0] if differing else min(old_total, new_total))


@pytest.mark.parametrize(
    ("schedule", "expected"), [("linear", 11), ("cosine", 11), ("constant", 1000), ("wsd", 901)]
)
def test_run_made_twice_as_long_goes_on_from_before_its_rate_fell(
    schedule: Schedule, expected: int
) -> None:
    agreed = agrees_until(1000, 2000, old_warmup_steps=10, new_warmup_steps=10, schedule=schedule)
    assert agreed == expected
