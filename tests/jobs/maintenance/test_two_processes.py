"""A job whose time has come, where one process does the upkeep and another one runs the queue."""

import asyncio
import logging
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from headrace.jobs.job import AttemptCompleted, Job, JobOutcome, NewJob, after
from headrace.jobs.jobs import Jobs
from headrace.jobs.maintenance.maintenance import STAGE_SECONDS, Leader, Maintenance, Stager
from headrace.jobs.running.queue import POLL_SECONDS, JobQueue, QueueContext
from headrace.jobs.running.task_pool import PlainAttempts
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.settings import JobsSettings
from headrace.jobs.stores.memory_store import MemoryStore
from headrace.jobs.stores.sqlite_store import SqliteStore
from headrace.otp.scheduler import Scheduler
from tests.fakes import job_workers as workers
from tests.fakes.job_clock import NOON, MovedClock
from tests.fakes.jumping import jumped, when
from tests.fakes.kept_jobs import ME
from tests.fakes.stepping import until

SLACK_SECONDS = 0.001
"""Times of jobs are whole microseconds, and those of the loop are not."""


async def lateness(insert_at: float, due_at: float) -> float:
    """Return how many seconds late a job begins that is inserted at one time and due at another one."""
    loop = asyncio.get_running_loop()
    began: list[float] = []

    def now() -> datetime:
        return NOON + timedelta(seconds=loop.time())

    async def run(_: Job) -> JobOutcome:
        began.append(loop.time())
        return AttemptCompleted()

    store = MemoryStore(now=now)
    upkeep = Maintenance(Leader(store, "leads", clock=loop.time), [Stager(store, now, lambda _: None)])
    queue = JobQueue(
        ME, 1, PlainAttempts(run), QueueContext(store, Scheduler())
    )  # nobody tells it of anything: it is another process'
    async with asyncio.TaskGroup() as together:
        leading = together.create_task(upkeep.run())
        queue.start()
        await asyncio.sleep(insert_at)
        await store.insert([NewJob("build", scheduled_at=after(NOON, due_at))])
        await when(lambda: bool(began))
        await queue.stop(0.0)
        leading.cancel()
    return began[0] - due_at


@pytest.mark.parametrize("due_at", [5.0, 5.3, 5.6, 5.95, 61.37])
def test_a_job_begins_within_one_look_of_its_time_when_another_process_leads(due_at: float) -> None:
    assert -SLACK_SECONDS <= jumped(lateness(0.5, due_at)) <= POLL_SECONDS + SLACK_SECONDS


@pytest.mark.parametrize("insert_at", [3.0, 3.25, 3.5, 3.75])
def test_one_that_is_due_at_once_waits_for_one_look_of_each_at_most(insert_at: float) -> None:
    late = jumped(lateness(insert_at, insert_at + 0.01))
    assert -SLACK_SECONDS <= late <= STAGE_SECONDS + POLL_SECONDS + SLACK_SECONDS


@pytest.mark.asyncio
async def test_a_service_runs_what_the_leader_of_another_one_stages(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock, path = MovedClock(), tmp_path / "jobs.db"
    workers.clear_bench()
    caplog.set_level(logging.INFO)

    def service(node: str, modules: list[str], queue: str) -> Jobs:
        settings = JobsSettings(node=node, now=clock)
        return Jobs(SqliteStore(path, now=clock), WorkerCatalogue.of_modules(modules), {queue: 1}, settings)

    async with service("leads", [], "other"):
        await until(lambda: "leads does the maintenance" in caplog.text)
        async with service("runs", ["tests.fakes.job_workers"], "default") as jobs:
            handle = await workers.double.schedule_in(5, 21)
            assert (await handle.job()).state == "scheduled"
            clock.move(6)  # the lease of the leader goes by this clock, and is longer
            assert await handle.result(20) == 42
            assert (await handle.job()).attempted_by[0] == jobs.settings.node == "runs"
            assert "runs does the maintenance" not in caplog.text
