"""A pipeline without a config file: a producer, a producer-consumer and a consumer, in plain Python.

Run it with `python examples/python_first.py`.
"""

import asyncio
from collections.abc import AsyncIterator

from headrace import Consumer, Pipeline, Producer, ProducerConsumer, SubscribeTo


class Readings(Producer[float]):
    """Emits readings of a thermometer, at most as many as consumers asked for."""

    def __init__(self) -> None:
        self.taken = 0

    def handle_demand(self, demand: int) -> list[float]:
        readings = [20 + (self.taken + number) % 7 / 2 for number in range(min(demand, 100 - self.taken))]
        self.taken += len(readings)
        if self.taken == 100:
            self.complete()
        return readings


class Means(ProducerConsumer[float, float]):
    """Emits the mean of each batch. A handler may be `def` or `async def`."""

    async def handle_events(self, events: list[float]) -> list[float]:
        await asyncio.sleep(0)
        return [sum(events) / len(events)]


class Report(Consumer[float]):
    """Prints its events."""

    def handle_events(self, events: list[float]) -> None:
        for event in events:
            print(f"mean {event:.2f}")


async def words() -> AsyncIterator[str]:
    """Yield words. A producer can read any iterable, async iterable or aiostream stream."""
    for word in ("demand", "upstream", "events", "downstream"):
        yield word


async def main() -> None:
    pipeline = Pipeline("python-first")
    pipeline.add("readings", Readings)
    pipeline.add("means", Means, subscribe_to=SubscribeTo("readings", max_demand=50, min_demand=25))
    pipeline.add("report", Report, subscribe_to="means")
    spoken = pipeline.add("words", Producer.from_stream(words()))
    async with pipeline:  # starts the run, and drains it at the end of the block
        async for word in spoken.stream(max_demand=2):  # asks for more only as you read
            print(word)
        outcome = await pipeline.join()
    print("fine" if outcome.is_fine else outcome.reason)


if __name__ == "__main__":
    asyncio.run(main())
