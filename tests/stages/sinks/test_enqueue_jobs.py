"""A job for each event."""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import cast

import pytest
import pytest_asyncio
from pydantic import ValidationError

from headrace.jobs.job import Job
from headrace.jobs.jobs import Jobs
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.settings import JobsSettings
from headrace.jobs.stores.memory_store import MemoryStore
from headrace.pipeline.message import Outcome
from headrace.pipeline.stage.producer import Producer
from headrace.stages.sinks.enqueue_jobs import EnqueueJobs, EnqueueJobsOptions
from tests.fakes import job_workers as workers
from tests.fakes.acknowledged_stages import Told
from tests.fakes.job_clock import NOON, MovedClock
from tests.stages.runs import run, run_events

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def jobs() -> AsyncIterator[Jobs]:
    clock = MovedClock()
    made = Jobs(MemoryStore(now=clock), WorkerCatalogue([workers.double]), settings=JobsSettings(now=clock))
    async with made:
        yield made


def enqueue(jobs: Jobs, args: Mapping[str, object], worker: str = workers.double.name, **words: object) -> EnqueueJobs:
    options = EnqueueJobsOptions.model_validate({"worker": worker, "args": args, **words})
    return EnqueueJobs(options, jobs)


async def kept(jobs: Jobs) -> list[Job]:
    return await jobs.store.find(JobFilter(), 10_000, is_newest_first=False)


async def test_each_event_becomes_a_job_with_arguments_that_read_it(jobs: Jobs) -> None:
    ran = await run_events([{"n": number} for number in range(1500)], enqueue(jobs, {"number": "event.n + 1"}))
    assert ran.outcome.is_fine
    found = await kept(jobs)
    assert [job.args["number"] for job in found] == list(range(1, 1501))
    assert {(job.worker, job.queue, job.state) for job in found} == {(workers.double.name, "default", "available")}


async def test_arguments_that_do_not_fit_the_worker_fail_their_event_alone(jobs: Jobs) -> None:
    ran = await run_events([{"n": 1}, {"n": "x"}, {}, {"n": 2}], enqueue(jobs, {"number": "event.n"}))
    assert ran.outcome.events_failed == 2
    assert [job.args["number"] for job in await kept(jobs)] == [1, 2]


async def test_the_commit_of_a_batch_is_its_acknowledgement(jobs: Jobs) -> None:
    source = Told(3)
    await run(cast("Producer[object]", source), enqueue(jobs, {"number": "event"}))
    assert source.outcomes() == [Outcome.DONE] * 3
    assert len(await kept(jobs)) == 3


async def test_a_message_whose_arguments_do_not_fit_is_told_that_it_failed(jobs: Jobs) -> None:
    source = Told(3)
    await run(cast("Producer[object]", source), enqueue(jobs, {"number": "event if event != 2 else 'x'"}))
    assert source.outcomes() == [Outcome.DONE, Outcome.FAILED, Outcome.DONE]


async def test_unique_jobs_are_enqueued_once(jobs: Jobs) -> None:
    stage = enqueue(jobs, {"number": "event.n"}, unique={"keys": ["number"]})
    assert (await run_events([{"n": 1}, {"n": 1}, {"n": 2}], stage)).outcome.is_fine
    assert [job.args["number"] for job in await kept(jobs)] == [1, 2]


async def test_jobs_may_wait_and_have_a_queue_a_priority_and_tags_of_their_own(jobs: Jobs) -> None:
    stage = enqueue(jobs, {"number": "event"}, schedule_in="10m", queue="slow", priority=3, tags=["Night"])
    await run_events([1], stage)
    (job,) = await kept(jobs)
    assert (job.state, job.queue, job.priority, job.tags) == ("scheduled", "slow", 3, ["night"])
    assert (job.scheduled_at - NOON).total_seconds() == 600


async def test_a_worker_of_another_program_gets_the_arguments_as_they_are(jobs: Jobs) -> None:
    await run_events([{"sku": "a"}], enqueue(jobs, {"key": "event.sku", "kind": "'new'"}, "Elixir.Shop.Lookup"))
    (job,) = await kept(jobs)
    assert (job.worker, job.args) == ("Elixir.Shop.Lookup", {"key": "a", "kind": "new"})


async def test_a_time_among_the_arguments_of_another_programs_worker_is_text(jobs: Jobs) -> None:
    event = {"at": datetime(2026, 11, 24, tzinfo=UTC), "price": Decimal("1.50")}
    ran = await run_events([event], enqueue(jobs, {"at": "event.at", "price": "event.price"}, "Elixir.Shop.Lookup"))
    assert ran.outcome.is_fine
    (job,) = await kept(jobs)
    assert job.args == {"at": "2026-11-24T00:00:00+00:00", "price": 1.5}


async def test_options_that_make_no_sense_are_refused() -> None:
    for options in (
        {},
        {"worker": ""},
        {"worker": "a", "args": "event"},
        {"worker": "a", "args": {"n": "event."}},
        {"worker": "a", "priority": 10},
        {"worker": "a", "schedule_in": 10},
        {"worker": "a", "unique": {"fields": []}},
        {"worker": "a", "unique": {"states": "some"}},
    ):
        with pytest.raises(ValidationError):
            EnqueueJobsOptions.model_validate(options)
