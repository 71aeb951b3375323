"""Jobs of a queue as the events of a pipeline."""

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest
import pytest_asyncio
from pydantic import ValidationError

from headrace.jobs.errors import QueueTaken
from headrace.jobs.job import Job, NewJob
from headrace.jobs.jobs import Jobs
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.stores.memory_store import MemoryStore
from headrace.pipeline.message import Message
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.topology.topology import Topology
from headrace.stages.sources.take_jobs import TakeJobs, TakeJobsOptions
from tests.fakes.stepping import until
from tests.stages.runs import chain

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def jobs() -> AsyncIterator[Jobs]:
    async with Jobs(MemoryStore(), WorkerCatalogue()) as made:
        yield made


async def enqueued(jobs: Jobs, count: int, max_attempts: int = 20) -> None:
    await jobs.insert([NewJob("a.worker", {"n": number}, max_attempts=max_attempts) for number in range(count)])


async def kept(jobs: Jobs) -> list[Job]:
    return await jobs.store.find(JobFilter(), 10_000, is_newest_first=False)


async def states(jobs: Jobs) -> list[str]:
    return [job.state for job in await kept(jobs)]


def take(jobs: Jobs) -> Producer[object]:
    return cast("Producer[object]", TakeJobs(TakeJobsOptions(), jobs))


class Judge(Consumer[Job]):
    """Fails the jobs of odd numbers, and holds those above a bound until it is told."""

    per_event = True

    def __init__(self, held_from: int = 10_000) -> None:
        self.seen: list[object] = []
        self.held_from = held_from
        self.gate = asyncio.Event()

    async def handle_events(self, events: list[Job]) -> None:
        for job in events:
            number = cast("int", job.args["n"])
            self.seen.append(number)
            if number >= self.held_from:
                await self.gate.wait()
            if number % 2:
                self.fail(ValueError(f"{number} is odd"))


def judged(jobs: Jobs, judge: Judge, max_demand: int = 10) -> Topology:
    topology, _ = chain(take(jobs), cast("Consumer[object]", judge), max_demand=max_demand, min_demand=0)
    return topology


async def test_jobs_are_completed_when_what_came_of_them_went_through_and_else_tried_again(jobs: Jobs) -> None:
    await enqueued(jobs, 50)
    judge = Judge()
    async with judged(jobs, judge):
        await until(lambda: len(judge.seen) == 50)
    await jobs.close()
    found = await kept(jobs)
    assert [job.state for job in found] == ["completed", "retryable"] * 25
    assert [job.attempt for job in found] == [1] * 50
    assert "failed" in found[1].errors[0].error


async def test_a_job_without_attempts_left_is_given_up(jobs: Jobs) -> None:
    await enqueued(jobs, 2, max_attempts=1)
    judge = Judge()
    async with judged(jobs, judge):
        await until(lambda: len(judge.seen) == 2)
    await jobs.close()
    assert await states(jobs) == ["completed", "discarded"]


async def test_no_more_is_claimed_than_is_asked_for(jobs: Jobs) -> None:
    await enqueued(jobs, 40)
    judge = Judge(held_from=0)
    topology = judged(jobs, judge, max_demand=7)
    await topology.start()
    await until(lambda: bool(judge.seen))
    for _ in range(200):
        await asyncio.sleep(0)
    assert (await states(jobs)).count("executing") == 7
    judge.gate.set()
    await until(lambda: len(judge.seen) == 40)
    await topology.drain()


async def test_jobs_that_come_later_are_taken_too(jobs: Jobs) -> None:
    judge = Judge()
    async with judged(jobs, judge):
        await enqueued(jobs, 3)
        await until(lambda: len(judge.seen) == 3)
        await enqueued(jobs, 3)
        await until(lambda: len(judge.seen) == 6)


async def test_what_has_not_ended_when_the_run_does_is_put_back_at_no_cost(jobs: Jobs) -> None:
    await enqueued(jobs, 4)
    judge = Judge(held_from=0)
    topology = judged(jobs, judge)
    await topology.start()
    await until(lambda: bool(judge.seen))
    await topology.stop()
    await jobs.close()
    assert [(job.state, job.attempt) for job in await kept(jobs)] == [("available", 0)] * 4


class Trips(TakeJobs):
    """Crashes once, at its third demand, whichever copy of the stage that is made of."""

    def __init__(self, jobs: Jobs, demands: list[int]) -> None:
        super().__init__(TakeJobsOptions(), jobs)
        self.demands = demands

    def handle_demand(self, demand: int) -> list[Message[object]]:
        self.demands.append(demand)
        if len(self.demands) == 3:
            raise OSError
        return super().handle_demand(demand)


async def test_a_stage_that_crashes_loses_no_job_and_leaves_none_executing(jobs: Jobs) -> None:
    await jobs.insert([NewJob("a.worker", {"n": 2 * number}) for number in range(50)])
    judge, demands = Judge(), list[int]()
    topology, _ = chain(
        lambda: cast("Producer[object]", Trips(jobs, demands)),
        cast("Consumer[object]", judge),
        max_demand=5,
        min_demand=0,
    )
    async with topology:
        await until(lambda: {*judge.seen} == {2 * number for number in range(50)})
    assert len(demands) > 3
    await jobs.close()
    assert await states(jobs) == ["completed"] * 50


async def test_a_job_that_is_cancelled_meanwhile_stays_so(jobs: Jobs) -> None:
    await enqueued(jobs, 1)
    judge = Judge(held_from=0)
    async with judged(jobs, judge):
        await until(lambda: bool(judge.seen))
        await jobs.cancel(JobFilter())
        judge.gate.set()
    assert await states(jobs) == ["cancelled"]


async def test_a_queue_that_workers_run_is_not_taken() -> None:
    async with Jobs(MemoryStore(), WorkerCatalogue(), {"default": 1}) as jobs:
        with pytest.raises(QueueTaken, match="default"):
            jobs.take("default", lambda _: asyncio.sleep(0, None))  # type: ignore[arg-type] # never run


async def test_options_that_make_no_sense_are_refused() -> None:
    for options in ({"queue": ""}, {"queue": 5}, {"limit": 1}):
        with pytest.raises(ValidationError):
            TakeJobsOptions.model_validate(options)
