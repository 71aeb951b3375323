"""Stages that suspend in every callback, and note which of their lives have begun and ended."""

import asyncio

from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.topology.topology import Topology


class Lives:
    """What became of the stages of one topology."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.handled: list[int] = []

    async def begin(self, name: str) -> None:
        await asyncio.sleep(0)
        self.begun.append(name)
        await asyncio.sleep(0)

    async def end(self, name: str) -> None:
        await asyncio.sleep(0)
        self.ended.append(name)
        await asyncio.sleep(0)


class SlowNumbers(Producer[int]):
    """Emits 1, 2, ... up to `count`, and completes."""

    def __init__(self, lives: Lives, count: int) -> None:
        self.lives = lives
        self.count = count
        self.emitted = 0

    async def init(self) -> None:
        await self.lives.begin(self.name)

    async def terminate(self, reason: object) -> None:
        await self.lives.end(self.name)

    async def handle_demand(self, demand: int) -> list[int]:
        await asyncio.sleep(0)
        first = self.emitted + 1
        self.emitted = min(self.emitted + demand, self.count)
        if self.emitted == self.count:
            self.complete()
        return list(range(first, self.emitted + 1))


class SlowPass(ProducerConsumer[int, int]):
    """Emits what it gets."""

    def __init__(self, lives: Lives) -> None:
        self.lives = lives

    async def init(self) -> None:
        await self.lives.begin(self.name)

    async def terminate(self, reason: object) -> None:
        await self.lives.end(self.name)

    async def handle_events(self, events: list[int]) -> list[int]:
        await asyncio.sleep(0)
        return events


class SlowCollect(Consumer[int]):
    """Notes what it gets."""

    def __init__(self, lives: Lives) -> None:
        self.lives = lives

    async def init(self) -> None:
        await self.lives.begin(self.name)

    async def terminate(self, reason: object) -> None:
        await self.lives.end(self.name)

    async def handle_events(self, events: list[int]) -> None:
        await asyncio.sleep(0)
        self.lives.handled += events


def slow_chain(count: int) -> tuple[Topology, Lives]:
    """Return a chain of three, not yet started, which handles `count` events and completes."""
    topology, lives = Topology(), Lives()
    topology.add("numbers", lambda: SlowNumbers(lives, count))
    topology.add("pass", lambda: SlowPass(lives), subscribe_to=SubscribeTo("numbers", 4, 2))
    topology.add("collect", lambda: SlowCollect(lives), subscribe_to=SubscribeTo("pass", 4, 2))
    return topology, lives
