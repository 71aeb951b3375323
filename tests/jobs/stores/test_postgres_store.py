"""The PostgreSQL store: transactions of users, other OS processes, and a server that fails."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import pytest_asyncio

from headrace.database.postgres import PostgresError
from headrace.database.threads import CommitUnknown
from headrace.jobs.errors import BadTransaction, NewerSchema, NotJson, OlderOban
from headrace.jobs.job import AttemptCompleted, AttemptFailed, AttemptReleased, JobAck, JobError, NewJob, Unique
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.rules.limits import GlobalLimit, QueueLimits
from headrace.jobs.stores.postgres_store import PostgresStore, RawCursor, query
from headrace.jobs.stores.store import LeaseOwner
from headrace.jobs.wire.oban import decode_notification
from tests.fakes.job_clock import NOON, MovedClock
from tests.fakes.kept_jobs import ALL, ME, OTHER, ended, got, inserted
from tests.fakes.pooler import pooled
from tests.fakes.postgres_server import PostgresServer
from tests.fakes.stepping import until

ELIXIR_TABLE = (Path(__file__).parents[1] / "wire" / "oban_elixir_v14.sql").read_text()
FOR_EVER = Unique(period_seconds=None)

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def shared(postgres_url: str, clock: MovedClock) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(postgres_url, now=clock)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def sql(postgres_url: str, shared: PostgresStore) -> Iterator[psycopg.Connection]:
    """A user's own connection."""
    with psycopg.connect(postgres_url) as connection:
        yield connection


# Oban's table


async def test_our_table_is_obans_column_by_column(postgres: PostgresServer, sql: psycopg.Connection) -> None:
    columns = (
        b"select column_name, udt_name, is_nullable, column_default from information_schema.columns "
        b"where table_name = 'oban_jobs' order by column_name"
    )
    checks = b"select conname, pg_get_constraintdef(oid) from pg_constraint where conrelid = 'oban_jobs'::regclass"
    indexes = b"select regexp_replace(indexdef, 'INDEX \\w+ ', '') from pg_indexes where tablename = 'oban_jobs'"
    comment = b"select obj_description('oban_jobs'::regclass)"
    elixir = postgres.new_database()
    with psycopg.connect(postgres.url(elixir)) as connection:
        connection.execute(ELIXIR_TABLE.encode())
        for statement in (columns, checks, comment):
            assert sorted(sql.execute(statement)) == sorted(connection.execute(statement))
        ours = {index for (index,) in sql.execute(indexes)}
        assert {index for (index,) in connection.execute(indexes)} <= ours
        tables = b"select tablename from pg_tables where schemaname = 'public' and tablename not like 'headrace_%'"
        assert sorted(sql.execute(tables)) == [("oban_jobs",), ("oban_peers",)]
    postgres.drop_database(elixir)


async def test_a_table_of_elixir_is_used_as_it_is(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute(ELIXIR_TABLE.encode())
        connection.execute("insert into oban_jobs (worker, args, meta) values ('Shop.Mail', '{\"id\": 7}', null)")
    store = PostgresStore(postgres_url)
    await store.open()
    (job,) = await store.claim(ME, 5)
    assert (job.worker, job.args, job.meta, job.attempt) == ("Shop.Mail", {"id": 7}, {}, 1)
    failed = await ended(store, job, AttemptFailed("no luck", None, {"seen": True}))
    assert ([error.error for error in failed.errors], failed.meta) == (["no luck"], {"seen": True})
    await store.close()


async def test_the_errors_of_oban_for_python_are_one_jsonb(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute(
            ELIXIR_TABLE.replace("jsonb[] not null default array[]::jsonb[]", "jsonb not null default '[]'").encode()
        )
        connection.execute("insert into oban_jobs (worker, max_attempts) values ('shop.Mail', 3), ('shop.Mail', 3)")
    store = PostgresStore(postgres_url, now=MovedClock())
    await store.open()
    first, second = await store.claim(ME, 5)
    failed = await ended(store, first, AttemptFailed("no luck", 1))
    assert failed.errors == [JobError(1, NOON, "no luck")]
    assert (await ended(store, second, AttemptFailed("no", None))).state == "discarded"
    await store.close()


async def test_a_table_before_migration_14_is_refused_and_left_as_it_is(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute(ELIXIR_TABLE.replace("'suspended', ", "").encode())
    store = PostgresStore(postgres_url)
    with pytest.raises(OlderOban, match="older than its migration 14: run `Oban"):
        await store.open()
    with psycopg.connect(postgres_url) as connection:
        assert list(connection.execute("select 1 from pg_tables where tablename like 'headrace_%'")) == []


async def test_tables_of_a_newer_headrace_are_refused(shared: PostgresStore, sql: psycopg.Connection) -> None:
    sql.execute("insert into headrace_schema values (99)")
    sql.commit()
    with pytest.raises(NewerSchema, match="are of version 99"):
        await PostgresStore(shared.url).open()


async def test_many_processes_make_the_tables_at_once(postgres_url: str) -> None:
    stores = [PostgresStore(postgres_url) for _ in range(6)]
    await asyncio.gather(*(store.open() for store in stores))
    assert await inserted(stores[0], NewJob("build")) == [1]
    await asyncio.gather(*(store.close() for store in stores))


async def test_times_are_utc_whatever_the_zone_of_the_server(postgres: PostgresServer, postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("alter role postgres set timezone = 'America/New_York'")
    try:
        store = PostgresStore(postgres_url, now=MovedClock())
        await store.open()
        (job_id,) = await inserted(store, NewJob("build", scheduled_at=datetime(2026, 7, 1, 12, tzinfo=UTC)))
        job = await got(store, job_id)
        assert (job.inserted_at, job.scheduled_at) == (NOON, datetime(2026, 7, 1, 12, tzinfo=UTC))
        with psycopg.connect(postgres_url) as connection:
            assert connection.execute("select inserted_at::text from oban_jobs").fetchone() == ("2026-11-24 12:00:00",)
        await store.close()
    finally:
        with psycopg.connect(postgres.url(), autocommit=True) as connection:
            connection.execute("alter role postgres reset timezone")


async def test_a_nul_in_args_is_refused_and_in_an_error_replaced(shared: PostgresStore) -> None:
    for args in ({"text": "a\0b"}, {"a\0b": 1}):
        with pytest.raises(NotJson, match="PostgreSQL keeps no NUL character"):
            await shared.insert([NewJob("build", args)])
        with pytest.raises(NotJson, match="PostgreSQL keeps no NUL character"):
            await shared.insert([NewJob("build", args) for _ in range(30)])
    (job_id,) = await inserted(shared, NewJob("build", {"text": "a\\u0000b"}))
    (job,) = await shared.claim(ME, 1)
    assert job.args == {"text": "a\\u0000b"}
    failed = await ended(shared, job, AttemptFailed("a\0b \\u0000", 1))
    assert [error.error for error in failed.errors] == ["a\ufffdb \\u0000"]
    assert failed.id == job_id


async def test_rubbish_of_another_program_does_not_stop_a_queue(shared: PostgresStore, sql: psycopg.Connection) -> None:
    sql.execute(
        "insert into oban_jobs (worker, args, meta, tags, errors, scheduled_at) values"
        " ('build', '[1]', '[]', null, array['7'::jsonb, '{\"at\": 5}'], 'infinity'),"
        " ('build', '{}', null, '{}', '{}', '-infinity'), ('build', 'null', '3', '{a}', '{}', '4000-01-01 BC')"
    )
    sql.commit()
    jobs = await shared.claim(ME, 10)
    assert [job.id for job in jobs] == [2, 3, 1]
    for job in jobs:
        failed = await ended(shared, job, AttemptFailed("no luck", None, {"seen": 1}))
        assert (failed.state, failed.errors[-1].error, failed.meta) == ("discarded", "no luck", {"seen": 1})
    (job_id,) = await inserted(shared, NewJob("build"))
    assert [job.id for job in await shared.claim(ME, 10)] == [job_id]


# Transactions of users


async def test_a_job_exists_once_the_user_commits(shared: PostgresStore, sql: psycopg.Connection) -> None:
    (told,) = shared.insert_in(sql, [NewJob("build", {"sku": 7})])
    assert await shared.get(told.id) is None
    sql.commit()
    assert (await got(shared, told.id)).args == {"sku": 7}


async def test_a_rollback_leaves_nothing(shared: PostgresStore, sql: psycopg.Connection) -> None:
    shared.insert_in(sql, [NewJob("build", unique=FOR_EVER), NewJob("ship")])
    sql.rollback()
    assert await shared.counts() == []
    (told,) = await shared.insert([NewJob("build", unique=FOR_EVER)])
    assert not told.is_conflict


async def test_a_unique_job_waits_for_an_open_transaction(shared: PostgresStore, sql: psycopg.Connection) -> None:
    shared.insert_in(sql, [NewJob("build", unique=FOR_EVER)])
    other = asyncio.create_task(shared.insert([NewJob("build", unique=FOR_EVER)]))
    await _waits_for_a_lock(shared.url)
    sql.commit()
    (told,) = await other
    assert told.is_conflict
    assert await shared.count(ALL) == 1


async def test_the_users_rows_are_of_whatever_kind_they_were(shared: PostgresStore, postgres_url: str) -> None:
    with psycopg.connect(postgres_url, row_factory=psycopg.rows.dict_row) as connection:
        shared.insert_in(connection, [NewJob("build")])
        assert connection.execute("select count(*) as number from oban_jobs").fetchone() == {"number": 1}
        with connection.transaction():
            shared.insert_in(connection, [NewJob("build")])
    assert await shared.count(ALL) == 2


async def test_a_connection_without_a_transaction_is_refused(shared: PostgresStore, postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        with pytest.raises(BadTransaction, match="commits each statement by itself; begin a transaction first"):
            shared.insert_in(connection, [NewJob("build")])
        with connection.transaction():
            shared.insert_in(connection, [NewJob("build")])
        with connection.transaction(force_rollback=True):
            with pytest.raises(psycopg.Error):
                connection.execute("select nowhere")
            with pytest.raises(BadTransaction, match="has failed: roll it back"):
                shared.insert_in(connection, [NewJob("build")])
    with pytest.raises(BadTransaction, match="it is closed: connect again"):
        shared.insert_in(connection, [NewJob("build")])
    with pytest.raises(BadTransaction, match="it is a object: hand in a connection of psycopg"):
        shared.insert_in(object(), [NewJob("build")])
    assert await shared.count(ALL) == 1


class Wrapper:
    """Has a connection inside, as those of SQLAlchemy and Django have."""

    def __init__(self, inner: object, name: str = "connection") -> None:
        setattr(self, name, inner)


async def test_the_connection_in_a_session_of_sqlalchemy_or_django_is_found(
    shared: PostgresStore, sql: psycopg.Connection
) -> None:
    pooled = Wrapper(sql, "driver_connection")
    session = Wrapper(lambda: Wrapper(pooled))  # a Session calls, and its Connection has the pool's
    for connection in (session, Wrapper(pooled), Wrapper(sql)):
        shared.insert_in(connection, [NewJob("build")])
    assert await shared.count(ALL) == 0
    sql.commit()
    assert await shared.count(ALL) == 3
    with pytest.raises(BadTransaction, match="it is a Wrapper: hand in a connection of psycopg"):
        shared.insert_in(Wrapper(object()), [NewJob("build")])


async def test_a_claim_and_an_acknowledgement_take_their_indexes_whatever_the_statistics_say(
    shared: PostgresStore, sql: psycopg.Connection
) -> None:
    sql.execute("insert into oban_jobs (worker, state) select 'done', 'completed' from generate_series(1, 20000)")
    sql.execute("analyze oban_jobs")  # at a moment without available jobs
    sql.execute("insert into oban_jobs (worker) select 'build' from generate_series(1, 20000)")
    sql.execute("set enable_sort = off")
    cursor = psycopg.RawCursor(sql)
    by = [ME.node, ME.uuid]
    plan = str(cursor.execute(f"explain {query('claim')}".encode(), ["default", 100, NOON, by]).fetchall())
    assert "oban_jobs_state_queue_priority_scheduled_at_id_index" in plan
    assert "Sort" not in plan
    values = [NOON, list(range(1, 101)), 1, by]
    plan = str(cursor.execute(f"explain {query('complete').split(chr(10), 1)[1]}".encode(), values).fetchall())
    assert "oban_jobs_pkey" in plan
    assert "state_discarded_at" not in plan


async def test_another_database_is_refused(shared: PostgresStore, postgres: PostgresServer) -> None:
    with (
        psycopg.connect(postgres.url()) as connection,
        pytest.raises(
            BadTransaction, match=r'"oban_jobs" does not exist; roll back, and use the database of the store'
        ),
    ):
        shared.insert_in(connection, [NewJob("build")])


# Other OS processes


async def test_another_process_hears_of_inserts_and_of_jobs_that_are_available_again(postgres_url: str) -> None:
    heard: list[str] = []
    here, there = PostgresStore(postgres_url), PostgresStore(postgres_url)
    await here.open()
    await there.open(heard.append)
    await until(lambda: there.is_listening)
    await here.insert(
        [NewJob("a", queue="x"), NewJob("b", queue="later", scheduled_at=datetime(2099, 1, 1, tzinfo=UTC))]
    )
    await until(lambda: heard == ["x"])
    await here.insert([NewJob("bulk", {"n": n}, queue="y") for n in range(50)])
    await until(lambda: heard == ["x", "y"])
    owner = LeaseOwner("here", "u-9", "x")
    (job,) = await here.claim(owner, 1)
    await here.acknowledge(owner, [JobAck(job.id, 1, AttemptReleased())])
    await until(lambda: heard == ["x", "y", "x"])
    await here.run_now(JobFilter(queues=frozenset({"later"})))
    await until(lambda: heard == ["x", "y", "x", "later"])
    await here.close()
    await there.close()


async def test_the_users_commit_announces_its_jobs(
    shared: PostgresStore, postgres_url: str, sql: psycopg.Connection
) -> None:
    heard: list[str] = []
    there = PostgresStore(postgres_url)
    await there.open(heard.append)
    await until(lambda: there.is_listening)
    shared.insert_in(sql, [NewJob("build")])
    sql.commit()
    await until(lambda: heard == ["default"])
    await there.close()


async def test_a_cancel_asks_oban_to_stop_the_job(shared: PostgresStore, postgres_url: str) -> None:
    ids = await inserted(shared, NewJob("build"), NewJob("build"))
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute('listen "public.oban_signal"')
        await shared.cancel(ALL)
        await shared.heartbeat()  # the notification has been sent before
        heard = [one.payload for one in connection.notifies(timeout=10, stop_after=2)]
    assert all(payload.startswith("H4sI") for payload in heard)
    assert [decode_notification(payload) for payload in heard] == [
        {"action": "pkill", "job_id": job_id} for job_id in ids
    ]


async def test_a_lost_listen_is_taken_up_again(postgres_url: str, clock: MovedClock) -> None:
    heard: list[str] = []
    store = PostgresStore(postgres_url, now=clock)
    await store.open(heard.append)
    await until(lambda: store.is_listening)
    _end_connections(postgres_url, "listen %")
    await until(lambda: not store.is_listening)
    await until(lambda: store.is_listening)
    with psycopg.connect(postgres_url) as connection:
        connection.execute("select pg_notify('public.oban_insert', '{\"queue\":\"mail\"}')")
    await until(lambda: heard == ["mail"])
    await store.close()


async def test_without_notifications_changes_are_looked_for_each_second(shared: PostgresStore) -> None:
    await until(shared.has_changed)
    assert not shared.has_changed()
    await until(shared.has_changed)


async def test_two_stores_claim_each_job_once(shared: PostgresStore) -> None:
    other = PostgresStore(shared.url)
    await other.open()
    await inserted(shared, *(NewJob("build", {"n": n}) for n in range(300)))
    claims = await asyncio.gather(
        *(store.claim(who, 7) for _ in range(30) for store, who in ((shared, ME), (other, OTHER)))
    )
    ids = [job.id for claim in claims for job in claim]
    assert len(ids) == len(set(ids)) == 300
    await other.close()


async def test_limits_hold_over_two_stores(shared: PostgresStore) -> None:
    other = PostgresStore(shared.url)
    await other.open()
    await inserted(shared, *(NewJob("build") for _ in range(50)))
    limits = QueueLimits(GlobalLimit(5))
    owners = [(shared, replace(ME, limits=limits)), (other, replace(OTHER, limits=limits))]
    claims = await asyncio.gather(*(store.claim(who, 2) for _ in range(10) for store, who in owners))
    assert sum(map(len, claims)) == 5
    await other.close()


async def test_unique_jobs_of_two_stores_never_deadlock_for_good(shared: PostgresStore) -> None:
    other = PostgresStore(shared.url)
    await other.open()
    keys = [NewJob("build", {"n": n}, unique=FOR_EVER) for n in range(20)]
    told = await asyncio.gather(
        *(store.insert(keys[::step]) for _ in range(10) for store, step in ((shared, 1), (other, -1)))
    )
    assert sum(not one.is_conflict for batch in told for one in batch) == 20
    assert await shared.count(ALL) == 20
    await other.close()


# Groups


async def test_concurrent_inserts_are_one_statement_and_each_has_its_id(shared: PostgresStore) -> None:
    told = await asyncio.gather(*(shared.insert([NewJob(f"w{n}"), NewJob(f"v{n}")]) for n in range(50)))
    for number, (first, second) in enumerate(told):
        assert (await got(shared, first.id)).worker == f"w{number}"
        assert (await got(shared, second.id)).worker == f"v{number}"


async def test_one_bad_insert_of_a_group_fails_alone(shared: PostgresStore) -> None:
    told = await asyncio.gather(
        *(shared.insert([NewJob("build", queue="" if n == 3 else "q")]) for n in range(9)), return_exceptions=True
    )
    failures = [one for one in told if isinstance(one, BaseException)]
    assert len(failures) == 1
    assert isinstance(failures[0], PostgresError)
    assert "queue_length" in str(failures[0])
    assert await shared.count(ALL) == 8


async def test_used_up_jobs_at_the_head_keep_no_other_out(shared: PostgresStore, sql: psycopg.Connection) -> None:
    await inserted(shared, *(NewJob("build", max_attempts=1) for _ in range(100)))
    sql.execute("update oban_jobs set attempt = 1")
    sql.commit()
    ids = await inserted(shared, *(NewJob("build") for _ in range(3)))
    assert [job.id for job in await shared.claim(ME, 100)] == ids


async def test_the_jobs_of_a_cancelled_claim_come_back(shared: PostgresStore) -> None:
    await inserted(shared, *(NewJob("build") for _ in range(60)))
    for _ in range(30):
        claim = asyncio.create_task(shared.claim(ME, 2))
        await asyncio.sleep(0)
        claim.cancel()
        await asyncio.wait([claim])
    available = JobFilter(states=frozenset({"available"}))
    async with asyncio.timeout(10):
        while await shared.count(available) < 60:
            await shared.heartbeat()


async def test_a_pooler_is_noticed_and_no_statement_is_prepared(
    postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    parts = urlsplit(postgres_url)
    assert parts.port is not None
    async with pooled(parts.port) as port:
        store = PostgresStore(postgres_url.replace(f":{parts.port}/", f":{port}/"))
        await store.open()
        await until(lambda: store.is_listening)
        for number in range(20):
            await inserted(store, NewJob("build", {"n": number}))
        prepared = await store.writer.run(_prepared)
        assert prepared == 0
        assert len(await store.claim(ME, 50)) == 20
        await store.close()
    (record,) = caplog.records
    assert "a pooler stands before postgresql://postgres@127.0.0.1" in record.message
    assert "each process looks for jobs every second" in record.message


def _prepared(cursor: RawCursor) -> object:
    cursor.execute(b"select count(*) from pg_prepared_statements", ())
    return cursor.fetchall()[0][0]


# A server that fails


async def test_a_restarted_server_is_connected_to_again_and_the_outage_logged_once(
    postgres: PostgresServer, shared: PostgresStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "headrace")
    (job_id,) = await inserted(shared, NewJob("build"))
    postgres.stop()
    down = asyncio.create_task(shared.claim(ME, 1))
    await asyncio.to_thread(postgres.start)
    (job,) = await down
    assert job.id == job_id
    assert (await ended(shared, job, AttemptCompleted())).state == "completed"
    assert [record.message for record in caplog.records if "can be used again after" in record.message] == [
        record.message for record in caplog.records
    ]
    assert len(caplog.records) == 1


async def test_a_server_that_is_down_is_named_without_the_password(
    postgres: PostgresServer, shared: PostgresStore
) -> None:
    postgres.stop()
    try:
        with pytest.raises(
            PostgresError, match=r"the database postgresql://postgres@127.0.0.1:\d+/test_\d+ cannot be used"
        ) as caught:
            await shared.insert([NewJob("build")])
        assert "secret" not in str(caught.value)
    finally:
        postgres.start()
    assert len(await inserted(shared, NewJob("build"))) == 1


async def test_a_server_that_was_replaced_by_an_empty_one_gets_the_tables(shared: PostgresStore) -> None:
    await inserted(shared, NewJob("build"))
    with psycopg.connect(shared.url, autocommit=True) as connection:
        connection.execute("drop schema public cascade")
        connection.execute("create schema public")
    _end_connections(shared.url, "%")
    assert await inserted(shared, NewJob("ship")) == [1]
    assert [job.worker for job in await shared.claim(ME, 5)] == ["ship"]


async def test_a_server_that_became_a_standby_is_left_with_the_next_call(shared: PostgresStore) -> None:
    database = shared.url.rpartition("/")[2]
    with psycopg.connect(shared.url, autocommit=True) as connection:
        connection.execute(f"alter database {database} set default_transaction_read_only = on".encode())
    _end_connections(shared.url, "%")
    with pytest.raises(PostgresError, match="in a read-only transaction"):
        await shared.insert([NewJob("build")])
    with psycopg.connect(shared.url, autocommit=True) as connection:
        connection.execute("set default_transaction_read_only = off")  # of this connection, which changes it back
        connection.execute(f"alter database {database} reset default_transaction_read_only".encode())
    assert len(await inserted(shared, NewJob("build"))) == 1


async def test_a_user_needs_no_right_to_create_tables_that_are_there(
    shared: PostgresStore, sql: psycopg.Connection, postgres_url: str
) -> None:
    sql.execute("drop role if exists clerk")
    sql.execute("create role clerk login")
    sql.execute("grant select, insert, update, delete on all tables in schema public to clerk")
    sql.execute("grant usage on all sequences in schema public to clerk")
    sql.commit()
    store = PostgresStore(postgres_url.replace("postgres:secret@", "clerk:secret@"))
    await store.open()
    await inserted(store, NewJob("build"))
    (job,) = await store.claim(ME, 1)
    assert (await ended(store, job, AttemptCompleted())).state == "completed"
    await store.close()
    sql.execute("drop owned by clerk")
    sql.execute("drop role clerk")
    sql.commit()


async def test_a_connection_lost_in_the_middle_of_a_claim_costs_nothing(
    shared: PostgresStore, sql: psycopg.Connection
) -> None:
    (job_id,) = await inserted(shared, NewJob("build"))
    sql.execute("lock table oban_jobs in access exclusive mode")
    claim = asyncio.create_task(shared.claim(ME, 1))
    await _waits_for_a_lock(shared.url)
    _end_connections(shared.url, "%picked%")
    sql.rollback()
    (job,) = await claim
    assert (job.id, job.attempt) == (job_id, 1)


async def test_a_claim_whose_commit_is_unknown_is_undone_before_the_next(
    shared: PostgresStore, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await inserted(shared, *(NewJob("build") for _ in range(4)))
    (kept,) = await shared.claim(ME, 1)
    clock.move(1)
    commit = shared.writer._commit

    def lose(cursor: RawCursor, calls: object) -> None:
        commit(cursor, calls)  # type: ignore[arg-type] # as it is
        monkeypatch.undo()
        raise CommitUnknown("shop")

    monkeypatch.setattr(shared.writer, "_commit", lose)
    with pytest.raises(CommitUnknown, match="was lost during a commit, which may have happened"):
        await shared.claim(ME, 2)
    assert await shared.count(JobFilter(states=frozenset({"executing"}))) == 3
    clock.move(1)
    again = await shared.claim(ME, 9)
    assert [(job.id, job.attempt) for job in again] == [(job_id, 1) for job_id in ids if job_id != kept.id]


async def test_threads_insert_while_the_loop_is_busy(shared: PostgresStore) -> None:
    threads = [threading.Thread(target=shared.insert_sync, args=([NewJob("build")],)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert await shared.count(ALL) == 8


def _end_connections(url: str, query: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where query like %s and pid <> pg_backend_pid()"
            " and datname = current_database()",
            [query],
        )


async def _waits_for_a_lock(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        waiting = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        await until(lambda: bool(connection.execute(waiting).fetchall()))
