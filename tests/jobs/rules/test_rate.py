"""The bucket: no more than it holds, and what comes in time."""

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.jobs.errors import BadLimit
from headrace.jobs.rules.limits import RateLimit

LIMITS = st.builds(
    RateLimit,
    count=st.floats(0.01, 1000),
    period_seconds=st.sampled_from([0.25, 1.0, 60.0, 3600.0]),
    burst=st.none() | st.integers(1, 500),
)
STEPS = st.lists(st.tuples(st.floats(0, 100), st.integers(1, 300)), min_size=1, max_size=40)
NOON = 1_795_521_600.0


def started(limit: RateLimit, steps: list[tuple[float, int]]) -> list[tuple[float, int]]:
    """Take at each step as much as is wanted and there; return the times and how many."""
    now = full_at = NOON
    taken: list[tuple[float, int]] = []
    for seconds, wanted in steps:
        now += seconds
        count = min(wanted, limit.tokens(full_at, now))
        full_at = limit.taken(full_at, now, count)
        taken.append((now, count))
    return taken


@given(limit=LIMITS, steps=STEPS)
def test_in_no_stretch_of_time_start_more_than_a_burst_and_what_the_stretch_brings(
    limit: RateLimit, steps: list[tuple[float, int]]
) -> None:
    taken = started(limit, steps)
    for begin in range(len(taken)):
        total = 0
        for at, count in taken[begin:]:
            total += count
            assert total <= limit.size + (at - taken[begin][0]) / limit.token_seconds + 0.01


@given(limit=LIMITS, steps=STEPS)
def test_after_the_time_of_one_token_there_is_one_whatever_came_before(
    limit: RateLimit, steps: list[tuple[float, int]]
) -> None:
    now = full_at = NOON
    for seconds, wanted in steps:
        now += seconds
        full_at = limit.taken(full_at, now, min(wanted, limit.tokens(full_at, now)))
    assert limit.tokens(full_at, now + limit.token_seconds) >= 1


@given(limit=LIMITS, steps=STEPS)
def test_whoever_takes_all_there_is_loses_nothing_of_the_rate(limit: RateLimit, steps: list[tuple[float, int]]) -> None:
    greedy = started(limit, [(min(seconds, limit.token_seconds * limit.size / 2), 10**9) for seconds, _ in steps])
    stretch = greedy[-1][0] - greedy[0][0]
    assert sum(count for _, count in greedy) >= math.floor(limit.size / 2 + stretch / limit.token_seconds - 1.01)


@given(limit=LIMITS, wanted=st.integers(1, 500), back=st.floats(0, 10**6))
def test_a_clock_that_was_set_back_holds_nobody_up_for_longer_than_an_empty_bucket(
    limit: RateLimit, wanted: int, back: float
) -> None:
    full_at = limit.taken(NOON, NOON, min(wanted, limit.tokens(NOON, NOON)))
    full_at = limit.taken(full_at, NOON - back, 0)
    assert limit.tokens(full_at, NOON - back + limit.token_seconds) >= 1


def test_a_bucket_is_full_at_first_and_holds_a_periods_worth() -> None:
    assert RateLimit(10, 60).tokens(0, NOON) == 10
    assert RateLimit(0.5).tokens(0, NOON) == 1
    assert RateLimit(10, 60, burst=3).tokens(0, NOON) == 3


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: RateLimit(0), "the rate_limit of a queue is 0, and must be a number above 0"),
        (lambda: RateLimit(math.nan), "the rate_limit of a queue is nan"),
        (lambda: RateLimit(1, 0), "the period_seconds of a queue is 0, and must be a number above 0"),
        (lambda: RateLimit(1, burst=0), "the burst of a queue is 0, and must be a whole number from 1 on"),
        (
            lambda: RateLimit(5.0, 5, "args.c"),  # type: ignore[arg-type] # that is what is wrong
            "the burst of a queue is 'args.c', and must be a whole number from 1 on; a partition is named: partition=",
        ),
        (lambda: RateLimit("5/s"), "the rate_limit of a queue is '5/s', and must be a number above 0"),  # type: ignore[arg-type]
        (lambda: RateLimit(5.0, partition=5), "the partition of a queue is 5, and must be worker, or a path"),  # type: ignore[arg-type]
        (
            lambda: RateLimit(1, partition="customer"),
            "the partition of a queue is 'customer', and must be w",
        ),
        (lambda: RateLimit(1, partition="args."), "the partition of a queue is 'args.'"),
        (lambda: RateLimit(1, partition='args."a"'), "the partition of a queue is"),
    ],
)
def test_a_rate_that_makes_no_sense_is_refused(make: Callable[[], RateLimit], sentence: str) -> None:
    with pytest.raises(BadLimit) as refused:
        make()
    assert str(refused.value).startswith(sentence)
