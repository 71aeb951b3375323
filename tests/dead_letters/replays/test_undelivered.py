"""What a drain leaves over: letters of who had it in hand, or would have got it."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from headrace.dead_letters.service import DeadLetterService
from headrace.pipeline.dispatchers.partition import PartitionDispatcher
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.topology.topology import Topology
from tests.fakes.dead_letter_shop import Shop
from tests.fakes.failing_stages import (
    Kept,
    OneToOne,
)
from tests.fakes.flow_stages import Numbers
from tests.fakes.stepping import settled, until

pytestmark = pytest.mark.asyncio


class Hangs(Kept):
    """Takes events in, and is never done with them."""

    async def handle_events(self, events: list[Any]) -> None:  # type: ignore[override] # either form is allowed
        await asyncio.Event().wait()


async def test_outputs_that_a_drain_leaves_over_go_on_where_they_were_to_go(shop: Shop) -> None:
    topology = shop.topology(lambda: Numbers(40), OneToOne, Hangs, shutdown_seconds=0.0)
    topology._specs["sink"].subscribe_to = (SubscribeTo("price", 4, 2),)
    await topology.start()
    await until(lambda: topology.snapshot().stages[1].in_flight_events == 10)
    assert topology.stage("price").estimate_buffered_count() > 0
    await topology.drain(0.01)
    letters = await shop.letters()
    assert {one.stage for one in letters} == {"price", "sink"}
    await shop.request_replay()
    await shop.run(lambda: Numbers(0))
    assert await shop.letters() == []
    assert sorted(map(str, shop.sink.data)) == sorted(f"<{number}>" for number in range(1, len(letters) + 1))


async def test_outputs_that_a_drain_leaves_over_are_letters_of_those_that_would_have_got_them(shop: Shop) -> None:
    def topology(sink: Callable[[], Consumer[Any]]) -> Topology:
        made = Topology("shop")
        made.add_service(DeadLetterService(shop.store(), "shop"))
        made.add("all", lambda: Numbers(20), settings=StageSettings("broadcast"))
        made.add("parts", lambda: Numbers(20), settings=StageSettings(lambda: PartitionDispatcher(2, hash=_parity)))
        for name in ("a", "b"):
            made.add(name, sink, subscribe_to=SubscribeTo("all", 2, 1, selector=_SELECTORS[name]))
        for number in (0, 1):
            made.add(f"part{number}", sink, subscribe_to=SubscribeTo("parts", 2, 1, partition=number))
        return made

    hanging = topology(Hangs)
    await hanging.start()
    await settled(hanging)
    hanging.stage("all").emit_nowait([100, 101])
    hanging.stage("parts").emit_nowait([100, 101])
    await hanging.drain(0.01)
    found = {(one.stage, int(one.event)) for one in await shop.letters() if int(one.event) >= 100}
    assert found == {("a", 100), ("a", 101), ("b", 101), ("part0", 100), ("part1", 101)}


def _parity(event: Any) -> int:
    return int(event) % 2


_SELECTORS: dict[str, Callable[[Any], bool] | None] = {"a": None, "b": lambda event: event % 2 == 1}
