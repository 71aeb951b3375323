"""Jobs in PostgreSQL from end to end: two services on one database, a config, the commands, and a fork."""

import asyncio
import json
import os
import sys
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from headrace.config.files import load_text
from headrace.config.text.findings import ConfigError
from headrace.console.cli.main import make_app
from headrace.jobs import Jobs, worker
from headrace.jobs.job import NewJob
from headrace.jobs.stores.postgres_store import PostgresStore
from tests.fakes.forking import in_fork


@worker(record=True)
async def double(number: int) -> int:
    return 2 * number


@pytest.mark.asyncio
async def test_a_service_runs_what_another_one_enqueues_and_awaits(postgres_url: str) -> None:
    async with Jobs(postgres_url, [double]) as there:
        handle = await double.enqueue(7)
        (_,) = await there.insert([NewJob("stranger")])
        child = await asyncio.create_subprocess_exec(*_service(postgres_url), stderr=asyncio.subprocess.PIPE)
        assert await handle.result(timeout_seconds=20) == 14
        child.terminate()
        _, said = await child.communicate()
        assert said == b""


@pytest.mark.asyncio
async def test_a_cancel_by_oban_stops_a_running_job(postgres_url: str) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    @worker(name="slow")
    async def slow() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with Jobs(postgres_url, [slow], {"default": 5}):
        await slow.enqueue()
        async with asyncio.timeout(20):
            await began.wait()
            with psycopg.connect(postgres_url) as connection:
                connection.execute("update oban_jobs set state = 'cancelled', cancelled_at = now()")
            await ended.wait()


@pytest.mark.asyncio
async def test_threads_and_a_forked_child_make_sync_calls(postgres_url: str) -> None:
    async with Jobs(postgres_url, [double], {"default": 5}) as jobs:
        handle = await asyncio.to_thread(double.enqueue_sync, 4)
        assert await asyncio.to_thread(handle.result_sync, 20) == 8
        later = await double.schedule_in(60, 5)
        assert in_fork(lambda: handle.result_sync(5)) == "8"
        assert in_fork(later.cancel_sync) == "True"
        assert (await asyncio.to_thread(jobs.retry_sync, later.id)) == [later.id]
        assert await later.result(20) == 10


def _service(url: str) -> list[str]:
    """Return the command of a service that runs the worker in an OS process of its own."""
    program = f"""
import asyncio, signal
from headrace.jobs import Jobs
from tests.jobs.test_jobs_in_postgres import double

async def main():
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with Jobs({url!r}, [double], {{"default": 5}}):
        await ended.wait()

asyncio.run(main())
"""
    root = str(Path(__file__).parents[2])
    return ["/usr/bin/env", f"PYTHONPATH={root}", sys.executable, "-c", program]


def test_a_bad_url_in_a_config_is_refused_without_its_password() -> None:
    text = "jobs: {store: 'postgresql://ann:sec/ret@db/shop', modules: reports, queues: {default: 10}}"
    with pytest.raises(ConfigError, match="write postgresql://user:password@host:5432/shop") as caught:
        load_text(text, environ={})
    assert "sec/ret" not in caught.value.findings[0].message


def test_the_commands_list_the_jobs_of_a_database(postgres_url: str) -> None:
    async def insert() -> None:
        store = PostgresStore(postgres_url)
        await store.open()
        await store.insert([NewJob("build", {"sku": 7})])
        await store.close()

    asyncio.run(insert())
    result = CliRunner().invoke(make_app(), ["jobs", "list", "--store", postgres_url, "--json"])
    assert result.exit_code == 0, result.output
    (job,) = json.loads(result.stdout)["jobs"]
    assert (job["worker"], job["args"]) == ("build", {"sku": 7})


def test_a_forked_child_has_a_connection_of_its_own(postgres_url: str) -> None:
    async def main() -> None:
        store = PostgresStore(postgres_url)
        await store.open()
        child = os.fork()
        if not child:
            code = 1
            try:
                store.insert_sync([NewJob("of the child")])
                code = 0
            finally:
                os._exit(code)
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        assert status == 0
        await store.insert([NewJob("of the parent")])
        await store.close()

    asyncio.run(main())
    with psycopg.connect(postgres_url) as connection:
        workers = connection.execute("select worker from oban_jobs order by id").fetchall()
    assert workers == [("of the child",), ("of the parent",)]
