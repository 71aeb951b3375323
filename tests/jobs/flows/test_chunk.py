"""Chunks: one call for many jobs, and an end of its own for each."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from headrace.clock import utc_now
from headrace.jobs.errors import BadWorker, JobCancelled, JobDiscarded
from headrace.jobs.flows.chunk import chunk_worker
from headrace.jobs.job import INCOMPLETE
from headrace.jobs.jobs import Jobs
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.settings import JobsSettings
from headrace.jobs.stores.memory_store import MemoryStore
from tests.fakes import job_chunks as workers
from tests.fakes.job_chunks import Calls, square
from tests.fakes.stepping import until
from tests.fakes.store_kinds import STORE_KINDS

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def calls() -> Calls:
    return workers.clear_calls()


@pytest_asyncio.fixture(params=STORE_KINDS)
async def jobs(request: pytest.FixtureRequest, tmp_path: Path, calls: Calls) -> AsyncIterator[Jobs]:
    store = STORE_KINDS[request.param](tmp_path / "jobs.db", utc_now)
    catalogue = WorkerCatalogue.of_modules(["tests.fakes.job_chunks"])
    async with Jobs(store, catalogue, {"default": 20}, JobsSettings(grace_seconds=0.0)) as jobs:
        yield jobs
        calls.gate.set()


async def test_many_jobs_are_one_call_and_each_has_its_result(jobs: Jobs, calls: Calls) -> None:
    handles = await square.enqueue_many([(number,) for number in range(2, 12)])
    assert [await handle.result(5) for handle in handles] == [number * number for number in range(2, 12)]
    assert [len(made) for made in calls.made] == [5, 5]


async def test_what_is_not_full_is_called_when_its_time_is_up(jobs: Jobs, calls: Calls) -> None:
    assert await (await square.enqueue(3)).result(5) == 9
    assert calls.made == [[3]]


async def test_one_job_fails_or_is_called_off_alone(jobs: Jobs, calls: Calls) -> None:
    handles = await square.enqueue_many([(number,) for number in range(5)])
    with pytest.raises(JobDiscarded, match="ValueError: 0"):
        await handles[0].result(5)
    with pytest.raises(JobCancelled, match="one is one"):
        await handles[1].result(5)
    assert [await handle.result(5) for handle in handles[2:]] == [4, 9, 16]


async def test_what_the_function_raises_fails_all(jobs: Jobs, calls: Calls) -> None:
    for handle in await square.enqueue_many([(number,) for number in range(11, 16)]):
        with pytest.raises(JobDiscarded, match="ValueError: 13"):
            await handle.result(5)


async def test_a_job_that_is_cancelled_leaves_the_others_alone(jobs: Jobs, calls: Calls) -> None:
    calls.gate.clear()
    handles = await square.enqueue_many([(number,) for number in range(2, 7)])
    await until(lambda: len(calls.made) == 1)
    await jobs.cancel(JobFilter(ids=frozenset({handles[0].id})))
    calls.gate.set()
    assert [await handle.result(5) for handle in handles[1:]] == [9, 16, 25, 36]
    with pytest.raises(JobCancelled):
        await handles[0].result(5)


async def test_a_call_that_nobody_waits_for_is_cancelled(jobs: Jobs, calls: Calls) -> None:
    calls.gate.clear()
    await square.enqueue_many([(number,) for number in range(2, 7)])
    await until(lambda: len(calls.made) == 1)
    await jobs.cancel(JobFilter())
    await until(lambda: calls.is_cancelled)
    calls.gate.set()
    assert await (await square.enqueue(3)).result(5) == 9


async def test_items_are_checked_as_arguments_are(jobs: Jobs, calls: Calls) -> None:
    await workers.nothing.enqueue_many([({"n": 1},), ({"n": 2},)])
    await until(lambda: calls.made == [[1, 2]])
    while await jobs.store.has(JobFilter(states=INCOMPLETE)):  # noqa: ASYNC110 - the store is asked until it is so
        await asyncio.sleep(0)


async def test_as_many_results_as_jobs_are_returned_or_all_fail(jobs: Jobs, calls: Calls) -> None:
    for handle in await workers.short.enqueue_many([(1,), (2,), (3,)]):
        with pytest.raises(
            JobDiscarded, match="returned 2 results for 3 jobs: return a list with one for each, or None"
        ):
            await handle.result(5)


async def one_list(items: list[int]) -> None: ...
async def no_list(items: int) -> None: ...
async def two(items: list[int], more: int) -> None: ...
def no_async(items: list[int]) -> None: ...


@pytest.mark.parametrize(
    ("function", "size", "why"),
    [
        (one_list, 0, r"its chunks are of 0 in 1\.0 s: both must be above 0"),
        (no_list, 2, "give it one parameter, annotated as a list"),
        (two, 2, "give it one parameter, annotated as a list"),
        (no_async, 2, "make it an async def"),
    ],
)
async def test_what_makes_no_chunk_worker_is_refused(function: Callable[..., Any], size: int, why: str) -> None:
    with pytest.raises(BadWorker, match=why):
        chunk_worker(size=size)(function)


@pytest.mark.parametrize("error", [StopIteration(), GeneratorExit()], ids=["StopIteration", "GeneratorExit"])
@pytest.mark.parametrize("is_raised", [False, True], ids=["returned", "raised"])
async def test_errors_that_no_future_carries_do_not_keep_a_chunk_waiting_for_ever(
    error: BaseException,
    is_raised: bool,  # noqa: FBT001 - a parameter
) -> None:
    @chunk_worker(size=2, seconds=0.01, name="odd", max_attempts=1, record=True)
    async def odd(items: list[int]) -> list[int | BaseException]:
        if is_raised:
            raise error
        return [error, *items[1:]]

    async with Jobs(MemoryStore(), WorkerCatalogue([odd]), {"default": 2}, JobsSettings(grace_seconds=0.0)):
        first, second = await odd.enqueue_many([(1,), (2,)])
        with pytest.raises(JobDiscarded, match=type(error).__name__):
            await first.result(5)
        if not is_raised:
            assert await second.result(5) == 2
