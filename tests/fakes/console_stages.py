"""Stages for tests of the faces: small, and each in a state that a test can wait for."""

import asyncio
from collections.abc import Iterator
from typing import ClassVar

from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.telemetry.counts import FamilySpec


class Numbers(Producer[int]):
    """Emits the numbers below `count` and completes; then it waits for a drain, when `stays_open`."""

    def __init__(self, count: int, *, stays_open: bool = False) -> None:
        self.count = count
        self.stays_open = stays_open
        self.following = 0

    def handle_demand(self, demand: int) -> list[int]:
        events = list(range(self.following, min(self.following + demand, self.count)))
        self.following += len(events)
        if self.following >= self.count and not self.stays_open:
            self.complete()
        return events


class Evens(ProducerConsumer[int, int]):
    """Passes on every other number."""

    known_discards = ("filtered",)

    def handle_events(self, events: list[int]) -> Iterator[int]:
        kept = [event for event in events if event % 2 == 0]
        self.discard(len(events) - len(kept), "filtered")
        return iter(kept)


class Measured(Consumer[int]):
    """Lists and declares a metric of its own."""

    metric_families: ClassVar[tuple[FamilySpec, ...]] = (FamilySpec("gauge", "height", "Height."),)

    def init(self) -> None:
        """Declare the metric."""
        for spec in self.metric_families:
            self.metrics.declare(spec)

    def handle_events(self, events: list[int]) -> None:
        """Drop the events."""


class Shelf(Consumer[int]):
    """Keeps what it gets, counts it under `shelf_events_total`, and tells when it has `enough`."""

    def __init__(self, enough: int = 1) -> None:
        self.enough = enough
        self.kept: list[int] = []
        self.is_full = asyncio.Event()

    def init(self) -> None:
        spec = FamilySpec("counter", "shelf_events_total", "Events on the shelf.", ("parity",))
        self.events = self.metrics.declare(spec)

    def handle_events(self, events: list[int]) -> None:
        self.kept += events
        for event in events:
            self.events.add(("odd" if event % 2 else "even",))
        if len(self.kept) >= self.enough:
            self.is_full.set()


class Stuck(Consumer[int]):
    """Never comes back from its first batch."""

    def __init__(self) -> None:
        self.is_stuck = asyncio.Event()

    async def handle_events(self, events: list[int]) -> None:
        self.is_stuck.set()
        await asyncio.Event().wait()


class Failing(Consumer[int]):
    """Fails every event on its own, and goes on."""

    def handle_events(self, events: list[int]) -> None:
        for event in events:
            self.fail(ValueError(f"{event} is not wanted"))


class Crashing(Consumer[int]):
    """Crashes at every batch."""

    def handle_events(self, events: list[int]) -> None:
        message = "secret-of-the-batch"
        raise RuntimeError(message)


class Opening(Consumer[int]):
    """Takes its time to open: until `may_open`."""

    def __init__(self) -> None:
        self.opens = asyncio.Event()
        self.may_open = asyncio.Event()

    async def init(self) -> None:
        self.opens.set()
        await self.may_open.wait()

    def handle_events(self, events: list[int]) -> None:
        """Do nothing."""


class Unopened(Consumer[int]):
    """Cannot open."""

    def init(self) -> None:
        raise FileNotFoundError(2, "No such file or directory", "orders.db")

    def handle_events(self, events: list[int]) -> None:
        """Do nothing."""
