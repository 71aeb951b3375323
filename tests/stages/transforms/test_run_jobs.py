"""Jobs in the middle of a pipeline, whose results go on."""

from collections.abc import AsyncIterator
from typing import cast

import pytest
import pytest_asyncio
from pydantic import ValidationError

from headrace.jobs.errors import NotRecorded
from headrace.jobs.job import Job
from headrace.jobs.jobs import Jobs
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.stores.memory_store import MemoryStore
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.message import Outcome
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.settings import Concurrency, StageSettings
from headrace.pipeline.topology.topology import Topology
from headrace.stages.functions import data_of
from headrace.stages.transforms.run_jobs import RunJobs, RunJobsOptions
from tests.fakes import job_workers as workers
from tests.fakes.acknowledged_stages import Told
from tests.fakes.failing_stages import Kept
from tests.fakes.stepping import until
from tests.stages.runs import chain, run, run_events

pytestmark = pytest.mark.asyncio


@pytest.fixture
def bench() -> workers.Bench:
    return workers.clear_bench()


@pytest_asyncio.fixture
async def jobs(bench: workers.Bench) -> AsyncIterator[Jobs]:
    known = WorkerCatalogue([workers.double, workers.wait, workers.fail])
    async with Jobs(MemoryStore(), known, {"default": 10}) as made:
        yield made


def stage(jobs: Jobs, worker: str, args: dict[str, str]) -> RunJobs:
    return RunJobs(RunJobsOptions.model_validate({"worker": worker, "args": args}), jobs)


async def kept(jobs: Jobs) -> list[Job]:
    return await jobs.store.find(JobFilter(), 10_000, is_newest_first=False)


async def test_results_are_emitted_in_the_order_of_their_events(jobs: Jobs) -> None:
    ran = await run_events(range(1200), stage(jobs, workers.double.name, {"number": "event"}))
    assert ran.outcome.is_fine
    assert ran.events == [number * 2 for number in range(1200)]


async def test_a_batch_need_not_wait_for_the_one_before_it(jobs: Jobs, bench: workers.Bench) -> None:
    topology, kept_events = Topology(), Kept()
    topology.add("events", Producer.from_stream(["slow", "quick"]))
    said = StageSettings(concurrency=Concurrency(2, is_ordered=False))
    events = SubscribeTo("events", max_demand=2, min_demand=1)
    topology.add("run", lambda: stage(jobs, workers.wait.name, {"key": "event"}), subscribe_to=events, settings=said)
    topology.add("kept", lambda: kept_events, subscribe_to="run")
    await topology.start()
    bench.gates["quick"].set()
    await until(lambda: len(kept_events.data) == 1)
    bench.gates["slow"].set()
    assert (await topology.join()).is_fine
    assert len(kept_events.data) == 2


async def test_a_worker_that_records_nothing_gives_none(jobs: Jobs, bench: workers.Bench) -> None:
    bench.gates["a"].set()
    ran = await run_events(["a"], stage(jobs, workers.wait.name, {"key": "event"}))
    assert ran.events == [None]


async def test_arguments_that_do_not_fit_fail_their_event_alone(jobs: Jobs) -> None:
    ran = await run_events([1, "x", 2], stage(jobs, workers.double.name, {"number": "event"}))
    assert (ran.events, ran.outcome.events_failed) == ([2, 4], 1)


async def test_a_message_is_told_what_became_of_its_job(jobs: Jobs) -> None:
    source = Told(3)
    ran = await run(
        cast("Producer[object]", source),
        stage(jobs, workers.double.name, {"number": "event if event != 2 else 'x'"}),
    )
    assert [data_of(event) for event in ran.events] == [2, 6]
    assert source.outcomes() == [Outcome.DONE, Outcome.FAILED, Outcome.DONE]


async def test_a_job_that_is_cancelled_fails_its_event_alone(jobs: Jobs, bench: workers.Bench) -> None:
    topology, collect = chain(
        Producer.from_stream(["a", "b"]), lambda: stage(jobs, workers.wait.name, {"key": "event"})
    )
    await topology.start()
    await until(lambda: bench.running == 2)
    await jobs.cancel(JobFilter(args={"key": "a"}))
    bench.gates["b"].set()
    outcome = await topology.join()
    assert (collect.events, outcome.events_failed) == ([None], 1)


async def test_a_run_that_is_stopped_leaves_its_jobs_to_run(jobs: Jobs, bench: workers.Bench) -> None:
    topology, _ = chain(Producer.from_stream(["a"]), lambda: stage(jobs, workers.wait.name, {"key": "event"}))
    await topology.start()
    await until(lambda: bench.running == 1)
    await topology.stop()
    assert bench.running == 1
    bench.gates["a"].set()
    (job,) = await kept(jobs)
    with pytest.raises(NotRecorded):
        await jobs.result(job.id, 5)


async def test_options_that_make_no_sense_are_refused() -> None:
    for options in ({}, {"worker": "a", "args": "event"}, {"worker": "a", "queue": ""}):
        with pytest.raises(ValidationError):
            RunJobsOptions.model_validate(options)
