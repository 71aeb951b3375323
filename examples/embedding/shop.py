"""The pipeline that both apps embed: orders come in by HTTP, get their price, and are added up.

It knows nothing of HTTP, and nothing of it is global: every event loop makes a `Shop` of its own.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from headrace import Consumer, Inbox, Pipeline, ProducerConsumer, StageSettings, SubscribeTo

TIMEOUT_SECONDS: Final = 2.0
"""How long a reader of the stream may stand still, for it holds up the others."""

ROOM_SECONDS: Final = 5.0
"""How long orders wait for room."""

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
    """One pipeline, and the words that views need of it.

    Orders go in as a whole or not at all. Each word raises `NoProcess` once the pipeline drains or has ended.
    """

    def __init__(self, room: int = 1000) -> None:
        self.sold: Counter[str] = Counter()
        self.pipeline = Pipeline("shop")
        # An inbox emits nothing by itself; what nobody has asked for yet waits in its buffer, up to its bound.
        self._orders = self.pipeline.add("orders", Inbox[Order], settings=StageSettings(buffer_size=room))
        self._prices = self.pipeline.add(
            "prices",
            Prices,
            subscribe_to=SubscribeTo("orders", max_demand=100),
            # Whoever reads the stage sees every order, and takes none away from the totals.
            settings=StageSettings(dispatcher="broadcast"),
        )
        self.pipeline.add("totals", partial(Totals, self.sold), subscribe_to="prices")

    def order_nowait(self, orders: Sequence[Order]) -> None:
        """Take the orders in, or raise `BufferFull`."""
        self._orders.emit_nowait(orders)

    async def order(self, orders: Sequence[Order]) -> None:
        """Take the orders in as soon as there is room, or raise `TimeoutError`."""
        async with asyncio.timeout(ROOM_SECONDS):
            await self._orders.emit(orders)

    def order_from_thread(self, orders: Sequence[Order]) -> None:
        """Do the same, from any thread."""
        taken = self.pipeline.emit_threadsafe("orders", orders)
        try:
            taken.result(ROOM_SECONDS)
        except TimeoutError:
            taken.cancel()
            raise

    def priced(self) -> AsyncGenerator[Priced, None]:
        """Yield what gets its price from now on, until the shop closes, or whoever reads it leaves or falls behind.

        A reader sets the pace, as every subscriber does: others may be 10 events ahead of it, and no more. One that
        stands still gets `ReaderTooSlow`.
        """
        return self._prices.stream(max_demand=10, timeout_seconds=TIMEOUT_SECONDS)

    def report(self) -> dict[str, object]:
        """Say how the pipeline is: whether it runs, and what every stage has been through."""
        snapshot = self.pipeline.snapshot()
        reason = self.pipeline.outcome().reason
        stages = [
            {"stage": stage.name, "state": stage.state, "restarts": stage.restarts, "errors": dict(stage.errors)}
            for stage in snapshot.stages
        ]
        return {"state": snapshot.state, "reason": reason and str(reason), "stages": stages}
