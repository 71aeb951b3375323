"""A forked child of a process with an open `Jobs`: gunicorn preload, multiprocessing and prefork servers make one."""

import asyncio
from pathlib import Path

import pytest

from headrace.jobs.jobs import Jobs
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.stores.sqlite_store import SqliteStore
from tests.fakes import job_workers as workers
from tests.fakes.forking import in_fork
from tests.fakes.stepping import until

pytestmark = pytest.mark.asyncio


async def test_a_forked_child_enqueues_rather_than_hang(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "jobs.db")
    async with Jobs(store, WorkerCatalogue([workers.double])) as jobs:
        ours = await workers.double.enqueue(1)
        assert in_fork(lambda: workers.double.enqueue_sync(2).id) == str(ours.id + 1)
        assert in_fork(lambda: asyncio.run(_enqueued(3))) == str(ours.id + 2)
        assert await jobs.store.count(JobFilter(states=frozenset({"available"}))) == 3
        assert (await workers.double.enqueue(4)).id == ours.id + 3


async def _enqueued(number: int) -> int:
    return (await workers.double.enqueue(number)).id


async def test_a_forked_child_that_closes_leaves_the_lease_to_its_parent(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "jobs.db")
    workers.clear_bench()
    async with Jobs(store, WorkerCatalogue([workers.wait]), {"default": 1}):
        await workers.wait.enqueue("a")
        await until(lambda: bool(workers.BENCH.calls))
        assert in_fork(lambda: asyncio.run(_closed(store))) == "0"
        await store.heartbeat()
        workers.BENCH.gates["a"].set()


async def _closed(store: SqliteStore) -> int:
    await store.close()
    return 0


async def test_a_forked_child_opens_jobs_of_its_own_with_the_same_workers(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with Jobs(SqliteStore(path), WorkerCatalogue([workers.double]), {"default": 1}) as jobs:
        jobs.queues["default"].pause()
        assert in_fork(lambda: asyncio.run(_doubled(path))) == "4"
        assert (await jobs.store.find(JobFilter(), 1))[0].state == "completed"
        assert (await workers.double.enqueue(3)).id == 2


async def _doubled(path: Path) -> int:
    async with Jobs(SqliteStore(path), WorkerCatalogue([workers.double]), {"default": 1}):
        return await (await workers.double.enqueue(2)).result(5)


async def test_a_forked_child_closes_the_jobs_of_its_parent_at_once(tmp_path: Path) -> None:
    workers.clear_bench()
    async with Jobs(SqliteStore(tmp_path / "jobs.db"), WorkerCatalogue([workers.wait]), {"default": 1}) as jobs:
        await workers.wait.enqueue("a")
        await until(lambda: bool(workers.BENCH.calls))
        assert in_fork(lambda: asyncio.run(jobs.close())) == "None"
        workers.BENCH.gates["a"].set()
        await until(lambda: jobs.metrics.finished(["completed"]) == 1)


async def test_jobs_of_a_forked_child_are_there_after_its_parent_has_closed(tmp_path: Path) -> None:
    jobs = Jobs(SqliteStore(tmp_path / "jobs.db"), WorkerCatalogue([workers.double]))
    await jobs.open()
    await workers.double.enqueue(1)
    assert in_fork(lambda: [workers.double.enqueue_sync(number).id for number in range(2)]) == "[2, 3]"
    await jobs.close()
    async with Jobs(SqliteStore(tmp_path / "jobs.db"), WorkerCatalogue([workers.double])) as again:
        assert await again.store.count(JobFilter(states=frozenset({"available"}))) == 3
