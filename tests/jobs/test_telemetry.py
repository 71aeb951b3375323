"""Telemetry events of jobs: one for each group, and the handlers of the service itself."""

from typing import cast

import pytest

from headrace.jobs import results
from headrace.jobs.flows.workflow import Workflow
from headrace.jobs.job import Job
from headrace.jobs.jobs import Jobs
from headrace.jobs.running.queue import JOB_EVENTS, EndedAttempt
from headrace.jobs.settings import JobsSettings
from headrace.jobs.stores.memory_store import MemoryStore
from headrace.jobs.worker import worker
from headrace.telemetry.events import EventName, Measurements, Metadata, Telemetry
from tests.fakes.stepping import until

pytestmark = pytest.mark.asyncio


@worker(name="halve", record=True)
async def halve(number: int) -> int:
    if number % 2:
        raise ValueError(number)
    return number // 2


def service(telemetry: Telemetry | None = None) -> Jobs:
    return Jobs(MemoryStore(), halve, {"default": 10}, JobsSettings(logs_failures=False), telemetry)


async def test_jobs_emit_an_event_for_each_group_that_starts_ends_or_fails() -> None:
    telemetry = Telemetry()
    seen: list[tuple[str, float, object]] = []

    def handle(name: EventName, measurements: Measurements, metadata: Metadata) -> None:
        jobs = cast("list[Job]", metadata.get("jobs", ()))
        attempts = cast("list[EndedAttempt]", metadata.get("attempts", ()))
        assert metadata["queue"] == "default"
        assert all(one.seconds is not None and one.seconds >= 0 for one in attempts)
        numbers = [job.args["number"] for job in (*jobs, *(one.job for one in attempts))]
        seen.append((name[-1], measurements["count"], numbers))

    telemetry.attach("test", JOB_EVENTS, handle)
    async with service(telemetry):
        await halve.enqueue_many([(number,) for number in range(4)])
        await until(lambda: len(seen) == 3)
    assert seen == [("start", 4, [0, 1, 2, 3]), ("stop", 2, [0, 2]), ("exception", 2, [1, 3])]


async def test_a_result_and_a_workflow_wait_for_no_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their handlers are attached by the service; without them only a poll would notice the end of a job."""
    monkeypatch.setattr(results, "CHECK_SECONDS", 3600.0)
    monkeypatch.setattr("headrace.jobs.maintenance.maintenance.ADVANCE_SECONDS", 3600.0)
    async with service() as jobs:
        assert await (await halve.enqueue(8)).result(10.0) == 4
        workflow = Workflow()
        workflow.add(halve.new(2), "first")
        workflow.add(halve.new(4), "second", after=["first"])
        run = await workflow.start(jobs)
        second = (await run.jobs())["second"]
        assert await jobs.result(second.id, 10.0) == 2


async def test_a_handler_that_raises_costs_no_job_its_end(caplog: pytest.LogCaptureFixture) -> None:
    def fail(name: EventName, measurements: Measurements, metadata: Metadata) -> None:
        raise ValueError(name)

    async with service() as jobs:
        jobs.telemetry.attach("mine", JOB_EVENTS, fail)
        assert await (await halve.enqueue(8)).result(10.0) == 4
    assert jobs.metrics.finished(["completed"]) == 1
    assert "telemetry handler 'mine' raised" in caplog.text
