"""The pipeline of both apps: it receives orders, adds their prices, and counts the sold items.

It does not depend on HTTP and has no global state. Every event loop makes its own `Shop`.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from headrace import Consumer, Inbox, Pipeline, ProducerConsumer, StageSettings, SubscribeTo

TIMEOUT_SECONDS: Final = 2.0
"""How long a reader of the stream may stand still. A reader holds up the other subscribers."""

ROOM_SECONDS: Final = 5.0
"""How long orders wait for space in the buffer."""

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


class Prices(ProducerConsumer[Order, Priced]):
    """Adds the price to orders. An unknown product crashes the stage: the batch is lost, and the stage restarts."""

    def handle_events(self, events: list[Order]) -> list[Priced]:
        return [Priced(order.sku, order.count, order.count * CENTS[order.sku]) for order in events]


class Totals(Consumer[Priced]):
    """Counts sold items. The counter comes from outside, so it survives a crash and views can read it."""

    def __init__(self, sold: Counter[str]) -> None:
        self.sold = sold

    def handle_events(self, events: list[Priced]) -> None:
        for event in events:
            self.sold[event.sku] += event.count


class Shop:
    """One pipeline, with the methods that views need.

    Each method that accepts orders accepts all of them or none, and raises `NoProcess` when the pipeline drains or has
    ended.
    """

    def __init__(self, room: int = 1000) -> None:
        self.sold: Counter[str] = Counter()
        self.pipeline = Pipeline("shop")
        # An inbox emits only events from outside. Until a consumer asks for them, they wait in its bounded buffer.
        self._orders = self.pipeline.add("orders", Inbox[Order], settings=StageSettings(buffer_size=room))
        self._prices = self.pipeline.add(
            "prices",
            Prices,
            subscribe_to=SubscribeTo("orders", max_demand=100),
            # With broadcast, each reader gets every order, and the totals do too.
            settings=StageSettings(dispatcher="broadcast"),
        )
        self.pipeline.add("totals", partial(Totals, self.sold), subscribe_to="prices")

    def order_nowait(self, orders: Sequence[Order]) -> None:
        """Accept the orders, or raise `BufferFull`."""
        self._orders.emit_nowait(orders)

    async def order(self, orders: Sequence[Order]) -> None:
        """Accept the orders when there is space, or raise `TimeoutError`."""
        async with asyncio.timeout(ROOM_SECONDS):
            await self._orders.emit(orders)

    def order_from_thread(self, orders: Sequence[Order]) -> None:
        """Accept the orders from any thread when there is space, or raise `TimeoutError`."""
        taken = self.pipeline.emit_threadsafe("orders", orders)
        try:
            taken.result(ROOM_SECONDS)
        except TimeoutError:
            taken.cancel()
            raise

    def priced(self) -> AsyncGenerator[Priced, None]:
        """Yield the orders that are priced from now on, until the shop closes.

        A reader sets the pace like every subscriber: the others are at most 10 events ahead of it. A reader that stands
        still gets `ReaderTooSlow`.
        """
        return self._prices.stream(max_demand=10, timeout_seconds=TIMEOUT_SECONDS)

    def report(self) -> dict[str, object]:
        """Return the state of the pipeline, and the restarts and errors of every stage."""
        snapshot = self.pipeline.snapshot()
        reason = self.pipeline.outcome().reason
        stages = [
            {"stage": stage.name, "state": stage.state, "restarts": stage.restarts, "errors": dict(stage.errors)}
            for stage in snapshot.stages
        ]
        return {"state": snapshot.state, "reason": reason and str(reason), "stages": stages}
