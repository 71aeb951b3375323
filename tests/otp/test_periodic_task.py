"""Periodic chores, on a clock that only the chores move."""

import pytest

from headrace.otp.scheduler import every


class SlowClock:
    """A clock that moves when somebody sleeps, and wakes them too late by what is left of `delays`."""

    def __init__(self, delays: list[float]) -> None:
        self.now = 100.0
        self.delays = delays

    def read(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds + self.delays.pop(0)


class Enough(Exception):
    """The chore has been called as often as the test wants."""


@pytest.mark.asyncio
async def test_a_chore_is_told_by_how_much_it_came_late() -> None:
    clock = SlowClock([0.0, 0.25, 0.0])
    told: list[tuple[float, float]] = []

    def chore(late_seconds: float) -> None:
        told.append((clock.now, late_seconds))
        if len(told) == 3:
            raise Enough

    with pytest.raises(Enough):
        await every(2.0, chore, clock=clock.read, sleep=clock.sleep)
    assert told == [(102.0, 0.0), (104.25, 0.25), (106.25, 0.0)]


@pytest.mark.asyncio
async def test_a_clock_that_runs_ahead_makes_no_chore_early() -> None:
    told: list[float] = []

    def chore(late_seconds: float) -> None:
        told.append(late_seconds)
        raise Enough

    clock = SlowClock([-0.5])
    with pytest.raises(Enough):
        await every(2.0, chore, clock=clock.read, sleep=clock.sleep)
    assert told == [0.0]


@pytest.mark.asyncio
async def test_a_chore_on_the_loops_own_clock_comes_again_and_again() -> None:
    calls: list[float] = []

    def chore(late_seconds: float) -> None:
        calls.append(late_seconds)
        if len(calls) == 3:
            raise Enough

    with pytest.raises(Enough):
        await every(0.001, chore)
    assert all(late >= 0 for late in calls)


@pytest.mark.asyncio
async def test_an_async_task_that_starts_at_once_is_awaited_before_the_next_wait() -> None:
    clock = SlowClock([0.0, 0.0])
    ended: list[float] = []

    async def task(_: float) -> None:
        clock.now += 5.0
        ended.append(clock.now)
        if len(ended) == 3:
            raise Enough

    with pytest.raises(Enough):
        await every(2.0, task, at_once=True, clock=clock.read, sleep=clock.sleep)
    assert ended == [105.0, 112.0, 119.0]
