"""Restarts: which exits lead to one, and how many are allowed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.otp.supervision.restart import Restart, RestartWindow, wants_restart

SECONDS = st.integers(0, 20).map(float)


@pytest.mark.parametrize(
    ("restart", "after_normal", "after_crash"),
    [("permanent", True, True), ("transient", False, True), ("temporary", False, False)],
)
def test_a_child_is_restarted_as_its_type_says(restart: Restart, *, after_normal: bool, after_crash: bool) -> None:
    assert wants_restart(restart, is_normal=True) is after_normal
    assert wants_restart(restart, is_normal=False) is after_crash


@given(limit=st.integers(0, 4), seconds=SECONDS, gaps=st.lists(SECONDS))
def test_a_restart_is_refused_exactly_when_too_many_were_allowed_within_the_time(
    limit: int, seconds: float, gaps: list[float]
) -> None:
    window = RestartWindow(limit, seconds)
    now = 0.0
    allowed: list[float] = []
    for gap in gaps:
        now += gap
        recent = [at for at in allowed if now - at <= seconds]
        assert window.allows(now) is (len(recent) < limit)
        if len(recent) < limit:
            allowed.append(now)


@given(limit=st.integers(1, 5), seconds=SECONDS, start=SECONDS)
def test_as_many_as_the_limit_are_allowed_at_once_and_one_more_is_not(limit: int, seconds: float, start: float) -> None:
    window = RestartWindow(limit, seconds)
    assert [window.allows(start) for _ in range(limit + 1)] == [True] * limit + [False]


@given(limit=st.integers(1, 5), seconds=SECONDS)
def test_when_the_time_is_over_as_many_are_allowed_again(limit: int, seconds: float) -> None:
    window = RestartWindow(limit, seconds)
    for now in (0.0, seconds + 0.5):
        assert [window.allows(now) for _ in range(limit)] == [True] * limit
