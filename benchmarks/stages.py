"""The callbacks that are timed, with and without headrace around them."""

from typing import Any

from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer

Purchase = dict[str, object]


class Ints(Producer[Any]):
    """Emits 0, 1, 2 … up to `total`, and completes."""

    def __init__(self, total: int) -> None:
        self.next = 0
        self.total = total

    def handle_demand(self, demand: int) -> list[Any]:
        """Return the next `demand` integers."""
        start = self.next
        end = min(start + demand, self.total)
        self.next = end
        if end == self.total:
            self.finish()
        return list(range(start, end))

    def finish(self) -> None:
        """Complete: no more events will come."""
        self.complete()


class LooseInts(Ints):
    """The source without stages: it reports its end to no process."""

    def finish(self) -> None:
        """Do nothing."""


class AddOne(ProducerConsumer[int, int]):
    """Adds 1 to every integer."""

    def handle_events(self, events: list[int]) -> list[int]:
        """Return a new list."""
        return [event + 1 for event in events]


class AddOneLater(ProducerConsumer[int, int]):
    """Adds 1 to every integer, in a coroutine that never waits."""

    async def handle_events(self, events: list[int]) -> list[int]:
        """Return a new list."""
        return [event + 1 for event in events]


class Sum(Consumer[int]):
    """Adds everything up."""

    def __init__(self) -> None:
        self.sum = 0
        self.count = 0

    def handle_events(self, events: list[int]) -> None:
        """Add a batch."""
        self.sum += sum(events)
        self.count += len(events)


class Purchases(Ints):
    """Emits dicts of five fields."""

    def handle_demand(self, demand: int) -> list[Any]:
        """Return the next `demand` purchases."""
        start = self.next
        end = min(start + demand, self.total)
        self.next = end
        if end == self.total:
            self.finish()
        return [{"id": n, "kind": "purchase", "country": "nl", "quantity": 2, "total": 9.5} for n in range(start, end)]


class LoosePurchases(Purchases):
    """The source of purchases without stages."""

    def finish(self) -> None:
        """Do nothing."""


class SetField(ProducerConsumer[Purchase, Purchase]):
    """Sets one field in a copy."""

    def handle_events(self, events: list[Purchase]) -> list[Purchase]:
        """Return new dicts."""
        return [{**event, "country": "be"} for event in events]


class Count(Sum):
    """Counts its events."""

    def handle_events(self, events: list[int]) -> None:
        """Count a batch."""
        self.count += len(events)


class SlowSum(Sum):
    """Adds everything up with ten times the work of its producer."""

    def handle_events(self, events: list[int]) -> None:
        """Add a batch ten times, and keep the sum once."""
        for _ in range(9):
            sum(list(events))
        super().handle_events(events)
