"""A retry by a filter keeps the order of chains, batches and workflows."""

from pathlib import Path

import pytest

from headrace.jobs.flows.advance import advance_all
from headrace.jobs.flows.batch import Batch
from headrace.jobs.flows.workflow import Workflow, retry_flow
from headrace.jobs.job import AttemptFailed, NewJob
from headrace.jobs.rules.flows import chained, groups_of
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.stores.memory_store import MemoryStore
from headrace.jobs.stores.sqlite_store import SqliteStore
from headrace.jobs.stores.store import LeaseOwner
from tests.fakes.job_groups import CALLED_OFF, GIVEN_UP, StoreService

pytestmark = pytest.mark.asyncio

DEFAULT = JobFilter(queues=frozenset({"default"}))


async def chain(service: StoreService, count: int) -> None:
    jobs = [chained(NewJob("link", {"n": f"link {number}"})) for number in range(count)]
    await service.insert(jobs)
    await advance_all(service.store, groups_of(jobs[0].meta))


async def test_jobs_of_a_chain_do_not_run_at_once_after_a_retry(service: StoreService) -> None:
    await chain(service, 3)
    assert await service.claim() == ["link 0"]
    assert await retry_flow(service.store, DEFAULT) == []
    assert await service.claim() == []


async def test_ended_jobs_of_a_chain_run_again_one_after_the_other(service: StoreService) -> None:
    await chain(service, 4)
    for number in range(3):
        await service.claim()
        await service.end(f"link {number}", GIVEN_UP)
    assert await service.claim() == ["link 3"]
    assert await retry_flow(service.store, JobFilter(states=frozenset({"discarded"}))) == [1, 2, 3]
    assert await service.claim() == []
    for before, after in (("link 3", ["link 0"]), ("link 0", ["link 1"]), ("link 1", ["link 2"]), ("link 2", [])):
        await service.end(before)
        assert await service.claim() == after


async def test_a_job_of_a_chain_that_waits_for_its_next_attempt_runs_now_and_alone(service: StoreService) -> None:
    await chain(service, 2)
    await service.claim()
    await service.end("link 0", AttemptFailed("no luck", 60))
    assert await retry_flow(service.store, DEFAULT) == [1]
    assert await service.claim() == ["link 0"]


class EndsMeanwhile(MemoryStore):
    """A job of it ends as it is about to be retried."""

    async def retry(self, which: JobFilter) -> list[int]:
        await self.cancel(which)
        return await super().retry(which)


async def test_a_job_of_a_chain_that_ends_while_it_is_retried_does_not_run_beside_the_next_one() -> None:
    service = StoreService(EndsMeanwhile())
    await chain(service, 2)
    await service.claim()
    await service.end("link 0", AttemptFailed("no luck", 60))
    assert await retry_flow(service.store, DEFAULT) == []
    (last,) = await service.store.find(JobFilter(), 1)
    await advance_all(service.store, groups_of(last.meta))
    assert await service.claim() == ["link 1"]


class ReleasedMeanwhile(SqliteStore):
    """Another process retries and releases an older job of the chain as this one is about to release a newer one."""

    async def release_next(self, chain_id: str) -> list[int]:
        await super().suspend(JobFilter(ids=frozenset({1})))
        await super().release(JobFilter(ids=frozenset({1})))
        return await super().release_next(chain_id)


async def test_two_processes_that_settle_a_chain_do_not_release_two_of_its_jobs(tmp_path: Path) -> None:
    store = ReleasedMeanwhile(tmp_path / "jobs.db")
    await store.open()
    service = StoreService(store)
    jobs = [chained(NewJob("link", {"n": f"link {number}"})) for number in range(2)]
    await service.insert(jobs)
    await store.cancel(JobFilter(ids=frozenset({1})))
    await advance_all(store, groups_of(jobs[0].meta))
    assert await service.claim() == ["link 0"]
    await store.close()


async def test_a_callback_does_not_run_before_its_batch_has_ended_after_a_retry(service: StoreService) -> None:
    batch = Batch("b", on_ended=NewJob("ended"))
    batch.add(NewJob("member", {"n": "m0"}), NewJob("member", {"n": "m1"}))
    await batch.start(service)
    await service.claim()
    assert await retry_flow(service.store, DEFAULT) == []
    assert await service.claim() == []
    await service.end("m0")
    await service.end("m1", GIVEN_UP)
    assert await service.claim() == ["ended"]
    await service.end("ended", CALLED_OFF)
    failed = JobFilter(states=frozenset({"discarded", "cancelled"}))
    assert len(await retry_flow(service.store, failed)) == 2
    assert await service.claim() == ["m1"]
    await service.end("m1")
    assert await service.claim() == ["ended"]


async def test_a_callback_that_failed_runs_again_where_its_batch_has_ended(service: StoreService) -> None:
    batch = Batch("b", on_completed=NewJob("completed"))
    batch.add(NewJob("member", {"n": "m0"}))
    await batch.start(service)
    await service.claim()
    await service.end("m0")
    await service.claim()
    await service.end("completed", GIVEN_UP)
    assert len(await retry_flow(service.store, JobFilter(states=frozenset({"discarded"})))) == 1
    assert await service.claim() == ["completed"]


async def test_a_step_does_not_run_before_those_before_it_have_ended_after_a_retry(service: StoreService) -> None:
    flow = Workflow("w")
    flow.add(NewJob("second"), "second", after=[flow.add(NewJob("first", queue="other"), "first")])
    await flow.start(service)
    assert await service.store.claim(LeaseOwner("there", "other", "other"), 1)
    assert await retry_flow(service.store, DEFAULT) == []
    assert await service.claim() == []


async def test_a_job_that_a_hand_suspended_alone_is_retried(service: StoreService) -> None:
    await service.insert([NewJob("alone", {"n": "alone"}, state="suspended")])
    assert await retry_flow(service.store, DEFAULT) == [1]
    assert await service.claim() == ["alone"]
