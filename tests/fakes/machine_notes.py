"""What is known of the stages of a random machine, over all their lives, and what their callbacks are told to do."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Final, Literal

from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.flow.subscription_handle import CancelKind, OtherSide, SubscriptionHandle
from headrace.pipeline.message import Acknowledgement, Message, Outcome
from headrace.pipeline.stage.stage import Stage
from tests.fakes.processes import Abort


class MachineCrash(Exception):
    """What a stage raises when it is told to crash."""


CRASHES: Final = (MachineCrash, MachineCrash, MachineCrash, Abort, asyncio.CancelledError, KeyboardInterrupt)
"""What stages may raise; an interrupt begins a drain."""

Pace = Literal["sync", "async", "gated"]
Form = Literal["list", "generator", "async generator", "endless stream", "async list"]
Way = Literal["made", "pushed", "answered", "let in"]
WAYS: Final[tuple[Way, ...]] = ("made", "pushed", "answered", "let in")
PACES: Final[tuple[Pace, ...]] = ("sync", "async", "gated")
FORMS: Final[tuple[Form, ...]] = ("list", "generator", "async generator", "endless stream", "async list")
MADE_WHILE_PAUSED: Final[dict[Form, int]] = {"list": 0, "generator": 0, "async generator": 1, "endless stream": 1}
"""How many events a source may still make once it is paused: of an async stream the one in flight."""


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
    crashes: list[type[BaseException]] = field(default_factory=list)
    failing_inits: int = 0
    lives: int = 0
    pace_of_life: Pace = "sync"
    listens: Literal["automatic", "manual"] | None = None
    """What `handle_subscribe` answers; None where the stage has no such callback."""
    handles: list[SubscriptionHandle] = field(default_factory=list)
    told_infos: int = 0
    infos: list[int] = field(default_factory=list)
    answers: bool = False
    """Whether a stage in the middle has a `handle_demand` of its own."""
    let_in: set[int] = field(default_factory=set)
    kept_out: int = 0
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
            raise self.crashes.pop(0)(self.name)

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

    async def subscribed(self, side: OtherSide, to: SubscribeTo, subscription: SubscriptionHandle) -> str | None:
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
