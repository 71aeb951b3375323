"""What goes wrong around a service of jobs: it is said clearly, the jobs are in the right state, none is lost."""

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from headrace.database.sqlite_file import SqliteError
from headrace.jobs.errors import JobDiscarded, NewerSchema, NotBound
from headrace.jobs.job import INCOMPLETE, Job, NewJob
from headrace.jobs.jobs import Jobs
from headrace.jobs.metrics import JobsProbe
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.running import queue as queues
from headrace.jobs.running import task_pool as runners
from headrace.jobs.stores.sqlite_store import SqliteStore
from headrace.jobs.worker import worker
from tests.fakes.elixir_rows import raw
from tests.fakes.job_desk import Desk
from tests.fakes.stepping import until

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(queues, "RETRY_SECONDS", 0.001)
    return Desk(tmp_path / "jobs.db")


@pytest_asyncio.fixture
async def jobs(desk: Desk) -> AsyncIterator[Jobs]:
    async with desk.service() as jobs:
        yield jobs
        desk.gate.set()


async def pragma(jobs: Jobs, text: str) -> None:
    assert isinstance(jobs.store, SqliteStore)
    await jobs.store.writer.run(lambda connection: connection.execute(f"PRAGMA {text}").fetchall())


async def ended(jobs: Jobs, job_id: int) -> Job:
    while True:
        job = await jobs.store.get(job_id)
        assert job is not None
        if job.state not in INCOMPLETE:
            return job
        await asyncio.sleep(0)


async def test_on_a_full_disk_an_enqueue_fails_and_what_ran_is_told_once_there_is_room(desk: Desk, jobs: Jobs) -> None:
    handle = await desk.wait.enqueue(1)
    await until(lambda: desk.calls == [1])
    large = NewJob("other", {"text": "x" * 100_000})
    await pragma(jobs, "max_page_count = 1")  # SQLite takes it as: no more than there are
    with pytest.raises(SqliteError, match="make room on the disk"):
        await jobs.insert([large])
    desk.gate.set()
    await pragma(jobs, "max_page_count = 100000")
    assert await handle.result(5) == 1
    (inserted,) = await jobs.insert([large])
    assert inserted is not None
    assert desk.calls == [1]


class Switch:
    """Makes the writer's connection unable to write, from any thread."""

    def __init__(self) -> None:
        self.is_off = False

    async def built_into(self, jobs: Jobs) -> "Switch":
        assert isinstance(jobs.store, SqliteStore)
        await jobs.store.writer.run(self._build_in)
        return self

    def _build_in(self, connection: sqlite3.Connection) -> None:
        def obey(statement: str) -> None:
            if statement.startswith("BEGIN"):
                connection.execute(f"PRAGMA query_only = {int(self.is_off)}")

        connection.set_trace_callback(obey)


async def test_a_file_that_may_not_be_written_any_more_loses_nothing(
    desk: Desk, jobs: Jobs, caplog: pytest.LogCaptureFixture
) -> None:
    handle = await desk.wait.enqueue(1)
    await until(lambda: desk.calls == [1])
    switch = await Switch().built_into(jobs)
    switch.is_off = True  # what SQLite says then is what it says of a file that is read-only
    with pytest.raises(SqliteError, match="give this user the right to write"):
        await desk.wait.enqueue(2)
    desk.gate.set()
    await until(lambda: "cannot write how 1 jobs ended, and tries again" in caplog.text)
    job = await jobs.get(handle.id)
    assert job is not None
    assert job.state == "executing"
    probe = JobsProbe(jobs)
    assert "give this user the right to write" in (await probe.error() or "")
    switch.is_off = False
    assert await handle.result(5) == 1
    assert await probe.error() is None
    assert desk.calls == [1]


async def test_a_file_that_is_deleted_is_said_and_keeps_nobody_from_closing(
    desk: Desk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "ACKNOWLEDGE_SECONDS", 0.01)
    async with desk.service():
        await desk.wait.enqueue(1)
        await until(lambda: desk.calls == [1])
        for file in desk.path.parent.iterdir():
            file.unlink()
        with pytest.raises(SqliteError, match="it was deleted or replaced while it was open"):
            await desk.wait.enqueue(2)
        desk.gate.set()
        await until(lambda: "cannot write how 1 jobs ended" in caplog.text)
    assert "could not write how jobs ended; they run again when their lease is out: 1" in caplog.text
    assert "the release of the lease of queue 'default' failed: the SQLite file" in caplog.text
    with pytest.raises(NotBound):  # the workers are free for others
        await desk.wait.enqueue(3)
    desk.path = desk.path.with_name("new.db")
    async with desk.service():
        assert await (await desk.wait.enqueue(4)).result(5) == 4


async def test_tables_that_are_gone_stop_no_queue_for_good(
    desk: Desk, jobs: Jobs, caplog: pytest.LogCaptureFixture
) -> None:
    handle = await desk.wait.enqueue(1)
    await until(lambda: desk.calls == [1])
    raw(desk.path, "alter table oban_jobs rename to away")
    desk.gate.set()
    await until(lambda: "cannot write how 1 jobs ended, and tries again" in caplog.text)
    jobs.queues["default"].has_work()
    await until(lambda: "cannot claim jobs, and tries again" in caplog.text)
    raw(desk.path, "alter table away rename to oban_jobs")
    assert await handle.result(5) == 1
    assert await (await desk.wait.enqueue(2)).result(5) == 2


async def test_all_queues_stop_in_one_grace(desk: Desk) -> None:
    names = ("one", "two", "three")
    async with desk.service(queues=names, grace_seconds=60.0) as jobs:
        for number, name in enumerate(names):
            await desk.wait.with_options(queue=name).enqueue(number)
        await until(lambda: sorted(map(str, desk.calls)) == ["0", "1", "2"])
        running = list(jobs.queues.values())
        closing = asyncio.ensure_future(jobs.close())
        await until(lambda: all(queue._is_stopping for queue in running))
        desk.gate.set()
        await closing


async def test_tables_of_a_newer_headrace_are_refused_and_the_workers_stay_free(desk: Desk, tmp_path: Path) -> None:
    async with desk.service():
        pass
    raw(desk.path, "insert into headrace_schema values (99)")
    with pytest.raises(NewerSchema, match="install the newer one here, too; nothing was changed"):
        await desk.service().open()
    desk.path = tmp_path / "other.db"
    desk.gate.set()
    async with desk.service():
        assert await (await desk.wait.enqueue(1)).result(5) == 1


async def test_a_worker_that_was_renamed_runs_what_waits_under_its_old_name(desk: Desk) -> None:
    desk.gate.set()
    async with desk.service(queues=()):
        left = await desk.wait.enqueue(1)
    renamed = worker(name="hold", aliases=("wait",), record=True)(desk.function)
    async with desk.service([renamed]) as jobs:
        assert await jobs.result(left.id, 5) == 1
    assert desk.calls == [1]


async def test_args_that_do_not_fit_any_more_fail_the_attempt_and_are_kept(desk: Desk) -> None:
    @worker(name="wait", max_attempts=1)
    async def narrowed(region: str) -> None:
        desk.calls.append(region)

    async with desk.service([narrowed]) as jobs:
        (left,) = await jobs.insert([NewJob("wait", {"number": 7}, max_attempts=1)])
        assert left is not None
        with pytest.raises(JobDiscarded, match="'region' of worker 'wait' is missing"):
            await jobs.result(left.id, 5)
        job = await ended(jobs, left.id)
        assert (job.state, job.args) == ("discarded", {"number": 7})
        assert await jobs.store.retry(JobFilter(ids=frozenset({left.id}))) == [left.id]  # once the worker is mended
    assert desk.calls == []


async def test_a_worker_that_blocks_the_loop_is_named_with_how_long(
    desk: Desk, jobs: Jobs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(runners, "SLOW_CALLBACK_SECONDS", -1.0)  # so that each step is one that took too long
    desk.gate.set()
    assert await (await desk.wait.enqueue(1)).result(5) == 1
    (said,) = [record.getMessage() for record in caplog.records if "worker wait" in record.getMessage()]
    assert re.search(r"held the event loop for \d+ ms", said)


async def test_a_result_that_is_too_large_is_said_and_the_work_is_not_done_again(desk: Desk) -> None:
    @worker(name="wait", record=True, record_limit_bytes=100)
    async def talk(number: int) -> str:
        desk.calls.append(number)
        return "x" * 1000

    async with desk.service([talk]) as jobs:
        handle = await talk.enqueue(1)
        with pytest.raises(JobDiscarded, match="takes 1002 bytes as JSON, and at most 100 are recorded"):
            await handle.result(5)
        assert (await ended(jobs, handle.id)).state == "discarded"
    assert desk.calls == [1]


async def test_a_clock_that_goes_back_an_hour_loses_no_job(desk: Desk, jobs: Jobs) -> None:
    first = await desk.wait.enqueue(1)
    later = await desk.wait.schedule_in(10, 3)
    await until(lambda: desk.calls == [1])
    desk.clock.move(-3600)
    second = await desk.wait.enqueue(2)
    desk.gate.set()
    assert [await first.result(5), await second.result(5)] == [1, 2]
    waiting = await jobs.get(later.id)
    assert waiting is not None
    assert waiting.state == "scheduled"
    desk.clock.move(3611)
    assert await later.result(5) == 3
    assert sorted(map(str, desk.calls)) == ["1", "2", "3"]
