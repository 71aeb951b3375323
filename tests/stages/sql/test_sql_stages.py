"""Events become rows and rows events, in a real SQLite file and a real PostgreSQL; what they refuse fails alone."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import ValidationError

from headrace.errors import StartFailed
from headrace.pipeline.failure import Retry
from headrace.pipeline.message import Outcome
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.topology.topology import Topology
from headrace.stages.sinks.write_lines import WriteLines, WriteLinesOptions
from headrace.stages.sinks.write_sql import WriteSqlOptions
from headrace.stages.sources.read_sql import ReadSqlOptions
from tests.fakes.acknowledged_stages import Told
from tests.fakes.failing_stages import Kept
from tests.fakes.shops import TABLE, PostgresShop, Shop, SqliteShop, orders, sink, source
from tests.fakes.stepping import until
from tests.stages.runs import run, run_events

NUMBERS = {"id": "event", "sku": "event", "count": "event"}
ANY = "create table orders (id integer, sku integer, count integer)"


@pytest.fixture
def file(tmp_path: Path) -> SqliteShop:
    return SqliteShop(tmp_path)


@pytest.fixture(params=["sqlite", "postgres"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    if request.param == "sqlite":
        return SqliteShop(tmp_path)
    return PostgresShop(request.getfixturevalue("postgres_url"))


@pytest.mark.asyncio
@pytest.mark.parametrize("max_demand", [1, 7, 1000])
async def test_each_event_is_a_row(shop: Shop, max_demand: int) -> None:
    ran = await run_events(orders(*range(100)), sink(shop), max_demand=max_demand)
    assert ran.outcome.is_fine
    assert shop.rows() == [(number, f"s{number}", 1) for number in range(100)]


@pytest.mark.asyncio
async def test_a_row_that_is_refused_fails_its_event_alone(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    bad: list[object] = [
        {"id": 2, "sku": None, "count": 1},
        {"id": 3, "sku": "s", "count": 0},
        {"id": 1, "sku": "again", "count": 1},
    ]
    bad += [{"sku": "no id"}, {"id": [4], "sku": "s", "count": 1}]
    ran = await run_events([*orders(1), *bad, *orders(5)], sink(shop))
    assert shop.rows() == [(1, "s1", 1), (5, "s5", 1)]
    assert ran.outcome.events_failed == 5
    assert f"the database refuses the row: {shop.refuses_null}" in caplog.text


@pytest.mark.asyncio
async def test_rows_with_times_and_decimals_become_lines_of_json(postgres_url: str, tmp_path: Path) -> None:
    shop = PostgresShop(postgres_url)
    query = "select timestamptz '2026-11-24 09:30Z' as at, 12.50::numeric as price, date '2026-11-24' as day"
    lines = WriteLines(WriteLinesOptions.model_validate({"path": str(tmp_path / "out")}))
    ran = await run(source(shop, query=query), lines)
    assert ran.outcome.is_fine
    line = '{"at":"2026-11-24T09:30:00+00:00","price":12.5,"day":"2026-11-24"}\n'
    assert (tmp_path / "out").read_text() == line


@pytest.mark.asyncio
async def test_values_that_sqlite_has_no_type_for_are_written_as_json_has_them(file: SqliteShop) -> None:
    file.execute("create table kept (id, sku, count)")
    event = {
        "id": datetime(2026, 11, 24, 9, 30, tzinfo=UTC),
        "sku": Decimal("12.50"),
        "count": {"a": [date(2026, 1, 1)]},
    }
    ran = await run_events([event], sink(file, table="kept", setup=None))
    assert ran.outcome.is_fine
    assert file.rows("select * from kept") == [("2026-11-24T09:30:00+00:00", 12.5, '{"a":["2026-01-01"]}')]


@pytest.mark.asyncio
async def test_a_dict_with_a_time_is_json_in_a_database(shop: Shop) -> None:
    shop.execute("create table kept (id text, sku text, count text)")
    event = {"id": "1", "sku": {"at": datetime(2026, 11, 24, tzinfo=UTC)}, "count": "2"}
    ran = await run_events([event], sink(shop, table="kept", setup=None))
    assert ran.outcome.is_fine
    assert shop.rows("select sku from kept") == [('{"at":"2026-11-24T00:00:00+00:00"}',)]


@pytest.mark.asyncio
@pytest.mark.parametrize(("on_conflict", "sku"), [("ignore", "old"), ("update", "s1")])
async def test_a_row_that_is_there_stays_or_is_replaced(shop: Shop, on_conflict: str, sku: str) -> None:
    shop.execute(TABLE)
    shop.execute("insert into orders values (?, ?, ?)", (1, "old", 9))
    ran = await run_events(orders(1, 2), sink(shop, on_conflict=on_conflict, key=["id"]))
    assert ran.outcome.is_fine
    assert [row[1] for row in shop.rows()] == [sku, "s2"]


@pytest.mark.asyncio
async def test_the_source_hears_once_the_rows_are_there(shop: Shop) -> None:
    told = Told(6)
    options = {"columns": {"id": "event", "sku": "'s'", "count": "event - 3"}}
    await run(told, sink(shop, **options))
    assert told.outcomes() == [Outcome.FAILED] * 3 + [Outcome.DONE] * 3
    assert [row[0] for row in shop.rows()] == [4, 5, 6]


@pytest.mark.asyncio
async def test_a_table_that_is_missing_is_a_crash_with_a_sentence(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    ran = await run_events(orders(1), sink(shop, setup="select 1"))
    assert (ran.stages[1].restarts, ran.outcome.events_lost) == (1, 1)
    assert f"cannot be used ({shop.misses}): see that" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.asyncio
async def test_a_database_that_comes_back_is_tried_again(shop: Shop) -> None:
    topology, told = Topology(), Told(20)
    retry = StageSettings(retry=Retry(10_000, backoff_seconds=0.001, max_backoff_seconds=0.001))
    topology.add("source", lambda: told)
    topology.add("sink", lambda: sink(shop, setup="select 1", columns=NUMBERS), subscribe_to="source", settings=retry)
    await topology.start()

    await until(lambda: topology.snapshot().stages[1].redelivered > 0)
    shop.execute(ANY)
    assert (await topology.join()).is_fine
    assert told.outcomes() == [Outcome.DONE] * 20
    assert [row[0] for row in shop.rows()] == list(range(1, 21))


@pytest.mark.asyncio
async def test_a_query_is_read_to_its_end(shop: Shop) -> None:
    await run_events(orders(3, 1, 2), sink(shop))
    ran = await run(source(shop, query="select id, sku from orders order by id"))
    assert ran.events == [{"id": number, "sku": f"s{number}"} for number in (1, 2, 3)]


@pytest.mark.asyncio
async def test_a_cursor_reads_on_page_by_page(shop: Shop) -> None:
    await run_events(orders(*range(1, 26)), sink(shop))
    query = "select id from orders where id > :after order by id limit 4"
    ran = await run(source(shop, query=query, cursor="id", start=3))
    assert [event["id"] for event in ran.events] == list(range(4, 26))  # type: ignore[index] # dicts


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("select 2 as id where 5 > :after", "the last row has 2 again, which is :after itself, in 'id'"),
        ("select null as id where 5 > :after", "the last row has no value in 'id'"),
    ],
)
async def test_a_cursor_that_does_not_go_on_is_told_and_reads_no_page_for_ever(
    file: SqliteShop, query: str, why: str
) -> None:
    file.execute(TABLE)
    ran = await run(source(file, query=query, cursor="id"))
    assert why in str(ran.outcome.reason)


@pytest.mark.asyncio
async def test_what_has_come_since_is_read_by_the_next_look(shop: Shop) -> None:
    shop.execute(TABLE)
    topology, kept = Topology(), Kept()
    query = "select id from orders where id > :after order by id"
    topology.add("source", lambda: source(shop, query=query, cursor="id", every="1ms"))
    topology.add("sink", lambda: kept, subscribe_to="source")
    await topology.start()
    for number in (1, 2):
        shop.execute("insert into orders values (?, ?, ?)", (number, "s", 1))
        await until(lambda number=number: len(kept.data) == number)  # type: ignore[misc] # bound now
    assert kept.data == [{"id": 1}, {"id": 2}]
    assert (await topology.drain()).is_fine


@pytest.mark.asyncio
async def test_a_file_that_is_no_database_refuses_the_start(file: SqliteShop) -> None:
    file.path.write_text("this is no database, and long enough to be taken for one" * 100)
    with pytest.raises(StartFailed, match="cannot be used"):
        await run(source(file, query="select 1"))


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"query": "select 1 where :after > 0"}, "`cursor` and the :after of `query` go together"),
        ({"query": "select id from t", "cursor": "id"}, "`cursor` and the :after of `query` go together"),
        ({"query": "select :other"}, "there is nothing for :other"),
        ({"query": "select 1", "every": "1s"}, "to look again it needs a `cursor`"),
        (
            {"query": "select 1", "database": "mysql://h/d"},
            "a database is written sqlite:///var/shop.db or postgresql://user:password@host",
        ),
        ({"query": "select 1", "database": "sqlite://shop.db"}, "with a fourth slash before a full path"),
    ],
)
def test_a_source_that_cannot_be_is_refused(options: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        ReadSqlOptions.model_validate({"database": "sqlite:///shop.db", **options})


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"table": "a b"}, "a table or column has letters, digits and _"),
        ({"columns": {"1a": "event"}}, "a table or column has letters, digits and _"),
        ({"on_conflict": "update"}, "to update a row that is there say by which columns"),
        ({"on_conflict": "update", "key": ["other"]}, "there is no column other among `columns`"),
    ],
)
def test_a_sink_that_cannot_be_is_refused(options: dict[str, object], why: str) -> None:
    said = {"database": "sqlite:///shop.db", "table": "t", "columns": {"a": "event"}, **options}
    with pytest.raises(ValidationError, match=why):
        WriteSqlOptions.model_validate(said)


@pytest.mark.asyncio
async def test_a_file_to_read_that_is_not_there_is_told_at_the_start_and_not_made(file: SqliteShop) -> None:
    topology = Topology()
    topology.add("source", lambda: source(file, query="select 1"))
    topology.add("sink", Kept, subscribe_to="source")
    with pytest.raises(StartFailed, match=f"there is no file {file.path}.*: check the path"):
        await topology.start()
    assert not file.path.exists()
