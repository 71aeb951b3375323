"""Stages for tests of the machine: they say what they got, and wait or fail when they are told to."""

import asyncio
from collections.abc import Callable, Iterable

from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer


class Numbers(Producer[int]):
    """Emits 1, 2, ... up to `count` and completes; without a count it never ends."""

    def __init__(self, count: int | None = None) -> None:
        self.count = count
        self.emitted = 0
        self.demands: list[int] = []

    def handle_demand(self, demand: int) -> list[int]:
        self.demands.append(demand)
        if self.count is not None and self.emitted + demand >= self.count:
            demand = self.count - self.emitted
            self.complete()
        first = self.emitted + 1
        self.emitted += demand
        return list(range(first, first + demand))


class Silent(Producer[object]):
    """Notes what it is told and emits only what a test has it emit."""

    def __init__(self) -> None:
        self.demands: list[int] = []
        self.reason: object = None

    def handle_demand(self, demand: int) -> list[object]:
        self.demands.append(demand)
        return []

    def terminate(self, reason: object) -> None:
        self.reason = reason


class Pass(ProducerConsumer[object, object]):
    """Emits what it gets."""

    def __init__(self) -> None:
        self.batches: list[list[object]] = []

    def handle_events(self, events: list[object]) -> list[object]:
        self.batches.append(list(events))
        return events


class Apply(ProducerConsumer[object, object]):
    """Emits what a function makes of a batch."""

    def __init__(self, function: Callable[[list[object]], Iterable[object]]) -> None:
        self.function = function

    def handle_events(self, events: list[object]) -> Iterable[object]:
        return self.function(events)


class Collect(Consumer[object]):
    """Keeps what it gets, over restarts too when its factory always gives the same one."""

    def __init__(self) -> None:
        self.events: list[object] = []
        self.batches: list[list[object]] = []
        self.completions = 0
        self.reasons: list[object] = []

    def handle_events(self, events: list[object]) -> None:
        self.events += events
        self.batches.append(list(events))

    def handle_complete(self) -> None:
        self.completions += 1

    def terminate(self, reason: object) -> None:
        self.reasons.append(reason)


class Failing(Collect):
    """Keeps what it gets, but raises what `errors` says instead of handling a batch; one a batch, oldest first."""

    def __init__(self, *errors: BaseException) -> None:
        super().__init__()
        self.errors = list(errors)
        self.failed: list[list[object]] = []

    def handle_events(self, events: list[object]) -> None:
        if self.errors:
            self.failed.append(list(events))
            raise self.errors.pop(0)
        super().handle_events(events)


class Gated(Consumer[object]):
    """Handles a batch only while its gate is open."""

    def __init__(self) -> None:
        self.events: list[object] = []
        self.gate = asyncio.Event()
        self.entered = asyncio.Event()
        self.was_cancelled = False

    async def handle_events(self, events: list[object]) -> None:
        self.entered.set()
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise
        self.events += events


class GatedPass(ProducerConsumer[object, object]):
    """Emits a batch only while its gate is open."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.entered = asyncio.Event()

    async def handle_events(self, events: list[object]) -> list[object]:
        self.entered.set()
        await self.gate.wait()
        return events
