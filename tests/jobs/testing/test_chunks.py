"""Chunk workers under a tester: they are called as a queue would call them, and nobody waits for a chunk to fill."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from headrace.jobs.job import AttemptCompleted
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.testing import Drained, JobsTester
from tests.fakes import job_chunks
from tests.fakes.job_chunks import Calls, nothing, square
from tests.fakes.stepping import until


@pytest.fixture
def calls() -> Calls:
    return job_chunks.clear_calls()


@pytest.fixture
def tester(calls: Calls) -> Iterator[JobsTester]:
    with JobsTester(WorkerCatalogue.of_modules([job_chunks.__name__])) as tester:
        yield tester


@pytest.mark.asyncio
async def test_a_drain_hands_over_whole_chunks(tester: JobsTester, calls: Calls) -> None:
    handles = await square.enqueue_many([(number,) for number in range(2, 14)])
    assert await tester.drain_queue() == Drained(completed=10, discarded=2)
    assert calls.made == [[2, 3, 4, 5, 6], [7, 8, 9, 10, 11], [12, 13]]
    assert [await handle.result() for handle in handles[:10]] == [number * number for number in range(2, 12)]


@pytest.mark.asyncio
async def test_each_job_of_a_chunk_has_an_end_of_its_own(tester: JobsTester, calls: Calls) -> None:
    await square.enqueue_many([(0,), (1,), (2,)])
    assert await tester.drain_queue() == Drained(completed=1, discarded=1, cancelled=1)
    assert calls.made == [[0, 1, 2]]
    await square.enqueue(0)
    with pytest.raises(ValueError, match="0"):
        await tester.drain_queue(with_safety=False)


@pytest.mark.asyncio
async def test_jobs_of_others_between_them_split_no_chunk(tester: JobsTester, calls: Calls) -> None:
    for number in (2, 3):
        await square.enqueue(number)
        await nothing.enqueue({"n": number})
    assert (await tester.drain_queue()).completed == 4
    assert calls.made == [[2, 3], [2, 3]]


@pytest.mark.asyncio
async def test_a_chunk_that_nothing_will_fill_is_called_at_once(tester: JobsTester, calls: Calls) -> None:
    await nothing.enqueue({"n": 1})  # it would wait for a minute
    assert (await tester.drain_queue()).completed == 1
    assert await tester.outcome_of(nothing.new({"n": 2})) == AttemptCompleted()
    with tester.inline():
        await nothing.enqueue({"n": 3})
    assert calls.made == [[1], [2], [3]]


@pytest.mark.asyncio
async def test_a_job_that_never_begins_keeps_no_chunk_waiting(tester: JobsTester, calls: Calls) -> None:
    await tester.store.insert([replace(nothing.new({"n": 1}), args={"item": "none"}, max_attempts=1)])
    await nothing.enqueue({"n": 2})
    assert await tester.drain_queue() == Drained(completed=1, discarded=1)
    assert calls.made == [[2]]


@pytest.mark.asyncio
async def test_a_bound_on_a_drain_holds_for_chunks(tester: JobsTester, calls: Calls) -> None:
    await square.enqueue_many([(number,) for number in range(2, 9)])
    assert (await tester.drain_queue(with_limit=6)).total == 6
    assert calls.made == [[2, 3, 4, 5, 6], [7]]


@pytest.mark.asyncio
async def test_a_drain_that_is_broken_off_puts_its_chunk_back(tester: JobsTester, calls: Calls) -> None:
    calls.gate.clear()
    await square.enqueue_many([(2,), (3,)])
    async with asyncio.TaskGroup() as group:
        drain = group.create_task(tester.drain_queue())
        await until(lambda: calls.made == [[2, 3]])
        drain.cancel()
    assert calls.is_cancelled
    assert [job.attempt for job in tester.all_enqueued(square)] == [0, 0]


def test_a_drain_without_a_loop_hands_over_whole_chunks(tester: JobsTester, calls: Calls) -> None:
    square.enqueue_sync(2)
    square.enqueue_sync(3)
    calls.gate = asyncio.Event()
    calls.gate.set()
    assert tester.drain_queue_sync().completed == 2
    assert calls.made == [[2, 3]]
