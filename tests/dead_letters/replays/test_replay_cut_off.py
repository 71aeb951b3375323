"""Replays that a crash, a stop or a drain cuts off: no letter is lost, and what was not begun waits on."""

import asyncio
from typing import Any

import pytest

from headrace.dead_letters.sqlite_store import SqliteDeadLetterStore
from headrace.dead_letters.store import DeadLetterFilter
from headrace.pipeline.flow.subscription import SubscribeTo
from tests.fakes.acknowledged_stages import Told
from tests.fakes.dead_letter_shop import Quiet, Shop, wake
from tests.fakes.dead_letters import ALL
from tests.fakes.failing_stages import (
    OneToOne,
    Table,
)
from tests.fakes.flow_stages import Numbers, Silent
from tests.fakes.stepping import settled, until

pytestmark = pytest.mark.asyncio


class Crash(OneToOne):
    """Ends itself over a number, as often as the list says; else it prices."""

    def __init__(self, table: Table, over: list[int]) -> None:
        super().__init__(table)
        self.over = over

    async def handle_events(self, events: list[Any]) -> Any:
        if self.over and self.over[0] in events:
            raise KeyboardInterrupt if self.over.pop(0) < 0 else asyncio.CancelledError
        return super().handle_events(events)


async def test_a_letter_in_hand_at_a_crash_is_back_where_it_was_on_a_plain_edge(
    shop: Shop, aside: SqliteDeadLetterStore
) -> None:
    over = [2]
    await aside.request_replay(ALL)
    await shop.run(lambda: Numbers(0), lambda table: Crash(table, over))
    assert over == []
    left = await aside.find(ALL, 9, is_newest_first=False)
    assert [(one.event, one.attempts, one.replay_at) for one in left] == [
        ("1", 2, None),
        ("2", 2, None),
        ("3", 2, None),
    ]
    assert shop.sink.data == []


async def test_a_letter_in_hand_at_a_crash_is_delivered_again_where_messages_flow(
    shop: Shop, aside: SqliteDeadLetterStore
) -> None:
    over = [2]
    await aside.request_replay(ALL)
    await shop.run(lambda: Told(0), lambda table: Crash(table, over))
    assert over == []
    assert await aside.count(ALL) == 0
    assert sorted(map(str, shop.sink.data)) == ["<1>", "<2>", "<3>"]


@pytest.mark.parametrize("quiet", [Silent, Quiet])
async def test_a_stop_leaves_what_was_under_way_marked_and_costs_no_attempt(
    shop: Shop, aside: SqliteDeadLetterStore, quiet: Any
) -> None:
    class Stuck(OneToOne):
        async def handle_events(self, events: list[Any]) -> Any:
            self.table.tried += events
            await asyncio.Event().wait()

    topology = shop.topology(quiet, Stuck)
    await topology.start()
    await aside.request_replay(ALL)
    wake(topology)
    await until(lambda: shop.table.tried != [])
    await topology.stop()
    left = await aside.find(DeadLetterFilter(is_waiting_for_replay=True), 9)
    assert [(one.event, one.attempts, one.is_leased) for one in left] == [
        ("3", 1, False),
        ("2", 1, False),
        ("1", 1, False),
    ]


@pytest.mark.parametrize("quiet", [Silent, Quiet])
async def test_a_drain_lets_through_what_is_under_way_and_leaves_the_rest_marked(
    shop: Shop, aside: SqliteDeadLetterStore, quiet: Any
) -> None:
    topology = shop.topology(quiet)
    await topology.start()
    await aside.request_replay(ALL, rate=0.001)
    wake(topology)
    await until(lambda: shop.table.tried == [1])
    assert (await topology.drain()).is_drained
    left = await aside.find(DeadLetterFilter(is_waiting_for_replay=True), 9)
    assert [(one.event, one.attempts, one.is_leased) for one in left] == [("3", 1, False), ("2", 1, False)]
    assert await aside.count(ALL) == 2


async def test_a_stage_that_cancels_the_replay_leaves_the_letters_marked(
    shop: Shop, aside: SqliteDeadLetterStore, caplog: pytest.LogCaptureFixture
) -> None:
    class Refuse(OneToOne):
        def handle_subscribe(self, side: str, to: SubscribeTo, subscription: Any) -> str | None:
            self.seen = to
            return "manual" if to.producer.endswith(".dead_letters") else None

        def handle_info(self, message: object) -> None:
            pass

    topology = shop.topology(Silent, Refuse)
    await topology.start()
    await aside.request_replay(ALL)
    wake(topology)
    handle = topology.stage("price")
    await until(lambda: len(handle.subscriptions()) == 2)
    await settled(topology)
    next(one for one in handle.subscriptions() if one.producer == "price.dead_letters").cancel()
    await topology.drain()
    assert await aside.count(DeadLetterFilter(is_waiting_for_replay=True)) == 3
    assert shop.table.tried == []


async def test_a_stage_may_subscribe_while_letters_are_replayed_into_it(
    shop: Shop, aside: SqliteDeadLetterStore
) -> None:
    topology = shop.topology(Silent)
    topology.add("more", lambda: Numbers(4))
    await topology.start()
    await aside.request_replay(ALL, rate=0.001)
    wake(topology)
    await until(lambda: shop.table.tried == [1])
    topology.stage("price").subscribe("more")
    await until(lambda: len(shop.sink.data) == 5)
    await topology.drain()
