"""A `def` that outlasts the drain: it keeps its lease, its answer is written, and it does not run twice."""

import asyncio
import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.jobs.job import Job
from headrace.jobs.jobs import Jobs
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.running import queue as queues
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.running_job import RunningJob
from headrace.jobs.settings import JobsSettings
from headrace.jobs.stores.memory_store import MemoryStore
from headrace.jobs.stores.sqlite_store import SqliteStore
from headrace.jobs.worker import worker
from tests.fakes.elixir_rows import raw
from tests.fakes.stepping import until


class Hall:
    """Workers in threads that wait at a gate, and what they did."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.gate = threading.Event()
        self.calls: list[str] = []
        self.error: Exception | None = None
        self.exhausted: list[int] = []

        def stay(name: str) -> str:
            self.calls.append(name)
            assert self.gate.wait(20)
            if self.error is not None:
                raise self.error
            return f"{name} done"

        def follow(name: str) -> None:
            self.calls.append(name)
            assert self.gate.wait(20)
            self.stay.enqueue_sync("followed")

        def yielding(running: RunningJob) -> None:
            self.calls.append("yielding")
            while not running.is_cancelled:
                self.gate.wait(0.001)

        def report(job: Job, error: str) -> None:
            self.exhausted.append(job.id)

        self.stay = worker(name="stay", record=True, max_attempts=1)(stay)
        self.told = worker(name="told", max_attempts=1, on_exhausted=report)(stay)
        self.follow = worker(name="follow")(follow)
        self.yielding = worker(name="yielding")(yielding)

    def jobs(self, **queues: int) -> Jobs:
        workers = WorkerCatalogue([self.stay, self.told, self.follow, self.yielding])
        return Jobs(SqliteStore(self.path), workers, queues or {"default": 5}, JobsSettings(grace_seconds=0.0))

    def rows(self) -> list[tuple[object, ...]]:
        return raw(self.path, "select state, attempt, json_extract(meta, '$.crashes') from oban_jobs order by id")

    def finish(self) -> None:
        """Open the gate, and wait until no thread of a job runs any more, and the store is closed."""
        self.gate.set()
        for thread in threading.enumerate():
            if thread.name.startswith(("headrace-executor", "headrace writes")):
                thread.join(20)


@pytest.fixture
def hall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hall]:
    monkeypatch.setattr(queues, "LEFT_SECONDS", 0.01)
    hall = Hall(tmp_path / "jobs.db")
    yield hall
    hall.finish()


async def left_behind(hall: Hall, name: str, *args: str) -> None:
    """Run one job of a worker, and close its service meanwhile."""
    async with hall.jobs():
        await getattr(hall, name).enqueue(*args)
        await until(lambda: len(hall.calls) == 1)


async def look_from_elsewhere(hall: Hall) -> None:
    """Do what another process would do with the job: rescue it where it may."""
    async with hall.jobs() as jobs:
        assert await jobs.store.rescue() == []


def test_asyncio_run_returns_and_the_answer_is_written_when_the_thread_ends(
    hall: Hall, caplog: pytest.LogCaptureFixture
) -> None:
    asyncio.run(left_behind(hall, "stay", "a"))
    assert "leaves jobs behind in threads, which cannot be ended; they keep their lease: 1 (stay)" in caplog.text
    asyncio.run(look_from_elsewhere(hall))
    assert hall.rows() == [("executing", 1, None)]
    with caplog.at_level(logging.INFO):
        hall.finish()
    assert hall.rows() == [("completed", 1, None)]
    ((meta,),) = raw(hall.path, "select meta from oban_jobs")
    assert json.loads(str(meta))["return"] == "a done"
    assert hall.calls == ["a"]
    assert "job 1 of worker 'stay', which outlasted the drain, has ended" in caplog.text
    assert raw(hall.path, "select count(*) from headrace_producers where queue = 'default'") == [(0,)]


def test_a_failure_after_the_drain_is_written_and_logged(hall: Hall, caplog: pytest.LogCaptureFixture) -> None:
    hall.error = ValueError("too late")
    asyncio.run(left_behind(hall, "stay", "a"))
    hall.finish()
    assert hall.rows() == [("discarded", 1, None)]
    assert "job 1 of worker 'stay' is discarded after attempt 1 of 1: ValueError: too late" in caplog.text


def test_a_last_failure_after_the_drain_runs_again_where_on_exhausted_can_be_called(hall: Hall) -> None:
    hall.error = ValueError("too late")
    asyncio.run(left_behind(hall, "told", "a"))
    hall.finish()
    assert hall.rows() == [("available", 0, None)]
    assert hall.exhausted == []

    async def again() -> None:
        async with hall.jobs() as jobs:
            await until(lambda: jobs.metrics.finished(["discarded"]) == 1)

    asyncio.run(again())
    assert hall.exhausted == [1]


def test_a_def_that_outlasts_the_drain_may_enqueue_at_its_end(hall: Hall) -> None:
    asyncio.run(left_behind(hall, "follow", "a"))
    hall.finish()
    assert hall.rows() == [("completed", 1, None), ("available", 0, None)]


def test_workers_of_a_closed_service_are_free_for_another_while_one_of_its_threads_runs(hall: Hall) -> None:
    asyncio.run(left_behind(hall, "stay", "a"))

    async def again() -> None:
        hall.gate.set()
        async with hall.jobs():
            assert await (await hall.stay.enqueue("b")).result(5) == "b done"

    asyncio.run(again())
    hall.finish()
    assert hall.rows() == [("completed", 1, None)] * 2


def test_a_def_that_gives_way_to_the_stop_runs_again(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "LEFT_SECONDS", 20.0)
    asyncio.run(left_behind(hall, "yielding"))
    assert hall.rows() == [("available", 0, None)]


def test_a_def_that_ends_after_its_grace_keeps_its_answer(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "LEFT_SECONDS", 20.0)

    async def run() -> None:
        async with hall.jobs() as jobs:
            await hall.stay.enqueue("a")
            await until(lambda: hall.calls == ["a"])
            queue = jobs.queues["default"]
            closing = asyncio.ensure_future(jobs.close())
            await until(lambda: queue._is_grace_stopped)
            hall.gate.set()
            await closing

    asyncio.run(run())
    assert hall.rows() == [("completed", 1, None)]


def test_a_grace_ends_when_it_is_cut_short(hall: Hall) -> None:
    async def run() -> None:
        async with hall.jobs() as jobs:
            await hall.stay.enqueue("a")
            await until(lambda: hall.calls == ["a"])
            queue = jobs.queues["default"]
            stopping = asyncio.ensure_future(queue.stop(3600.0))
            await until(lambda: queue._is_stopping)
            jobs.stop_grace()
            await stopping

    asyncio.run(run())
    hall.finish()
    assert hall.rows() == [("completed", 1, None)]


def test_a_job_in_memory_that_outlasts_the_drain_keeps_its_answer(hall: Hall) -> None:
    store = MemoryStore()

    async def run() -> None:
        async with Jobs(store, WorkerCatalogue([hall.stay]), {"default": 1}, JobsSettings(grace_seconds=0.0)):
            await hall.stay.enqueue("a")
            await until(lambda: hall.calls == ["a"])
        assert await store.rescue() == []

    asyncio.run(run())
    hall.finish()
    (job,) = asyncio.run(store.find(JobFilter(), 5))
    assert (job.state, job.meta["return"]) == ("completed", "a done")
