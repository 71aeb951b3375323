"""What every store of jobs keeps, whatever it keeps it in."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from headrace.jobs.job import Acknowledgement, Completed, Failed, NewJob
from headrace.jobs.stores.sqlite.store import SqliteStore
from headrace.jobs.stores.store import Claimant, JobStore
from tests.fakes.job_clock import MovedClock

ME = Claimant("here", "u-1", "default")


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest_asyncio.fixture
async def store(tmp_path: Path, clock: MovedClock) -> AsyncIterator[JobStore]:
    store = SqliteStore(tmp_path / "jobs.db", now=clock)
    await store.open()
    yield store
    await store.close()


@pytest.mark.asyncio
async def test_a_completed_job_is_not_claimed_again(store: JobStore) -> None:
    await store.insert([NewJob("build", {"sku": 7})])
    (job,) = await store.claim(ME, 10)
    assert (job.state, job.attempt, job.args, job.attempted_by) == ("executing", 1, {"sku": 7}, ["here", "u-1"])
    await store.acknowledge([Acknowledgement(job.id, job.attempt, Completed())])
    assert await store.claim(ME, 10) == []


@pytest.mark.asyncio
async def test_urgent_jobs_come_first_and_then_the_oldest(store: JobStore, clock: MovedClock) -> None:
    for name, priority in (("c", 3), ("a", 0), ("d", 3), ("b", 0)):
        await store.insert([NewJob(name, priority=priority)])
        clock.move(1)
    assert [job.worker for job in await store.claim(ME, 3)] == ["a", "b", "c"]


@pytest.mark.asyncio
async def test_a_failed_job_is_staged_when_its_time_has_come(store: JobStore, clock: MovedClock) -> None:
    await store.insert([NewJob("build")])
    (job,) = await store.claim(ME, 1)
    await store.acknowledge([Acknowledgement(job.id, job.attempt, Failed("no luck", 10))])
    clock.move(9)
    assert await store.stage(100) == set()
    clock.move(1)
    assert await store.stage(100) == {"default"}
    (again,) = await store.claim(ME, 1)
    assert (again.attempt, [error.error for error in again.errors]) == (2, ["no luck"])
