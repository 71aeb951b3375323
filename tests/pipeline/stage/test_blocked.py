"""Time that a stage waits for demand, and time that it does not."""

import asyncio

import pytest

from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.topology.topology import Topology


class Owes(Producer[int]):
    def handle_demand(self, demand: int) -> list[int]:
        return []


class Serves(Producer[int]):
    def handle_demand(self, demand: int) -> list[int]:
        return list(range(demand))


class Waits(Consumer[int]):
    def __init__(self) -> None:
        self.waits = asyncio.Event()

    async def handle_events(self, events: list[int]) -> None:
        self.waits.set()
        await asyncio.Event().wait()


async def blocked_seconds(topology: Topology) -> float:
    for _ in range(20):
        await asyncio.sleep(0)
    return topology.snapshot().stages[0].blocked_seconds["demand"]


@pytest.mark.asyncio
async def test_a_source_that_owes_events_does_not_wait_for_demand() -> None:
    topology = Topology()
    topology.add("owes", Owes)
    topology.add("waits", Waits, subscribe_to="owes")
    await topology.start()
    before = await blocked_seconds(topology)
    assert await blocked_seconds(topology) == before
    await topology.stop()


@pytest.mark.asyncio
async def test_a_source_whose_consumer_asks_no_more_waits_for_demand() -> None:
    waits = Waits()
    topology = Topology()
    topology.add("serves", Serves)
    topology.add("waits", lambda: waits, subscribe_to=SubscribeTo("serves", max_demand=10))
    await topology.start()
    await waits.waits.wait()
    before = await blocked_seconds(topology)
    assert await blocked_seconds(topology) > before
    await topology.stop()
