"""A fast producer and a slow consumer: memory stays within what was asked for."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.topology.topology import Topology
from tests.fakes.flow_stages import Numbers, Pass
from tests.fakes.laws import inlet_of
from tests.fakes.stepping import run_of


class _Slow(Consumer[int]):
    """Gives way after each batch, so that its producer could run ahead."""

    def __init__(self) -> None:
        self.count = 0

    async def handle_events(self, events: list[int]) -> None:
        self.count += len(events)
        await asyncio.sleep(0)


@pytest.mark.asyncio
@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_fast_producer_never_runs_further_ahead_than_was_asked(is_stream: bool) -> None:  # noqa: FBT001
    count, most, emitted = 200_000, 0, 0

    class Endless(Numbers):
        def handle_demand(self, demand: int) -> list[int]:
            nonlocal emitted
            emitted += demand
            look()
            return super().handle_demand(demand)

    async def numbers() -> AsyncIterator[int]:
        nonlocal emitted
        for number in range(1, count + 1):
            emitted += 1
            if number % 100 == 0:
                look()
            yield number

    def look() -> None:
        nonlocal most
        processes = run_of(topology).processes.values()
        waiting = sum(inlet.in_flight() for process in processes if (inlet := inlet_of(process)) is not None)
        most = max(most, waiting, emitted - slow.count)

    topology, slow = Topology(), _Slow()
    topology.add("numbers", Producer.from_stream(numbers()) if is_stream else lambda: Endless(count))
    topology.add("pass", Pass, subscribe_to=SubscribeTo("numbers", 1000, 500))
    topology.add("slow", lambda: slow, subscribe_to=SubscribeTo("pass", 400, 200))
    assert (await topology.run()).is_fine
    assert slow.count == count
    assert most <= 1000 + 1000 + 400
