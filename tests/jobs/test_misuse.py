"""What is asked of a service of jobs that cannot be, or only just: it is refused clearly, and nothing else suffers."""

import asyncio
import sqlite3
from pathlib import Path

import pytest
import pytest_asyncio

from headrace.database.sqlite_file import SqliteError
from headrace.jobs.errors import AlreadyOpen, JobDiscarded, NotBound
from headrace.jobs.job import Job, NewJob
from headrace.jobs.jobs import Jobs
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.stores.memory_store import MemoryStore
from headrace.jobs.stores.sqlite_store import SqliteStore
from headrace.jobs.stores.store import JobStore
from headrace.jobs.worker import worker
from tests.fakes.elixir_rows import raw
from tests.fakes.job_desk import Desk
from tests.fakes.stepping import until

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path / "jobs.db")
    desk.gate.set()
    return desk


async def kept(path: Path) -> list[Job]:
    store = SqliteStore(path)
    await store.open()
    try:
        return await store.find(JobFilter(), 10_000)
    finally:
        await store.close()


async def test_two_services_of_one_process_share_a_file_and_each_job_runs_once(desk: Desk) -> None:
    ran: list[tuple[str, int]] = []

    @worker(name="wait", record=True)
    async def other(number: int) -> int:
        ran.append(("other", number))
        return number

    async with desk.service(), desk.service([other]):
        handles = [await (other if number % 2 else desk.wait).enqueue(number) for number in range(100)]
        assert [await handle.result(5) for handle in handles] == list(range(100))
    assert len(desk.calls) + len(ran) == 100


async def test_workers_that_another_service_has_are_refused_and_stay_with_it(desk: Desk) -> None:
    async with desk.service():
        with pytest.raises(NotBound, match="enqueues to another Jobs already: close that one first"):
            await desk.service().open()
        assert await (await desk.wait.enqueue(1)).result(5) == 1


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_a_service_that_is_opened_twice_says_so_and_goes_on(desk: Desk, kind: str) -> None:
    store: JobStore = MemoryStore() if kind == "memory" else SqliteStore(desk.path)
    async with Jobs(store, WorkerCatalogue([desk.wait]), {"default": 3}) as jobs:
        with pytest.raises(AlreadyOpen, match="are open already"):
            await jobs.open()
        assert await (await desk.wait.enqueue(1)).result(5) == 1


async def test_a_store_of_a_file_is_opened_once(desk: Desk) -> None:
    jobs = desk.service()
    async with jobs:
        with pytest.raises(SqliteError, match="its store was opened before"):
            await jobs.store.open()
        assert await (await desk.wait.enqueue(1)).result(5) == 1
    await jobs.close()  # a second time does nothing
    with pytest.raises(SqliteError, match="open a store once, and then make a new one"):
        await jobs.open()
    async with desk.service():
        assert await (await desk.wait.enqueue(2)).result(5) == 2


async def test_what_is_enqueued_while_the_service_closes_is_kept_or_refused(desk: Desk) -> None:
    accepted: list[int] = []
    refused: list[Exception] = []

    async def enqueue_on() -> None:
        while True:
            try:
                accepted.append((await desk.wait.enqueue(1)).id)
            except (NotBound, SqliteError) as error:
                refused.append(error)
                return
            await asyncio.sleep(0)

    jobs = desk.service()
    await jobs.open()
    async with asyncio.TaskGroup() as together:
        for _ in range(10):
            together.create_task(enqueue_on())
        await until(lambda: len(accepted) >= 50)
        await jobs.close()
    assert len(refused) == 10
    found = await kept(desk.path)
    assert {job.id for job in found} >= set(accepted)
    assert {job.state for job in found} <= {"completed", "available"}


async def test_a_store_below_a_file_is_refused_and_the_workers_stay_free(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no folder")
    good, desk.path = desk.path, tmp_path / "notes.txt" / "jobs.db"
    with pytest.raises(SqliteError, match="see that its folder exists, and that this user may read and write there"):
        await desk.service().open()
    desk.path = good
    async with desk.service():
        assert await (await desk.wait.enqueue(1)).result(5) == 1


async def test_args_of_megabytes_run_and_those_above_the_limit_are_refused(desk: Desk) -> None:
    @worker(name="wait", record=True)
    async def measure(text: str) -> int:
        return len(text)

    def set_limit(connection: sqlite3.Connection) -> None:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 10_000_000)  # as built it is a thousand million

    async with desk.service([measure]) as jobs:
        assert isinstance(jobs.store, SqliteStore)
        await jobs.store.writer.run(set_limit)
        assert await (await measure.enqueue("\u00e4" * 4_000_000)).result(20) == 4_000_000
        large, small = NewJob("wait", {"text": "x" * 11_000_000}), NewJob("wait", {"text": "x"})
        with pytest.raises(SqliteError, match="keep what is this large somewhere else"):
            await jobs.insert([small, large])
        assert await (await measure.enqueue("small")).result(5) == 5
    assert len(await kept(desk.path)) == 2


async def test_a_module_that_prints_as_it_is_imported_gives_its_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "from headrace.jobs.worker import worker\nprint('hello')\n\n@worker\ndef loud() -> None: ...\n"
    (tmp_path / "loud_module_of_workers.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    assert WorkerCatalogue.of_modules(["loud_module_of_workers"]).names == ("loud_module_of_workers.loud",)


WRONG = [
    ("args", "x'7b226e756d626572223a317d'", "completed"),
    ("args", "x'ff00'", "retryable"),
    ("args", "'{broken'", "retryable"),
    ("args", "'[1]'", "retryable"),
    ("args", "'null'", "retryable"),
    ("args", "5", "retryable"),
    ("meta", "'{broken'", "completed"),
    ("meta", "x'ff'", "completed"),
    ("tags", "'[1, null]'", "completed"),
    ("tags", "'{'", "completed"),
    ("errors", "'['", "completed"),
    ("attempted_by", "'somebody'", "completed"),
    ("scheduled_at", "'soon'", "completed"),
    ("completed_at", "x'ff'", "completed"),
    ("priority", "'high'", "completed"),
    ("attempt", "-5", "completed"),
    ("max_attempts", "'many'", "completed"),
    ("max_attempts", "0", "discarded"),
    ("attempt", "'one'", "discarded"),
    ("state", "'whatever'", "whatever"),
]


@pytest.mark.parametrize(("column", "value", "state"), WRONG)
async def test_a_row_that_a_hand_wrote_wrong_holds_up_no_other(desk: Desk, column: str, value: str, state: str) -> None:
    @worker(name="wait", record=True)
    async def forgiving(number: int = 0) -> int:
        return number

    async with desk.service(queues=()):
        pass
    raw(desk.path, f"insert into oban_jobs (worker, {column}) values ('wait', {value})")  # noqa: S608 - our own
    async with desk.service([forgiving]) as jobs:
        assert await (await forgiving.enqueue(7)).result(5) == 7
        assert len(await jobs.store.find(JobFilter(), 10)) == 2
        for task in jobs.periodic_tasks():
            await task.run()
    assert raw(desk.path, "select state from oban_jobs order by id") == [(state,), ("completed",)]


async def test_a_worker_does_not_run_with_its_defaults_where_its_args_are_torn(desk: Desk) -> None:
    @worker(name="purge", max_attempts=1)
    async def purge(scope: str = "all") -> None:
        desk.calls.append(scope)

    async with desk.service(queues=()):
        pass
    raw(desk.path, "insert into oban_jobs (worker, args, max_attempts) values ('purge', 'garbage', 1)")
    async with desk.service([purge]) as jobs:
        with pytest.raises(JobDiscarded, match="worker 'purge' is not run: the args of the job are no JSON object"):
            await jobs.result(1, 5)
    assert desk.calls == []


TORN = {
    "meta": ("'{'", "'[1]'", "x'ff'", "5"),
    "errors": ("'['", "'{}'", "x'ff'", "7"),
    "tags": ("'{'",),
    "attempted_by": ("'somebody'", "'{'", "x'ff'"),
    "scheduled_at": ("'yesterday'", "''", "x'ff'"),
}


@pytest.mark.parametrize(("column", "value"), [(column, value) for column, values in TORN.items() for value in values])
async def test_a_torn_row_never_stops_the_upkeep_nor_the_ends_of_other_jobs(
    desk: Desk, column: str, value: str
) -> None:
    @worker(name="torn", max_attempts=2, backoff=5)
    async def fails() -> None:
        raise ValueError

    async with desk.service(queues=()):
        pass
    for state in ("scheduled", "retryable", "available", "executing", "discarded", "suspended"):
        values = {"worker": "'torn'", "state": f"'{state}'", "scheduled_at": "'2026-01-01'", column: value}
        text = f"insert into oban_jobs ({', '.join(values)}) values ({', '.join(values.values())})"  # noqa: S608 - our own
        raw(desk.path, text)
    desk.gate.set()
    async with desk.service([fails, desk.wait]) as jobs:
        assert await (await desk.wait.enqueue(7)).result(5) == 7
        await until(lambda: jobs.metrics.finished(["failed"]) >= 3)
        for task in jobs.periodic_tasks():
            await task.run()
        for states in ({"discarded"}, {"retryable"}, {"suspended"}):
            which = JobFilter(states=frozenset(states), workers=frozenset({"torn"}))  # type: ignore[arg-type] # literals
            await jobs.retry(which)
            await jobs.store.suspend(which)
            await jobs.store.release(which)
        assert await (await desk.wait.enqueue(8)).result(5) == 8


@pytest.mark.parametrize(("column", "value"), [("max_attempts", "0"), ("attempt", "'one'"), ("attempt", "20")])
async def test_a_row_that_no_queue_ever_claims_keeps_no_run_from_its_end(desk: Desk, column: str, value: str) -> None:
    async with desk.service(queues=()):
        pass
    raw(desk.path, f"insert into oban_jobs (worker, {column}) values ('wait', {value})")  # noqa: S608 - our own
    async with desk.service() as jobs:
        assert await jobs.is_idle()


async def test_a_row_whose_args_are_broken_says_so(desk: Desk) -> None:
    async with desk.service(queues=()):
        pass
    raw(desk.path, "insert into oban_jobs (worker, args, max_attempts) values ('wait', '{broken', 1)")
    async with desk.service() as jobs:
        with pytest.raises(JobDiscarded, match="worker 'wait' is not run: the args of the job are no JSON object"):
            await jobs.result(1, 5)
    assert desk.calls == []
