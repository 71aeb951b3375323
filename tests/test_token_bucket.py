"""A rate is kept: evenly, and without making up for a pause at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.units import Rate, TokenBucket

STEPS = st.lists(st.tuples(st.floats(0, 10), st.integers(0, 50)), max_size=30)


@given(st.integers(1, 100), st.floats(0.01, 100), STEPS)
def test_no_more_than_the_rate_and_one_bucketful_are_taken(
    events: int, period: float, steps: list[tuple[float, int]]
) -> None:
    rate = Rate(events, period)
    bucket = TokenBucket(rate, 0.0)
    now, taken = 0.0, 0
    for wait, wanted in steps:
        now += wait
        took = bucket.take(wanted, now)
        assert 0 <= took <= min(wanted, max(1, events))
        taken += took
        assert taken <= now * rate.per_second + 1 + 1e-6


@given(st.integers(1, 100), st.floats(0.01, 100))
def test_one_that_always_waits_gets_the_rate(events: int, period: float) -> None:
    bucket = TokenBucket(Rate(events, period), 5.0)
    now, taken = 5.0, 0
    for _ in range(50):
        took = bucket.take(10, now)
        assert took <= 1
        taken += took
        now += bucket.wait_seconds() + 1e-9
    assert taken == pytest.approx(50, abs=1)


def test_after_a_pause_at_most_one_periods_events_come_at_once() -> None:
    bucket = TokenBucket(Rate(3, 1.0), 0.0)
    assert bucket.take(10, 100.0) == 3
    assert bucket.take(10, 100.0) == 0
    assert bucket.wait_seconds() == pytest.approx(1 / 3)
