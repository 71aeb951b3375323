"""Periodic tasks run while their process leads, and at no other time."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from headrace.jobs.maintenance.maintenance import AGAIN_SECONDS, LEASE_SECONDS, RENEW_SECONDS, Leader, Maintenance
from tests.fakes.upkeep import LentLease, NotedTask, StoreDown, TurnedTime


@pytest.fixture
def time() -> TurnedTime:
    return TurnedTime()


@pytest.fixture
def lease(time: TurnedTime) -> LentLease:
    return LentLease(time)


@asynccontextmanager
async def running(
    time: TurnedTime, lease: LentLease, periodic_tasks: Sequence[NotedTask], node: str = "me"
) -> AsyncIterator[asyncio.Task[None]]:
    """Run the upkeep of a process for as long as the block takes."""
    upkeep = Maintenance(Leader(lease, node, clock=time), periodic_tasks, sleep=time.sleep)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(upkeep.run())
        await time.go_on(0)
        yield task
        task.cancel()


@pytest.mark.asyncio
async def test_each_chore_runs_when_it_is_due(time: TurnedTime, lease: LentLease) -> None:
    quick, slow = NotedTask(time, 1), NotedTask(time, 2.5)
    async with running(time, lease, [quick, slow]):
        await time.go_on(5)
    assert (quick.ran, slow.ran) == ([0, 1, 2, 3, 4, 5], [0, 2.5, 5])


@pytest.mark.asyncio
async def test_a_chore_that_takes_long_makes_no_other_late(time: TurnedTime, lease: LentLease) -> None:
    long, quick = NotedTask(time, 1), NotedTask(time, 1)
    long.work = asyncio.get_running_loop().create_future
    async with running(time, lease, [long, quick]):
        await time.go_on(3)
        assert (long.ran, quick.ran) == ([0], [0, 1, 2, 3])


@pytest.mark.asyncio
async def test_of_two_processes_one_does_the_chores(time: TurnedTime, lease: LentLease) -> None:
    first, second = NotedTask(time, 1), NotedTask(time, 1)
    async with running(time, lease, [first], "first"), running(time, lease, [second], "second"):
        await time.go_on(60)
    assert (len(first.ran), len(second.ran)) == (61, 0)


@pytest.mark.asyncio
async def test_a_leader_that_stops_lets_another_one_lead_at_once(time: TurnedTime, lease: LentLease) -> None:
    first, second = NotedTask(time, 1), NotedTask(time, 1)
    async with running(time, lease, [first], "first") as leading, running(time, lease, [second], "second"):
        leading.cancel()
        await time.go_on(RENEW_SECONDS)
        assert second.ran[0] <= RENEW_SECONDS
    assert lease.resigned == ["first", "second"]


@pytest.mark.asyncio
async def test_a_leader_that_lost_its_lease_stops_at_once(time: TurnedTime, lease: LentLease) -> None:
    at_work, resting = NotedTask(time, 1), NotedTask(time, 1)
    at_work.work = asyncio.get_running_loop().create_future
    async with running(time, lease, [at_work, resting]):
        await time.go_on(1)
        lease.take_away()
        await time.go_on(RENEW_SECONDS)
        count = len(resting.ran)
        await time.go_on(100)
        assert (at_work.cancelled, len(resting.ran)) == (1, count)


@pytest.mark.asyncio
async def test_who_lost_the_lease_leads_again_when_it_is_free(time: TurnedTime, lease: LentLease) -> None:
    task = NotedTask(time, 1)
    async with running(time, lease, [task]):
        lease.take_away()
        await time.go_on(20)
        count, lease.owner = len(task.ran), None
        await time.go_on(20)
        assert len(task.ran) > count + 10


@pytest.mark.asyncio
async def test_no_chore_runs_once_the_lease_has_run_out(time: TurnedTime, lease: LentLease) -> None:
    task = NotedTask(time, 1)
    async with running(time, lease, [task]):
        await time.go_on(1)
        lease.is_down = True
        await time.go_on(60)
        assert task.ran[-1] < LEASE_SECONDS + 1
        lease.is_down = False
        await time.go_on(10)
        assert task.ran[-1] > 60


@pytest.mark.asyncio
async def test_a_chore_that_fails_is_said_once_and_tried_again(
    time: TurnedTime, lease: LentLease, caplog: pytest.LogCaptureFixture
) -> None:
    task = NotedTask(time, 5, "prune")
    task.error = StoreDown("the disk is full")
    with caplog.at_level(logging.ERROR):
        async with running(time, lease, [task]):
            await time.go_on(3 * AGAIN_SECONDS)
            task.error = None
            await time.go_on(AGAIN_SECONDS + 5)
    assert task.ran == [0, 1, 2, 3, 4, 9]
    said = [record.message for record in caplog.records]
    assert said == ["the periodic task 'prune' of the jobs failed, and is tried again: the disk is full"]


@pytest.mark.asyncio
async def test_a_store_that_is_down_is_waited_for_by_who_does_not_lead_yet(time: TurnedTime, lease: LentLease) -> None:
    lease.is_down = True
    task = NotedTask(time, 1)
    async with running(time, lease, [task]):
        await time.go_on(10)
        assert task.ran == []
        lease.is_down = False
        await time.go_on(RENEW_SECONDS)
        assert task.ran != []


@pytest.mark.asyncio
async def test_a_chore_that_breaks_is_named_with_its_traceback_and_ends_nothing(
    time: TurnedTime, lease: LentLease, caplog: pytest.LogCaptureFixture
) -> None:
    broken, other = NotedTask(time, 5, "crontab"), NotedTask(time, 1)
    broken.error = KeyError("sku")
    async with running(time, lease, [broken, other]):
        await time.go_on(4)
    assert (len(broken.ran), len(other.ran)) == (5, 5)
    (record,) = caplog.records
    assert record.message == "the periodic task 'crontab' of the jobs failed, and is tried again"
    assert record.exc_info is not None
