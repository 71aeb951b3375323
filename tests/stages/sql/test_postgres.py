"""What is PostgreSQL's own: servers that go and come back, locks, types, JSON, and passwords that nobody sees."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import pytest_asyncio

from headrace.pipeline.failure import Retry
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.message import Outcome
from headrace.pipeline.stage.settings import Concurrency, StageSettings
from headrace.pipeline.topology.topology import Topology
from headrace.stages.sql.database import DatabaseFailed, Insert
from headrace.stages.sql.postgres_database import PostgresDatabase
from tests.fakes.acknowledged_stages import Told
from tests.fakes.postgres_server import PostgresServer
from tests.fakes.shops import TABLE, PostgresShop, sink, source
from tests.fakes.stepping import until
from tests.stages.runs import run

RETRY = StageSettings(retry=Retry(1_000_000, backoff_seconds=0.001, max_backoff_seconds=0.001))
OWN = "from pg_stat_activity where datname = current_database() and application_name = 'headrace'"
WAITS = f"{OWN} and wait_event_type = 'Lock'"
END_EACH = f"select pg_terminate_backend(pid) {OWN}"
ORDER = Insert("orders", ("id", "sku"))


@pytest.fixture
def shop(postgres_url: str) -> PostgresShop:
    shop = PostgresShop(postgres_url)
    shop.execute(TABLE)
    return shop


@pytest_asyncio.fixture
async def database(shop: PostgresShop) -> AsyncIterator[PostgresDatabase]:
    database = PostgresDatabase(shop.url)
    await database.open()
    yield database
    await database.close()


async def endless(shop: PostgresShop) -> tuple[Topology, Told]:
    """Return a run that writes one number after the other, and has begun to."""
    topology, told = Topology(), Told(None)
    columns = {"id": "event", "sku": "'s'", "count": "1"}
    topology.add("source", lambda: told)
    topology.add(
        "sink",
        lambda: sink(shop, columns=columns, on_conflict="update", key=["id"]),
        subscribe_to=[SubscribeTo("source", 10)],
        settings=RETRY,
    )
    await topology.start()
    await until(lambda: len(told.told) > 50)
    return topology, told


async def goes_on(topology: Topology, told: Told, shop: PostgresShop) -> None:
    """Return once the run has gone on, and lost and failed nothing."""
    before = len(told.told)
    await until(lambda: len(told.told) > before + 50)
    assert (await topology.drain()).is_fine
    assert set(told.outcomes()) == {Outcome.DONE}
    assert [row[0] for row in shop.rows()] == list(range(1, told.emitted + 1))


@pytest.mark.asyncio
async def test_a_server_that_is_restarted_loses_no_event(postgres: PostgresServer, shop: PostgresShop) -> None:
    topology, told = await endless(shop)
    postgres.stop()
    await until(lambda: topology.snapshot().stages[1].redelivered > 20)
    postgres.start()
    await goes_on(topology, told, shop)


@pytest.mark.asyncio
async def test_a_connection_that_is_cut_is_made_anew(shop: PostgresShop) -> None:
    topology, told = await endless(shop)
    shop.execute(END_EACH)
    await until(lambda: topology.snapshot().stages[1].redelivered > 0)
    await goes_on(topology, told, shop)


@pytest.mark.asyncio
async def test_several_batches_are_written_at_a_time_each_by_a_connection_of_its_own(shop: PostgresShop) -> None:
    topology, told = Topology(), Told(40)
    columns = {"id": "event", "sku": "'s'", "count": "1"}
    topology.add("source", lambda: told)
    topology.add(
        "sink",
        lambda: sink(shop, columns=columns),
        subscribe_to=SubscribeTo("source", max_demand=20, min_demand=15),
        settings=StageSettings(concurrency=Concurrency(4)),
    )
    with psycopg.connect(shop.url) as other:
        other.execute("lock table orders in exclusive mode")
        await topology.start()
        await until(lambda: len(shop.rows(f"select 1 {WAITS}")) == 4)
    assert (await topology.join()).is_fine
    assert [row[0] for row in shop.rows()] == list(range(1, 41))
    assert told.outcomes() == [Outcome.DONE] * 40
    await until(lambda: shop.rows(f"select 1 {OWN}") == [])


@pytest.mark.asyncio
async def test_a_write_that_is_cancelled_leaves_no_transaction(shop: PostgresShop, database: PostgresDatabase) -> None:
    with psycopg.connect(shop.url) as other:
        other.execute("lock table orders")
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(database.write(ORDER, [(1, "a"), (2, "b")]))
            await until(lambda: shop.rows(f"select 1 {WAITS}") != [])
            writing.cancel()
        assert writing.cancelled()
    await until(lambda: shop.rows(f"select 1 {OWN}") == [])
    assert shop.rows() == []
    assert await database.write(ORDER, [(1, "a")]) == {}
    assert shop.rows() == [(1, "a", None)]


@pytest.mark.asyncio
async def test_a_read_that_is_cancelled_is_read_again(shop: PostgresShop, database: PostgresDatabase) -> None:
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(database.read("select pg_sleep(600)", {}))
        await until(lambda: shop.rows(f"select 1 {OWN} and wait_event = 'PgSleep'") != [])
        reading.cancel()
    await until(lambda: shop.rows(f"select 1 {OWN}") == [])
    assert await database.read("select 1 as one", {}) == [{"one": 1}]


@pytest.mark.asyncio
async def test_whatever_is_wrong_with_a_row_is_its_own_harm(shop: PostgresShop, database: PostgresDatabase) -> None:
    shop.execute("create table odd (id integer unique deferrable initially deferred, day date, note text)")
    bad: list[Sequence[object]] = [
        (1, None, "again"),
        ("x", None, ""),
        (2**70, None, ""),
        (3, "no day", ""),
        (4, None, "\0"),
        (5, None, "\ud800"),
    ]
    bad += [([6], None, ""), (7, None, object()), (8, None, {1: {object()}})]
    rows: list[Sequence[object]] = [(1, "2026-11-24", "a"), *bad, (9, None, "z")]
    refused = await database.write(Insert("odd", ("id", "day", "note")), rows)
    assert list(refused) == list(range(1, 10))
    assert shop.rows("select id, note from odd order by id") == [(1, "a"), (9, "z")]
    assert "again" not in refused[1]


@pytest.mark.asyncio
async def test_what_a_trigger_raises_refuses_the_row(shop: PostgresShop, database: PostgresDatabase) -> None:
    body = "begin if new.id = 2 then raise exception 'no twos'; end if; return new; end"
    shop.execute(f"create function refuse() returns trigger language plpgsql as $${body}$$")
    shop.execute("create trigger refuse before insert on orders for each row execute function refuse()")
    assert await database.write(ORDER, [(number, "s") for number in (1, 2, 3)]) == {1: "no twos"}


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", ["json", "jsonb"])
async def test_dicts_and_lists_are_json(shop: PostgresShop, database: PostgresDatabase, kind: str) -> None:
    shop.execute(f"create table notes (note {kind})")
    notes = [{"a": [1, "é", None]}, [1, {"b": 2.5}], []]
    assert await database.write(Insert("notes", ("note",)), [(note,) for note in notes]) == {}
    assert await database.read("select note from notes", {}) == [{"note": note} for note in notes]


@pytest.mark.asyncio
async def test_percent_signs_and_casts_in_a_query_are_left_alone(database: PostgresDatabase) -> None:
    query = "select 'a%s' like 'a%' as fits, 7 % 4 as rest, ':after'::text as quoted, :after::timestamptz as at"
    rows = await database.read(query, {"after": "2026-11-24T12:00:00Z"})
    assert rows == [{"fits": True, "rest": 3, "quoted": ":after", "at": datetime(2026, 11, 24, 12, tzinfo=UTC)}]
    assert await database.read("select 7 % 4 as rest", {}) == [{"rest": 3}]


@pytest.mark.asyncio
async def test_a_time_is_a_cursor(shop: PostgresShop) -> None:
    shop.execute(
        "create table seen as select timestamptz '2026-11-24Z' + n * interval '1 us' as at from generate_series(1, 9) n"
    )
    query = "select at from seen where at > :after order by at limit 2"
    ran = await run(source(shop, query=query, cursor="at", start="2026-11-24T00:00:00.000003Z"))
    assert [event["at"].microsecond for event in ran.events] == [4, 5, 6, 7, 8, 9]  # type: ignore[index] # dicts


@pytest.mark.asyncio
async def test_two_can_make_the_same_table_at_once(postgres_url: str) -> None:
    shop = PostgresShop(postgres_url)
    shop.execute("create table gate (a integer)")
    first, second = PostgresDatabase(shop.url, f"{TABLE}; lock table gate"), PostgresDatabase(shop.url, TABLE)
    async with asyncio.TaskGroup() as group:
        with psycopg.connect(shop.url) as other:
            other.execute("lock table gate")
            for number, database in enumerate((first, second), 1):
                group.create_task(database.open())
                waiting = [(1,)] * number
                await until(lambda waiting=waiting: shop.rows(f"select 1 {WAITS}") == waiting)  # type: ignore[misc] # bound now
    assert await second.read("select count(*) from orders", {}) == [{"count": 0}]
    await first.close()
    await second.close()


@pytest.mark.asyncio
async def test_what_is_closed_stays_closed(shop: PostgresShop, database: PostgresDatabase) -> None:
    await database.close()
    await database.close()
    with pytest.raises(DatabaseFailed, match="it is not open"):
        await database.read("select 1", {})
    assert shop.rows(f"select 1 {OWN}") == []


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("end", "why"),
    [("?nothing=1", "its URL says what libpq does not know"), ("_gone", 'database "test_[0-9]+_gone" does not exist')],
)
async def test_a_database_that_cannot_be_opened_is_told_of_without_its_password(
    postgres_url: str, end: str, why: str
) -> None:
    with pytest.raises(DatabaseFailed, match=why) as found:
        await PostgresDatabase(f"{postgres_url}{end}").open()
    assert "secret" not in str(found.value)
    assert found.value.__cause__ is None
    assert "postgresql://postgres@127.0.0.1:" in str(found.value)


TCP_OPTIONS = (socket.TCP_USER_TIMEOUT, socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)


def tcp_options(port: int) -> list[list[int]]:
    """Return the options of each socket of this process that is connected to a port."""
    found = []
    for path in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # it was the folder itself, or is no connected socket
            if not str(path.readlink()).startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(path.name))) as one:
                if one.getpeername() == ("127.0.0.1", port):
                    found.append([one.getsockopt(socket.IPPROTO_TCP, option) for option in TCP_OPTIONS])
    return found


@pytest.mark.asyncio
@pytest.mark.parametrize(("options", "milliseconds"), [("", 60_000), ("?tcp_user_timeout=5000", 5000)])
async def test_a_server_that_vanished_without_a_word_is_noticed_in_a_minute_unless_the_url_says(
    shop: PostgresShop, options: str, milliseconds: int
) -> None:
    database = PostgresDatabase(shop.url + options)
    await database.open()
    try:
        ((user_timeout, idle, interval, count),) = tcp_options(urlsplit(shop.url).port or 0)
    finally:
        await database.close()
    assert user_timeout == milliseconds
    assert idle + interval * count <= 60
