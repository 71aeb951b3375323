"""What another OS process commits is seen within tens of milliseconds: jobs to run, and ends of jobs."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from headrace.database.sqlite_file import FileChanges
from headrace.jobs import results as endings
from headrace.jobs.job import NewJob
from headrace.jobs.jobs import Jobs
from headrace.jobs.rules.limits import QueueLimits, RateLimit
from headrace.jobs.running import queue as engine
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.settings import QueueOptions
from headrace.jobs.stores.sqlite_store import SqliteStore
from headrace.jobs.worker import worker
from tests.fakes import job_workers as workers
from tests.fakes.elixir_rows import raw

pytestmark = pytest.mark.asyncio


@pytest.fixture(autouse=True)
def _nobody_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing but the watch notice what others have done."""
    monkeypatch.setattr("headrace.jobs.jobs.IDLE_POLL_SECONDS", 3600.0)
    monkeypatch.setattr(engine, "POLL_SECONDS", 3600.0)
    monkeypatch.setattr(endings, "CHECK_SECONDS", 3600.0)


async def test_a_job_and_its_result_pass_between_two_processes_at_once(tmp_path: Path) -> None:
    @worker(name="double", record=True)
    async def double(number: int) -> int:
        return 2 * number

    path = tmp_path / "jobs.db"
    async with (
        Jobs(SqliteStore(path), WorkerCatalogue([workers.double])) as asks,
        Jobs(SqliteStore(path), WorkerCatalogue([double]), {"default": 2, "other": 1}),
    ):
        (inserted,) = await asks.insert([NewJob("double", {"number": 4})])
        assert inserted is not None
        assert await asks.result(inserted.id, 10.0) == 8


async def test_a_row_that_no_headrace_inserted_starts_at_once(tmp_path: Path) -> None:
    path, began = tmp_path / "jobs.db", asyncio.Event()

    @worker(name="begin")
    async def begin() -> None:
        began.set()

    async with Jobs(SqliteStore(path), WorkerCatalogue([begin]), {"default": 2}):
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("insert into oban_jobs (worker) values ('begin')")
        other.close()
        async with asyncio.timeout(10):
            await began.wait()


async def test_a_queue_that_may_not_start_what_waits_does_not_wake_itself(tmp_path: Path) -> None:
    """Each look would be followed by the next one, if a claim that takes nothing changed the file."""
    store = SqliteStore(tmp_path / "jobs.db")
    limited = QueueOptions(2, QueueLimits(rate_limit=RateLimit(1, 3600.0)))
    async with Jobs(store, WorkerCatalogue([workers.triple]), {"default": limited}):
        first = await workers.triple.enqueue(1)
        await workers.triple.enqueue(2)
        await first.result(10.0)
        changes = FileChanges(store.path)
        while changes.has_changed():  # noqa: ASYNC110 - it is to be over some day
            await asyncio.sleep(0.01)
        assert raw(store.path, "select count(*) from oban_jobs where state = 'available'") == [(1,)]


async def test_queues_with_jobs_are_found_whatever_waits_in_them(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "jobs.db")
    await store.open()
    assert await store.available_queues() == []
    jobs = [NewJob("build", queue=name) for name in ("b", "a", "b", "c")]
    await store.insert([*jobs, NewJob("build", queue="d", state="suspended")])
    assert await store.available_queues() == ["a", "b", "c"]
    await store.close()
