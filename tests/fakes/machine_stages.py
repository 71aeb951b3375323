"""Stages of random topologies: each notes what it took, made and pushed, and waits or crashes when it is told to."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import Final

from headrace.pipeline.message import Message
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.consumer_supervisor import ConsumerSupervisor
from headrace.pipeline.stage.producer import Emitted, Producer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from tests.fakes.machine_notes import Form, Notes, Pace

GATHERED: Final = 5
"""How many events a stage gathers before it makes its own of them."""

IDLE_SECONDS: Final = 0.01
"""How long an endless stream waits before it looks for supply again."""


class Source(Producer[object]):
    """Emits events of its own while its supply lasts, in one of the forms, until it is told to finish."""

    def __init__(self, notes: Notes, form: Form) -> None:
        self.notes = notes
        self.form = form
        notes.listen(self)
        self.emits_messages = notes.is_acknowledged

    def init(self) -> Awaitable[None] | None:
        return self.notes.begin()

    def terminate(self, reason: object) -> Awaitable[None] | None:
        return self.notes.end()

    def handle_info(self, message: int) -> None:
        self.notes.infos.append(message)

    def push(self, count: int) -> None:
        """Emit events that nobody has asked for."""
        self.notes.pushed += count
        self.emit_nowait([self.notes.at_source("pushed") for _ in range(count)])

    def _some(self, demand: int) -> list[object]:
        self.notes.crash_if_told()
        if self.notes.is_finishing:
            self.complete()
            return []
        made = min(demand, self.notes.supply)
        self.notes.supply -= made
        self.notes.made += made
        return [self.notes.at_source() for _ in range(made)]

    def handle_demand(self, demand: int) -> Emitted[object] | Awaitable[Emitted[object]]:
        if self.form == "generator":
            return self._generated()
        if self.form == "async generator":
            return self._generated_later()
        if self.form == "endless stream":
            return self._endless()
        return self._some(demand) if self.form == "list" else self._later(demand)

    async def _later(self, demand: int) -> list[object]:
        await asyncio.sleep(0)
        return self._some(demand)

    def _generated(self) -> Iterator[object]:
        while some := self._some(1):
            yield from some

    async def _generated_later(self) -> AsyncIterator[object]:
        while True:
            if self.notes.emitted % 3 == 0:
                await asyncio.sleep(0)
            some = self._some(1)
            if not some:
                return
            for event in some:
                yield event

    async def _endless(self) -> AsyncIterator[object]:
        """Wait for supply, rather than end without any."""
        while not self.notes.is_finishing:
            for event in self._some(1):
                yield event
            if not self.notes.supply:
                await asyncio.sleep(IDLE_SECONDS)
        self._some(1)


class Middle(ProducerConsumer[object, object]):
    """Makes `width` events of each."""

    takes_messages = True

    def __init__(self, notes: Notes, pace: Pace, width: int) -> None:
        self.notes = notes
        self.pace: Pace = pace
        notes.listen(self)
        self.width = width
        if notes.answers:
            self.__dict__["handle_demand"] = self._answer

    def init(self) -> Awaitable[None] | None:
        return self.notes.begin()

    def terminate(self, reason: object) -> Awaitable[None] | None:
        return self.notes.end()

    def handle_info(self, message: int) -> None:
        self.notes.infos.append(message)

    def push(self, count: int) -> None:
        """Emit events beside those that are made of others."""
        self.notes.pushed += count
        self.emit_nowait([self.notes.new("pushed") for _ in range(count)])

    def handle_complete(self) -> list[object] | Awaitable[list[object]]:
        """Emit one last event."""
        return self._last() if self.pace == "sync" else self._last_later()

    async def _last_later(self) -> list[object]:
        await self.notes.wait(self.pace)
        return self._last()

    def _last(self) -> list[object]:
        self.notes.crash_if_told()
        self.notes.lasts += 1
        self.notes.made += 1
        return [self.notes.new()]

    def handle_events(self, events: list[object]) -> list[object] | Awaitable[list[object]]:
        if self.pace == "sync":
            return self._made(events)
        return self._later(events)

    async def _later(self, events: list[object]) -> list[object]:
        await self.notes.wait(self.pace)
        return self._made(events)

    async def _answer(self, demand: int) -> list[object]:
        """Answer some of what is asked beside what is taken in."""
        await self.notes.wait(self.pace)
        self.notes.crash_if_told()
        count = min(demand, self.notes.supply)
        self.notes.supply -= count
        self.notes.made += count
        return [self.notes.new("answered") for _ in range(count)]

    def _made(self, events: list[object]) -> list[object]:
        self.notes.crash_if_told()
        self.notes.take(events)
        return self._of(events)

    def _of(self, events: list[object]) -> list[object]:
        made: list[object] = [
            event.derive(self.notes.new()) if isinstance(event, Message) else self.notes.new()
            for event in events
            for _ in range(self.width)
        ]
        self.notes.made += len(made)
        return made


class AsyncMiddle(Middle):
    """Several of its batches may be under way at a time."""

    async def handle_events(self, events: list[object]) -> list[object]:
        return await self._later(events)


class GatheringMiddle(Middle):
    """Holds events until it has some of them, and then makes its own of all."""

    def __init__(self, notes: Notes, pace: Pace, width: int) -> None:
        super().__init__(notes, pace, width)
        self.gathered: list[object] = []

    def _made(self, events: list[object]) -> list[object]:
        self.notes.crash_if_told()
        self.notes.take(events)
        self.retain(events)
        self.gathered += events
        return [] if len(self.gathered) < GATHERED else self._of_gathered()

    def _last(self) -> list[object]:
        return [*super()._last(), *self._of_gathered()]

    def _of_gathered(self) -> list[object]:
        gathered, self.gathered = self.gathered, []
        made = self._of(gathered)
        self.release(gathered)
        return made


class Sink(Consumer[object]):
    """Notes what it gets."""

    def __init__(self, notes: Notes, pace: Pace) -> None:
        self.notes = notes
        self.pace: Pace = pace
        notes.listen(self)

    def init(self) -> Awaitable[None] | None:
        return self.notes.begin()

    def terminate(self, reason: object) -> Awaitable[None] | None:
        return self.notes.end()

    def handle_info(self, message: int) -> None:
        self.notes.infos.append(message)

    def handle_events(self, events: list[object]) -> Awaitable[None] | None:
        if self.pace != "sync":
            return self._later(events)
        self._taken(events)
        return None

    async def _later(self, events: list[object]) -> None:
        await self.notes.wait(self.pace)
        self._taken(events)

    def _taken(self, events: list[object]) -> None:
        self.notes.crash_if_told()
        self.notes.take(events)


class AsyncSink(Sink):
    """Several of its batches may be under way at a time."""

    async def handle_events(self, events: list[object]) -> None:
        await self._later(events)


class Nursery(ConsumerSupervisor[object]):
    """Notes what it gets, in a child for each event."""

    max_restarts = 1_000_000

    def __init__(self, notes: Notes, pace: Pace) -> None:
        self.notes = notes
        self.pace: Pace = pace
        notes.listen(self)

    def init(self) -> Awaitable[None] | None:
        return self.notes.begin()

    def terminate(self, reason: object) -> Awaitable[None] | None:
        return self.notes.end()

    def handle_info(self, message: int) -> None:
        self.notes.infos.append(message)

    async def run(self, event: object) -> None:
        await self.notes.wait(self.pace)
        self.notes.crash_if_told()
        self.notes.take([event])


class AgainNursery(Nursery):
    """Runs a child again that failed."""

    restart = "transient"
