"""A run starts while its database is down, says so, waits, and goes on once the database serves; real PostgreSQL."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.config.pipeline import Pipeline
from headrace.console.web.app import Readiness, readiness
from headrace.errors import StartFailed
from headrace.pipeline.stage.producer import Inbox
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.topology.topology import Topology
from headrace.stages.edges.sqlite_log import EVENTS
from headrace.stages.sinks.write_sql import WriteSql
from tests.fakes.failing_stages import Kept
from tests.fakes.outages import outage
from tests.fakes.postgres_server import PostgresServer
from tests.fakes.shops import TABLE, PostgresShop, orders, sink, source
from tests.fakes.stepping import until

pytestmark = pytest.mark.asyncio

BUFFERED = """
name: shop
listen: off
stages:
  source: {{type: emit, buffer: {{kind: sqlite, path: '{folder}/events.db'}}}}
  sink:
    type: write_sql
    database: {url}
    table: orders
    columns: {{id: event.id, sku: event.sku, count: event.count}}
    on_conflict: ignore
    subscribe_to: source
"""


@pytest.fixture
def shop(postgres_url: str) -> PostgresShop:
    shop = PostgresShop(postgres_url)
    shop.execute(TABLE)
    return shop


def pushed(sink: Callable[[], WriteSql]) -> Topology:
    topology = Topology("shop")
    topology.add("source", Inbox, settings=StageSettings(buffer_size=10_000))
    topology.add("sink", sink, subscribe_to="source")
    return topology


def ready(topology: Topology, *, is_trusted: bool = True) -> Readiness:
    return readiness(topology.name, topology.state, topology.snapshot(), is_trusted=is_trusted)


def on_disk(topology: Topology) -> float:
    families = next(stage.families for stage in topology.snapshot().stages if stage.name == "source.buffer")
    return next(family.samples[()] for family in families if family.spec.name == EVENTS.name)


async def test_a_run_starts_while_its_database_is_down_and_loses_no_event(
    postgres: PostgresServer, shop: PostgresShop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    topology = pushed(lambda: sink(shop))
    with outage(postgres) as end:
        await topology.start()
        await topology.stage("source").emit(orders(*range(50)))
        said = ready(topology)
        assert (said.is_ready, said.body["state"]) == (False, "degraded")
        assert "DatabaseUnreachable: the database postgresql://postgres@127.0.0.1" in str(said.body["stages"])
        assert "127.0.0.1" not in str(ready(topology, is_trusted=False).body)
        end()
    await until(lambda: ready(topology).is_ready)
    assert (await topology.drain()).is_fine
    assert shop.rows() == [(number, f"s{number}", 1) for number in range(50)]
    assert sum("'sink' waits" in record.message for record in caplog.records) == 1
    assert sum("'sink' goes on" in record.message for record in caplog.records) == 1


async def test_a_run_is_ready_again_once_its_database_is_though_no_event_comes(
    postgres: PostgresServer, shop: PostgresShop
) -> None:
    topology = pushed(lambda: sink(shop))
    with outage(postgres) as end:
        await topology.start()
        assert not ready(topology).is_ready
        end()
        await until(lambda: ready(topology).is_ready)
    assert (await topology.drain()).is_fine


async def test_a_run_whose_database_fails_in_the_middle_is_not_ready_until_it_serves_again(
    postgres: PostgresServer, shop: PostgresShop
) -> None:
    topology = pushed(lambda: sink(shop))
    await topology.start()
    await topology.stage("source").emit(orders(1))
    await until(lambda: shop.rows() != [])
    assert ready(topology).is_ready
    with outage(postgres) as end:
        await topology.stage("source").emit(orders(2))
        await until(lambda: not ready(topology).is_ready)
        end()
        await until(lambda: ready(topology).is_ready)
    await topology.stop()


async def test_a_run_that_was_killed_in_an_outage_starts_in_it_and_loses_no_event(
    postgres: PostgresServer, shop: PostgresShop, tmp_path: Path
) -> None:
    text = BUFFERED.format(folder=tmp_path, url=shop.url)
    with outage(postgres) as end:
        first = Pipeline.from_text(text)
        await first.start()
        await first.stage("source").emit(orders(1, 2))
        await until(lambda: on_disk(first) == 2)
        await first.stop()
        second = Pipeline.from_text(text)
        await second.start()
        await second.stage("source").emit(orders(3))
        end()
        await until(lambda: len(shop.rows()) == 3)
    assert (await second.drain()).is_fine


@pytest.mark.parametrize(
    ("end", "why"), [("_gone", "does not exist"), ("?user=stranger", 'role "stranger" does not exist')]
)
async def test_a_database_that_refuses_the_user_or_is_not_there_still_ends_the_start(
    postgres_url: str, end: str, why: str
) -> None:
    with pytest.raises(StartFailed, match=why):
        await pushed(lambda: sink(PostgresShop(f"{postgres_url}{end}"))).start()


async def test_a_source_waits_for_its_database_at_the_start_and_goes_on_where_it_was(
    postgres: PostgresServer, shop: PostgresShop
) -> None:
    query = "select id from orders where id > :after order by id"
    kept, topology = Kept(), Topology()
    topology.add("source", lambda: source(shop, query=query, cursor="id", every="1ms"))
    topology.add("sink", lambda: kept, subscribe_to="source")
    shop.execute("insert into orders values (?, ?, ?)", (1, "s", 1))
    with outage(postgres) as end:
        await topology.start()
        assert not ready(topology).is_ready
        end()
        await until(lambda: len(kept.data) == 1)
    with outage(postgres) as end:
        await until(lambda: not ready(topology).is_ready)
        end()
        shop.execute("insert into orders values (?, ?, ?)", (2, "s", 1))
        await until(lambda: len(kept.data) == 2)
    assert kept.data == [{"id": 1}, {"id": 2}]
    assert ready(topology).is_ready
    assert (await topology.drain()).is_fine
