"""Batches: each callback runs once, at its time, however the members end and whoever dies meanwhile."""

import pytest

from headrace.jobs.errors import BadBatch
from headrace.jobs.flows.batch import Batch, BatchRun
from headrace.jobs.job import AttemptFailed, JobOutcome, NewJob, Unique
from headrace.jobs.maintenance.maintenance import AdvanceSweep
from headrace.jobs.rules.job_filter import JobFilter
from tests.fakes.job_groups import CALLED_OFF, DONE, GIVEN_UP, StoreService

pytestmark = pytest.mark.asyncio


def a_batch(count: int) -> Batch:
    """Return a batch with all callbacks, which are called as they are due."""
    callbacks = {name: NewJob(name.removeprefix("on_")) for name in ("on_ended", "on_completed", "on_failed")}
    batch = Batch("nightly", **callbacks)
    batch.add(*(NewJob("w", {"n": f"m{number}"}) for number in range(count)))
    return batch


async def test_callbacks_run_once_when_all_members_have_ended(service: StoreService) -> None:
    run = await a_batch(3).start(service)
    for name in await service.claim():
        assert service.ran == ["m0", "m1", "m2"]
        await service.end(name)
    assert await service.claim() == ["ended", "completed"]
    await run.advance()
    assert await service.claim() == []
    assert [job.worker for job in await service.store.find(JobFilter(states=frozenset({"cancelled"})), 9)] == ["failed"]


@pytest.mark.parametrize("outcome", [GIVEN_UP, CALLED_OFF])
async def test_the_first_failure_is_told_at_once(service: StoreService, outcome: JobOutcome) -> None:
    await a_batch(2).start(service)
    await service.claim()
    await service.end("m0", outcome)
    assert await service.claim() == ["failed"]
    await service.end("m1")
    assert await service.claim() == ["ended"]


async def test_a_member_that_is_tried_again_has_not_ended(service: StoreService) -> None:
    await a_batch(1).start(service)
    await service.claim()
    await service.end("m0", AttemptFailed("no luck", 60))
    assert await service.claim() == []
    await service.store.run_now(JobFilter())
    assert await service.claim() == ["m0"]
    await service.end("m0")
    assert await service.claim() == ["ended", "completed"]


async def test_members_that_are_cancelled_have_ended(service: StoreService) -> None:
    run = await a_batch(3).start(service)
    await service.claim(1)
    assert len(await run.cancel()) == 3
    assert await service.claim() == ["ended", "failed"]


async def test_a_batch_without_members_is_over_at_once(service: StoreService) -> None:
    await a_batch(0).start(service)
    assert await service.claim() == ["ended", "completed"]
    assert (await (await Batch().start(service)).progress()).total == 0


async def test_a_callback_survives_whoever_ended_the_last_member(service: StoreService) -> None:
    run = await a_batch(2).start(service)
    for name in await service.claim():
        await service.end(name, DONE, steps=0)
    periodic_tasks = [AdvanceSweep(service.store), AdvanceSweep(service.store)]
    for task in periodic_tasks:
        await task.run()
    assert await service.claim() == ["ended", "completed"]
    assert (await run.progress()).states == {"completed": 2}


async def test_a_double_is_waited_for_where_it_is(service: StoreService) -> None:
    unique = NewJob("stock", {"n": "stock"}, unique=Unique(period_seconds=None))
    await service.insert([unique])
    batch = Batch(on_ended=NewJob("ended"))
    batch.add(NewJob("w", {"n": "m"}), unique)
    run = await batch.start(service)
    assert await service.claim() == ["stock", "m"]
    await service.end("m")
    assert await service.claim() == []
    await service.end("stock")
    await run.advance()
    assert await service.claim() == ["ended"]


async def test_progress_counts_members_alone(service: StoreService) -> None:
    run = await a_batch(4).start(service)
    await service.claim(3)
    await service.end("m0")
    await service.end("m1", GIVEN_UP)
    progress = await BatchRun(run.id, service).progress()
    assert progress.states == {"available": 1, "executing": 1, "completed": 1, "discarded": 1}
    assert (progress.total, progress.ended, progress.failed) == (4, 2, 1)


async def test_a_job_is_of_one_batch_alone() -> None:
    batch = Batch("b")
    with pytest.raises(BadBatch, match="cannot have the job of worker 'w', which is in another one"):
        batch.add(NewJob("w", meta={"batch_id": "other"}))
