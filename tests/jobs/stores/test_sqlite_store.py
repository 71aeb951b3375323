"""What is SQLite's alone: several OS processes on one file, versions of its tables, and files that cannot be used."""

import asyncio
import re
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from headrace.database.heartbeat import MISSED_HEARTBEATS
from headrace.database.sqlite_file import SqliteError
from headrace.jobs.errors import NewerSchema
from headrace.jobs.job import NewJob
from headrace.jobs.stores.sqlite_store import MIGRATIONS, SqliteStore
from tests.fakes.elixir_rows import raw
from tests.fakes.job_clock import MovedClock
from tests.fakes.kept_jobs import ALL, ME, OTHER, in_state, inserted
from tests.jobs.stores.test_unique import FOR_EVER

pytestmark = pytest.mark.asyncio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest_asyncio.fixture
async def one(path: Path, clock: MovedClock) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(path, now=clock)
    await store.open()
    yield store
    await store.close()


@pytest_asyncio.fixture
async def two(one: SqliteStore, clock: MovedClock) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(one.path, now=clock)
    await store.open()
    yield store
    await store.close()


async def test_two_that_open_a_new_file_at_once_both_find_its_tables(path: Path) -> None:
    stores = [SqliteStore(path) for _ in range(8)]
    await asyncio.gather(*(store.open() for store in stores))
    for number, store in enumerate(stores):
        await store.insert([NewJob(f"w{number}")])
    assert await stores[0].count(ALL) == 8
    assert raw(path, "select version from headrace_schema") == [(number,) for number in range(1, len(MIGRATIONS) + 1)]
    for store in stores:
        await store.close()


async def test_no_job_is_claimed_by_two_stores(one: SqliteStore, two: SqliteStore) -> None:
    await inserted(one, *(NewJob("build") for _ in range(100)))
    claims = await asyncio.gather(*(store.claim(who, 7) for _ in range(10) for store, who in ((one, ME), (two, OTHER))))
    ids = [job.id for claim in claims for job in claim]
    assert len(ids) == len(set(ids)) == 100


async def test_unique_jobs_are_so_over_all_stores(one: SqliteStore, two: SqliteStore) -> None:
    new = NewJob("build", unique=FOR_EVER)
    told = await asyncio.gather(*(store.insert([new]) for _ in range(20) for store in (one, two)))
    assert sum(not inserted.is_conflict for (inserted,) in told) == 1


async def _beat(store: SqliteStore, times: int) -> None:
    for _ in range(times):
        await store.heartbeat()


async def test_what_another_store_claimed_is_rescued_once_it_has_missed_its_beats(
    one: SqliteStore, two: SqliteStore
) -> None:
    job = await in_state(one, "executing")
    await _beat(two, MISSED_HEARTBEATS)
    await one.heartbeat()
    await _beat(two, MISSED_HEARTBEATS)
    assert await two.rescue() == []
    await two.heartbeat()
    assert [rescued.id for rescued in await two.rescue()] == [job.id]
    assert await one.rescue() == []


async def test_a_loop_that_is_blocked_loses_none_of_its_jobs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.jobs.stores.sqlite_store.HEARTBEAT_SECONDS", 0.005)
    one, two = SqliteStore(path), SqliteStore(path)
    for store in (one, two):
        await store.open()
    job = await in_state(one, "executing")
    ((before,),) = raw(path, "select beats from headrace_producers")
    while raw(path, "select beats from headrace_producers")[0][0] < int(str(before)) + 5 * MISSED_HEARTBEATS:  # type: ignore[operator] # a number
        pass  # nothing else runs on the loop
    assert await two.rescue() == []
    assert await one.get(job.id) == job
    for store in (one, two):
        await store.close()


async def test_a_claimant_that_speaks_up_at_the_last_moment_loses_nothing(one: SqliteStore, two: SqliteStore) -> None:
    await in_state(one, "executing")
    await _beat(two, MISSED_HEARTBEATS + 1)
    await one.heartbeat()
    assert await two.rescue() == []


async def test_a_store_that_waited_for_the_file_kills_nobody_that_waited_too(
    one: SqliteStore, two: SqliteStore, clock: MovedClock
) -> None:
    await in_state(one, "executing")
    await two.heartbeat()
    clock.move(1e5)
    await two.heartbeat()
    assert await two.rescue() == []


async def test_a_store_that_closes_leaves_only_what_still_runs(path: Path, one: SqliteStore) -> None:
    store = SqliteStore(path)
    await store.open()
    await in_state(store, "completed")
    await store.claim(OTHER, 1)
    await store.close()
    assert raw(path, "select count(*) from headrace_producers") == [(0,)]


async def test_a_store_is_closed_once_and_only_if_it_was_open(path: Path) -> None:
    store = SqliteStore(path)
    with pytest.raises(SqliteError, match="it is not open"):
        await store.insert([NewJob("build")])
    await store.close()
    store = SqliteStore(path)
    await store.open()
    await asyncio.gather(store.close(), store.close())
    await store.close()
    with pytest.raises(SqliteError, match="it is closed"):
        await store.insert([NewJob("build")])


async def test_a_close_that_was_cancelled_is_a_close_all_the_same(path: Path) -> None:
    store = SqliteStore(path)
    await store.open()
    closing = asyncio.ensure_future(store.close())
    inserting = asyncio.ensure_future(store.insert([NewJob("build")]))
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait([closing, inserting])
    await store.close()
    assert raw(path, "select count(*) from oban_jobs") == [(1,)]


async def test_a_job_in_somebodys_own_transaction_is_there_when_they_commit(one: SqliteStore) -> None:
    own = sqlite3.connect(one.path, isolation_level=None)
    own.execute("begin")
    (told,) = one.insert_in(own, [NewJob("build", unique=FOR_EVER)])
    assert await one.get(told.id) is None
    own.execute("rollback")
    own.execute("begin immediate")
    (told,) = one.insert_in(own, [NewJob("build", unique=FOR_EVER)])
    own.execute("commit")
    own.close()
    (double,) = await one.insert([NewJob("build", unique=FOR_EVER)])
    assert (double.id, double.is_conflict) == (told.id, True)


async def test_tables_of_a_newer_headrace_are_left_alone(one: SqliteStore) -> None:
    raw(one.path, "insert into headrace_schema values (7)")
    store = SqliteStore(one.path)
    with pytest.raises(
        NewerSchema, match=rf"jobs\.db are of version 7, and this headrace knows up to {len(MIGRATIONS)}: install"
    ):
        await store.open()


async def test_what_a_cancelled_claim_took_is_put_back(one: SqliteStore) -> None:
    await inserted(one, NewJob("build"))
    claiming = asyncio.ensure_future(one.claim(ME, 1))
    await asyncio.sleep(0)
    claiming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await claiming
    while not (jobs := await one.claim(ME, 1)):
        pass
    assert [job.attempt for job in jobs] == [1]


async def test_a_reader_waits_for_no_writer(one: SqliteStore) -> None:
    await inserted(one, NewJob("build"))
    other = sqlite3.connect(one.path, isolation_level=None)
    other.execute("begin immediate")
    inserting = asyncio.ensure_future(one.insert([NewJob("build")]))
    assert await one.count(ALL) == 1
    assert not inserting.done()
    other.execute("rollback")
    await inserting
    assert await one.count(ALL) == 2
    other.close()


async def test_what_is_there_may_be_read_while_the_disk_is_full_and_written_once_it_is_not(one: SqliteStore) -> None:
    await inserted(one, NewJob("build"))
    (pages,) = await one.writer.run(lambda connection: connection.execute("PRAGMA page_count").fetchone())
    await one.writer.run(lambda connection: connection.execute(f"PRAGMA max_page_count = {pages + 2}").fetchall())
    with pytest.raises(SqliteError, match="make room on the disk"):
        await one.insert([NewJob("large", {"text": "x" * 100_000})])
    assert await one.count(ALL) == 1
    await one.writer.run(lambda connection: connection.execute("PRAGMA max_page_count = 100000").fetchall())
    await one.insert([NewJob("large", {"text": "x" * 100_000})])
    assert await one.count(ALL) == 2


async def test_a_clock_that_is_set_back_loses_nothing(one: SqliteStore, clock: MovedClock) -> None:
    first = await inserted(one, NewJob("build", unique=FOR_EVER))
    clock.move(-3600)
    second = await inserted(one, NewJob("ship"))
    assert (await one.insert([NewJob("build", unique=FOR_EVER)]))[0].is_conflict
    assert sorted(job.id for job in await one.claim(ME, 10)) == [*first, *second]


READ_ONLY = """
import asyncio, os, sys
from headrace.errors import HeadraceError
from headrace.jobs.job import NewJob
from headrace.jobs.stores.sqlite_store import SqliteStore

async def main(path, other):
    store = SqliteStore(other)  # so that all is read of headrace that another user might not be able to
    await store.open()
    await store.insert([NewJob("build")])
    await store.close()
    if os.getuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    store = SqliteStore(path)
    try:
        await store.open()
        await store.insert([NewJob("build")])
    except HeadraceError as error:
        print(error)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
def read_only() -> Iterator[Path]:
    """A file that may only be read, in a folder where nobody but root may write."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "jobs.db"
        connection = sqlite3.connect(path)
        connection.execute("create table letters (letter text)")
        connection.close()
        path.chmod(0o444)
        path.parent.chmod(0o555)
        yield path
        path.parent.chmod(0o755)


def _said(path: Path, other: Path) -> str:
    command = [sys.executable, "-P", "-c", READ_ONLY, str(path), str(other)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


async def test_a_file_that_may_only_be_read_is_said(read_only: Path, path: Path) -> None:
    said = await asyncio.to_thread(_said, read_only, path)
    assert f"the SQLite file '{read_only}' cannot be used" in said
    assert re.search("give this user the right|this user may read and write", said)
    assert len(said.splitlines()) == 1


async def test_large_args_are_named_in_the_log_once_for_each_worker(
    one: SqliteStore, caplog: pytest.LogCaptureFixture
) -> None:
    large = {"text": "x" * 2**20}
    await one.insert([NewJob("attach", large)])
    await one.insert([NewJob("attach", large)])
    await one.insert([NewJob("attach_many", large) for _ in range(20)])
    await one.insert([NewJob("small", {"text": "x"})])
    named = [record.message for record in caplog.records]
    assert len(named) == 2
    assert named[0].startswith("a job of worker 'attach' has args of 1.0 MiB: keep large data in a file")
