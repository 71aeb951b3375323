"""The table of the SQLite store is that of Oban's Lite engine: each reads what the other writes."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio

from headrace.database.heartbeat import MISSED_HEARTBEATS
from headrace.jobs.job import AttemptCancelled, AttemptFailed, JobError, NewJob
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.stores.sqlite_store import SqliteStore
from tests.fakes.elixir_rows import FAILED, elixir_file, raw
from tests.fakes.job_clock import MovedClock
from tests.fakes.kept_jobs import ALL, ME, ended, got, inserted

pytestmark = pytest.mark.asyncio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "elixir.db"
    elixir_file(path)
    return path


@pytest_asyncio.fixture
async def shared(path: Path, clock: MovedClock) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(path, now=clock)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def columns(path: Path) -> list[tuple[object, ...]]:
    return raw(path, "select name, type, \"notnull\", pk from pragma_table_info('oban_jobs')")


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    return tmp_path / "ours.db"


async def test_our_table_has_obans_columns_and_index(columns: list[tuple[object, ...]], fresh: Path) -> None:
    store = SqliteStore(fresh)
    await store.open()
    await store.close()
    ours = raw(fresh, "select name, lower(type), \"notnull\", pk from pragma_table_info('oban_jobs')")
    assert ours == [(name, str(kind).lower(), notnull, pk) for name, kind, notnull, pk in columns]
    index = raw(fresh, "select name from pragma_index_info('oban_jobs_state_queue_priority_scheduled_at_id_index')")
    assert [name for (name,) in index] == ["state", "queue", "priority", "scheduled_at", "id"]
    tables = raw(fresh, "select name from sqlite_master where type = 'table' and name not like 'sqlite_%'")
    assert all(name == "oban_jobs" or str(name).startswith("headrace_") for (name,) in tables)


async def test_rows_that_elixir_wrote_are_read(shared: SqliteStore) -> None:
    done, failed, runs, _ = await shared.find(ALL, 10, is_newest_first=False)
    assert done.args == {"n": 1, "deep": {"list": [1, None, 2.5]}}
    assert done.inserted_at == datetime(2026, 11, 24, 2, 58, 31, 476410, UTC)
    assert done.attempted_by == runs.attempted_by == ["ex-node"]
    assert failed.errors == [JobError(1, datetime(2026, 11, 24, 2, 58, 31, 513840, UTC), FAILED)]
    assert failed.inserted_at == datetime(2026, 11, 24, 2, 58, 31, tzinfo=UTC)


async def test_a_job_that_elixir_inserted_runs_here_and_ends_as_elixir_would_write_it(
    shared: SqliteStore, path: Path
) -> None:
    (job,) = await shared.claim(ME, 10)
    assert (job.id, job.args) == (4, {"id": 1})
    await ended(shared, job, AttemptFailed("no luck", 10))
    ((errors, by, state, at),) = raw(
        path, "select errors, attempted_by, state, scheduled_at from oban_jobs where id = 4"
    )
    assert json.loads(str(errors)) == [{"attempt": 1, "at": "2026-11-24T12:00:00.000000Z", "error": "no luck"}]
    assert (json.loads(str(by)), state, at) == (["here", "u-1"], "retryable", "2026-11-24T12:00:10.000000Z")


async def test_an_error_joins_those_that_elixir_wrote(shared: SqliteStore) -> None:
    await shared.stage(10)
    job = next(job for job in await shared.claim(ME, 10) if job.id == 2)
    await ended(shared, job, AttemptCancelled("enough"))
    assert [error.error for error in (await got(shared, 2)).errors] == [FAILED, "enough"]


async def test_what_an_elixir_node_runs_is_never_rescued(shared: SqliteStore, clock: MovedClock) -> None:
    clock.move(1e7)
    for _ in range(3 * MISSED_HEARTBEATS):
        await shared.heartbeat()
    assert await shared.rescue() == []
    assert (await got(shared, 3)).state == "executing"


async def test_times_without_t_or_zone_are_due_at_their_time_and_not_before(
    shared: SqliteStore, path: Path, clock: MovedClock
) -> None:
    raw(path, "insert into oban_jobs (worker, state, scheduled_at) values ('late', 'scheduled', '2026-11-24 12:00:05')")
    late = JobFilter(workers=frozenset({"late"}))
    await shared.stage(10)
    assert [job.state for job in await shared.find(late, 1)] == ["scheduled"]
    clock.move(5)
    await shared.stage(10)
    assert [job.state for job in await shared.find(late, 1)] == ["available"]


async def test_nulls_and_broken_json_are_read_as_nothing_and_keep_no_job_from_ending(
    shared: SqliteStore, path: Path
) -> None:
    raw(
        path,
        "insert into oban_jobs (worker, args, meta, tags, errors, attempted_by)"
        " values ('odd', '{', '[1]', 'null', '[\"{\", 7, {}]', '')",
    )
    job = next(job for job in await shared.claim(ME, 10) if job.worker == "odd")
    assert (job.args, job.meta, job.tags, [error.error for error in job.errors]) == ({}, {}, [], ["", "", ""])
    assert await shared.count(JobFilter(args={"id": 1})) == 1
    done = await ended(shared, job, AttemptFailed("no luck", None, {"seen": 1}))
    assert (done.state, done.meta) == ("discarded", {"seen": 1})


async def test_a_job_of_ours_is_written_as_elixir_reads_it(shared: SqliteStore, path: Path) -> None:
    await inserted(shared, NewJob("Peer.Echo", {"ü": [1, None]}, tags=["B", "a"]))
    (row,) = raw(
        path,
        "select state, args, meta, tags, errors, attempted_by, inserted_at, scheduled_at, attempted_at"
        " from oban_jobs order by id desc limit 1",
    )
    time = "2026-11-24T12:00:00.000000Z"
    assert row == ("available", '{"ü":[1,null]}', "{}", '["b","a"]', "[]", "[]", time, time, None)


async def test_a_time_that_is_none_keeps_no_other_job_waiting(shared: SqliteStore, path: Path) -> None:
    for number in range(3):
        await inserted(shared, NewJob("work", {"number": number}))
    raw(path, "update oban_jobs set inserted_at = 'soon' where json_extract(args, '$.number') = 1")
    claimed = await shared.claim(ME, 10)
    assert sorted(int(str(job.args["number"])) for job in claimed if "number" in job.args) == [0, 1, 2]
