"""Stages each of whose callbacks suspends a few times, and at one of these times waits for what the test does to it."""

import asyncio
from typing import Final

from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.topology.topology import Topology

SUSPENSIONS: Final = 3
"""How often each callback suspends."""

EVENTS: Final = 12
"""How many events a source emits, in each of its lives."""

CALLBACKS: Final = (
    *(f"source.{name}" for name in ("init", "handle_demand", "handle_info", "handle_subscribe", "terminate")),
    *(f"pass.{name}" for name in ("init", "handle_events", "handle_info", "handle_cancel", "handle_complete")),
    *(f"pass.{name}" for name in ("handle_subscribe", "terminate")),
    *(f"sink.{name}" for name in ("init", "handle_events", "handle_info", "handle_subscribe", "handle_cancel")),
    *(f"sink.{name}" for name in ("handle_complete", "terminate")),
)


class Halt:
    """Where callbacks halt: in which one, at which of its suspensions; only the first time that it comes there."""

    def __init__(self, callback: str, step: int) -> None:
        self._where = (callback, step)
        self.is_reached = False
        self.goes_on: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.handled = {"source": 0, "pass": 0, "sink": 0}
        self.made = {"source": 0, "pass": 0, "sink": 0}

    async def suspend(self, callback: str) -> None:
        """Suspend `SUSPENSIONS` times."""
        for step in range(SUSPENSIONS):
            if (callback, step) == self._where and not self.is_reached:
                self.is_reached = True
                await self.goes_on
            else:
                await asyncio.sleep(0)


class HaltingSource(Producer[int]):
    def __init__(self, halt: Halt) -> None:
        self.halt = halt
        self.left = EVENTS

    async def init(self) -> None:
        await self.halt.suspend("source.init")
        self.halt.begun.append("source")

    async def terminate(self, reason: object) -> None:
        self.halt.ended.append("source")
        await self.halt.suspend("source.terminate")

    async def handle_info(self, message: object) -> None:
        await self.halt.suspend("source.handle_info")

    async def handle_subscribe(self, side: str, to: object, subscription: object) -> None:
        await self.halt.suspend("source.handle_subscribe")

    async def handle_demand(self, demand: int) -> list[int]:
        await self.halt.suspend("source.handle_demand")
        made = min(demand, self.left)
        self.left -= made
        self.halt.made["source"] += made
        if not self.left:
            self.complete()
        return list(range(made))


class HaltingPass(ProducerConsumer[int, int]):
    def __init__(self, halt: Halt) -> None:
        self.halt = halt

    async def init(self) -> None:
        await self.halt.suspend("pass.init")
        self.halt.begun.append("pass")

    async def terminate(self, reason: object) -> None:
        self.halt.ended.append("pass")
        await self.halt.suspend("pass.terminate")

    async def handle_info(self, message: object) -> None:
        await self.halt.suspend("pass.handle_info")

    async def handle_subscribe(self, side: str, to: object, subscription: object) -> None:
        await self.halt.suspend("pass.handle_subscribe")

    async def handle_cancel(self, kind: str, reason: object, subscription: object) -> None:
        await self.halt.suspend("pass.handle_cancel")

    async def handle_complete(self) -> list[int]:
        await self.halt.suspend("pass.handle_complete")
        self.halt.made["pass"] += 1
        return [-1]

    async def handle_events(self, events: list[int]) -> list[int]:
        await self.halt.suspend("pass.handle_events")
        self.halt.handled["pass"] += len(events)
        self.halt.made["pass"] += len(events)
        return events


class HaltingSink(Consumer[int]):
    def __init__(self, halt: Halt) -> None:
        self.halt = halt

    async def init(self) -> None:
        await self.halt.suspend("sink.init")
        self.halt.begun.append("sink")

    async def terminate(self, reason: object) -> None:
        self.halt.ended.append("sink")
        await self.halt.suspend("sink.terminate")

    async def handle_info(self, message: object) -> None:
        await self.halt.suspend("sink.handle_info")

    async def handle_subscribe(self, side: str, to: object, subscription: object) -> None:
        await self.halt.suspend("sink.handle_subscribe")

    async def handle_cancel(self, kind: str, reason: object, subscription: object) -> None:
        await self.halt.suspend("sink.handle_cancel")

    async def handle_complete(self) -> None:
        await self.halt.suspend("sink.handle_complete")

    async def handle_events(self, events: list[int]) -> None:
        await self.halt.suspend("sink.handle_events")
        self.halt.handled["sink"] += len(events)


def halting_chain(halt: Halt) -> Topology:
    """Return a chain of three whose callbacks halt once."""
    topology = Topology(cancel="temporary")
    settings = StageSettings(shutdown_seconds=1.0)
    topology.add("source", lambda: HaltingSource(halt), settings=settings)
    topology.add("pass", lambda: HaltingPass(halt), subscribe_to=SubscribeTo("source", 4, 2), settings=settings)
    topology.add("sink", lambda: HaltingSink(halt), subscribe_to=SubscribeTo("pass", 4, 2), settings=settings)
    return topology
