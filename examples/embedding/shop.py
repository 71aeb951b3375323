"""The pipeline that both apps embed: orders come in by HTTP, get their price, and are added up.

It knows nothing of HTTP, and nothing of it is global: every event loop makes a `Shop` of its own.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar, cast

from headrace import Consumer, Pipeline, Producer, ProducerConsumer, StageSettings, SubscribeTo
from headrace.ground.errors import NoProcess

E = TypeVar("E")

PATIENCE_SECONDS: Final = 3.0
"""How long a reader of the stream may take over one event."""

CENTS: Final = {"tea": 350, "milk": 120, "sugar": 90}


@dataclass(frozen=True, slots=True)
class Order:
    sku: str
    count: int


@dataclass(frozen=True, slots=True)
class Priced:
    sku: str
    count: int
    cents: int


class ShopFull(Exception):
    """The shop has no room for so many orders now."""


class ShopClosed(Exception):
    """The pipeline is draining, or has ended."""


class Inbox:
    """Where orders wait until the pipeline asks for them; it outlives a crash of the stage that empties it."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._waiting: deque[Order] = deque()
        self._filled = asyncio.Event()
        self.is_open = True

    def put_nowait(self, orders: Sequence[Order]) -> None:
        """Take in all of the orders, or none."""
        if not self.is_open:
            raise ShopClosed
        if len(self._waiting) + len(orders) > self._room:
            raise ShopFull
        self._waiting.extend(orders)
        self._filled.set()

    async def take(self, most: int) -> list[Order]:
        """Wait for orders; cancelled, it has taken none."""
        while not self._waiting:
            self._filled.clear()
            await self._filled.wait()
        return [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]

    def close(self) -> list[Order]:
        """Take in nothing more, and give away what still waits."""
        self.is_open = False
        left = list(self._waiting)
        self._waiting.clear()
        return left


class Orders(Producer[Order]):
    """Emits what requests have brought, as much as is asked for; the rest waits in the inbox, and then outside."""

    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox

    async def handle_demand(self, demand: int) -> list[Order]:
        return await self.inbox.take(demand)

    def handle_drain(self) -> None:
        """Emit all that was accepted: it is to go through before the app ends."""
        self.emit_nowait(self.inbox.close())


class Prices(ProducerConsumer[Order, Priced]):
    """Gives orders their price. What the shop does not sell is a crash: the batch is lost and the stage restarts."""

    def handle_events(self, events: list[Order]) -> list[Priced]:
        return [Priced(order.sku, order.count, order.count * CENTS[order.sku]) for order in events]


class Totals(Consumer[Priced]):
    """Adds up what was sold. The sums are handed in, so that they outlive a crash, and views can read them."""

    def __init__(self, sold: Counter[str]) -> None:
        self.sold = sold

    def handle_events(self, events: list[Priced]) -> None:
        for event in events:
            self.sold[event.sku] += event.count


class Shop:
    """One pipeline, and the words that views need of it."""

    def __init__(self, room: int = 1000) -> None:
        self._inbox = Inbox(room)
        self.sold: Counter[str] = Counter()
        self.pipeline = Pipeline("shop")
        self.pipeline.add("orders", partial(Orders, self._inbox))
        self._prices = self.pipeline.add(
            "prices",
            Prices,
            subscribe_to=SubscribeTo("orders", max_demand=100),
            # Whoever reads the stage sees every order, and takes none away from the totals.
            settings=StageSettings(dispatcher="broadcast"),
        )
        self.pipeline.add("totals", partial(Totals, self.sold), subscribe_to="prices")

    def order(self, orders: Sequence[Order]) -> None:
        """Take in all of the orders or none: `ShopFull` when too many wait, `ShopClosed` at the end. Loop only."""
        if self.pipeline.state != "running":
            raise ShopClosed
        self._inbox.put_nowait(orders)

    def order_from_thread(self, orders: Sequence[Order], timeout_seconds: float) -> None:
        """Hand orders to the pipeline from any thread, and wait until it has them: `ShopClosed` at the end."""
        try:
            self.pipeline.emit_threadsafe("orders", orders).result(timeout_seconds)
        except NoProcess:
            raise ShopClosed from None

    def priced(self) -> AsyncGenerator[Priced, None]:
        """Yield what gets its price from now on, until the shop closes, or whoever reads it leaves or falls behind.

        A reader sets the pace, as every subscriber does: others may be 10 events ahead of it, and no more.
        """
        return patient(cast("AsyncGenerator[Priced, None]", self._prices.stream(max_demand=10)), PATIENCE_SECONDS)

    def report(self) -> dict[str, object]:
        """Say how the pipeline is: whether it runs, and what every stage has been through."""
        snapshot = self.pipeline.snapshot()
        reason = self.pipeline.outcome().reason
        stages = [
            {"stage": stage.name, "state": stage.state, "restarts": stage.restarts, "errors": dict(stage.errors)}
            for stage in snapshot.stages
        ]
        return {"state": snapshot.state, "reason": reason and str(reason), "stages": stages}


async def patient(events: AsyncGenerator[E, None], seconds: float) -> AsyncGenerator[E, None]:
    """Yield events as long as each is taken within `seconds`.

    A browser that stands still would hold up the pipeline, and frameworks may be late to close what it read: leave.
    """
    loop = asyncio.get_running_loop()
    leaving: set[asyncio.Task[None]] = set()
    async with aclosing(events):
        async for event in events:
            late = loop.call_later(seconds, lambda: leaving.add(loop.create_task(events.aclose())))
            try:
                yield event
            finally:
                late.cancel()
