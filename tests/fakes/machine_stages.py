"""Stages of random topologies: each notes what it took, made and pushed, and waits or crashes when it is told to."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from headrace.pipeline.acknowledgement.acknowledgement import Acknowledgement, Outcome
from headrace.pipeline.acknowledgement.message import Message
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer import Emitted, Producer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.stage.stage import Stage
from headrace.pipeline.stage.subscription import SubscribeTo
from headrace.pipeline.stage.subscription_handle import CancelKind, Side, SubscriptionHandle

Pace = Literal["sync", "async", "gated"]
Form = Literal["list", "generator", "async generator", "async list"]
Way = Literal["made", "pushed"]
PACES: Final[tuple[Pace, ...]] = ("sync", "async", "gated")
FORMS: Final[tuple[Form, ...]] = ("list", "generator", "async generator", "async list")


class MachineCrash(Exception):
    """What a stage raises when it is told to crash."""


@dataclass(frozen=True, slots=True)
class Event:
    """An event, named by who emitted it, in which way (order is kept in each of them), and as the how manieth."""

    sender: str
    way: Way
    number: int


@dataclass(repr=False)
class Notes:
    """What is known of one stage over all its restarts."""

    name: str
    is_acknowledged: bool = False
    handled: int = 0
    made: int = 0
    pushed: int = 0
    lasts: int = 0
    crashes: int = 0
    failing_inits: int = 0
    lives: int = 0
    pace_of_life: Pace = "sync"
    listens: Literal["automatic", "manual"] | None = None
    """What `handle_subscribe` answers; None where the stage has no such callback."""
    handles: list[SubscriptionHandle] = field(default_factory=list)
    infos: list[object] = field(default_factory=list)
    is_finishing: bool = False
    is_open: bool = False
    permits: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    seen: list[Event] = field(default_factory=list)
    told: dict[int, list[Outcome]] = field(default_factory=dict)
    emitted: int = 0
    supply: int = 0

    def __repr__(self) -> str:
        return f"Notes({self.name!r}, {self.is_acknowledged})"

    def new(self, way: Way = "made") -> Event:
        """Return a new event of this stage's own."""
        self.emitted += 1
        return Event(self.name, way, self.emitted)

    def at_source(self, way: Way = "made") -> object:
        """Return a new event, as a message if this source emits those."""
        event = self.new(way)
        if not self.is_acknowledged:
            return event
        number = event.number

        def tell(outcome: Outcome) -> None:
            self.told.setdefault(number, []).append(outcome)

        return Message(event, {}, Acknowledgement(tell))

    def crash_if_told(self) -> None:
        """Raise once for each time that it was told to."""
        if self.crashes:
            self.crashes -= 1
            raise MachineCrash(self.name)

    def begin(self) -> Awaitable[None] | None:
        """Do what an `init` does: wait, save at the first start, and fail when it is told to."""
        self.lives += 1
        if self.pace_of_life == "sync":
            self._fail_if_told()
            return None
        return self._begin_later("async" if self.lives == 1 else self.pace_of_life)

    async def _begin_later(self, pace: Pace) -> None:
        await self.wait(pace)
        self._fail_if_told()

    def _fail_if_told(self) -> None:
        if self.failing_inits:
            self.failing_inits -= 1
            raise MachineCrash(self.name)

    def end(self) -> Awaitable[None] | None:
        """Do what a `terminate` does: wait, and fail now and then."""
        return None if self.pace_of_life == "sync" else self._end_later()

    async def _end_later(self) -> None:
        await self.wait(self.pace_of_life)
        if self.lives % 3 == 0:
            raise MachineCrash(self.name)

    def listen(self, stage: Stage) -> None:
        """Give a stage the callbacks that tell of its subscriptions, if it is one that listens."""
        if self.listens is not None:
            stage.__dict__.update(handle_subscribe=self.subscribed, handle_cancel=self.cancelled)

    async def subscribed(self, side: Side, to: SubscribeTo, subscription: SubscriptionHandle) -> str | None:
        """Keep the handle of a subscription; say how it is asked on."""
        await self.wait(self.pace_of_life)
        self.crash_if_told()
        if subscription not in self.handles:
            self.handles.append(subscription)
        return self.listens if side == "producer" else None

    async def cancelled(self, kind: CancelKind, reason: object, subscription: SubscriptionHandle) -> None:
        """Forget the handle of a subscription."""
        await self.wait(self.pace_of_life)
        self.crash_if_told()
        if subscription in self.handles:
            self.handles.remove(subscription)

    async def wait(self, pace: Pace) -> None:
        """Wait as the pace says."""
        if pace == "gated" and not self.is_open:
            await self.permits.acquire()
        elif pace != "sync":
            await asyncio.sleep(0)

    def take(self, events: list[object]) -> None:
        """Note that a batch was handled."""
        self.handled += len(events)
        for event in events:
            inner = event.data if isinstance(event, Message) else event
            assert isinstance(inner, Event)
            self.seen.append(inner)


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

    def handle_info(self, message: object) -> None:
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


class Middle(ProducerConsumer[object, object]):
    """Makes `width` events of each."""

    def __init__(self, notes: Notes, pace: Pace, width: int) -> None:
        self.notes = notes
        self.pace: Pace = pace
        notes.listen(self)
        self.width = width

    def init(self) -> Awaitable[None] | None:
        return self.notes.begin()

    def terminate(self, reason: object) -> Awaitable[None] | None:
        return self.notes.end()

    def handle_info(self, message: object) -> None:
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

    def _made(self, events: list[object]) -> list[object]:
        self.notes.crash_if_told()
        self.notes.take(events)
        made: list[object] = [
            event.derive(self.notes.new()) if isinstance(event, Message) else self.notes.new()
            for event in events
            for _ in range(self.width)
        ]
        self.notes.made += len(made)
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

    def handle_info(self, message: object) -> None:
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


def crash_now(stage: object) -> None:
    """Raise: it is sent to a stage by mail."""
    raise MachineCrash(type(stage).__name__)


def push_now(count: int, stage: object) -> None:
    """Have a stage emit events beside those that were asked for: it is sent by mail."""
    assert isinstance(stage, Source | Middle)
    stage.push(count)
