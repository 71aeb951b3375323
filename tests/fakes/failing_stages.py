"""Stages in which events fail as a table says, of each shape in which the runtime hands events over."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from headrace.pipeline.failure import FailedEvent
from headrace.pipeline.message import Message
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.stages.functions import apply_to_events, await_events, data_of, derived


class Table:
    """How often each number fails yet; -1 is for ever. What is tried is noted."""

    def __init__(self, failures: Mapping[int, int]) -> None:
        self.left = dict(failures)
        self.tried: list[int] = []

    def __call__(self, event: Any) -> str:
        self.tried.append(event)
        left = self.left.get(event, 0)
        if left:
            self.left[event] = left - 1
            raise ValueError(event)
        return f"<{event}>"

    async def later(self, event: Any) -> str:
        return self(event)


class OneToOne(ProducerConsumer[Any, Any]):
    """Exactly one output for each event that did not fail."""

    per_event = True
    one_to_one = True

    def __init__(self, table: Table) -> None:
        self.table = table

    def handle_events(self, events: list[Any]) -> Any:
        return apply_to_events(self.table, events, self.fail_at)


class OneToOneLater(OneToOne):
    """The same, awaited."""

    async def handle_events(self, events: list[Any]) -> list[object]:
        return await await_events(self.table.later, events, self.fail_at)


class Many(OneToOne):
    """Says what came of which: nothing of every fourth, two of the others."""

    one_to_one = False

    def handle_each(self, events: list[Any]) -> list[Sequence[object]]:
        made: list[Sequence[object]] = []
        for position, event in enumerate(events):
            try:
                output = self.table(event)
                made.append([] if event % 4 == 0 else [output, output])
            except ValueError as error:
                self.fail_at(position, error)
                made.append([])
        return made


class Single(OneToOne):
    """Gets one at a time, and raises."""

    one_to_one = False

    def handle_events(self, events: list[Any]) -> Any:
        (event,) = events
        return [self.table(event)]


class SingleLater(Single):
    """The same, awaited."""

    async def handle_events(self, events: list[Any]) -> Any:
        return super().handle_events(events)


class Whole(OneToOne):
    """Handles batches as a whole, and says which events failed."""

    per_event = False
    takes_messages = True

    def handle_events(self, events: list[Any]) -> Any:
        made: list[object] = []
        for event in events:
            try:
                made.append(derived(event, self.table(data_of(event))))
            except ValueError as error:
                self.fail_event(event, error)
        return made


class WholeLater(Whole):
    """The same, awaited, some batches longer than others."""

    async def handle_events(self, events: list[Any]) -> Any:
        number: Any = data_of(events[0])
        for _ in range(number * 7 % 5):
            await asyncio.sleep(0)
        return super().handle_events(events)


class Kept(Consumer[Any]):
    """Keeps what it gets, the data of messages."""

    def __init__(self) -> None:
        self.data: list[object] = []

    def handle_events(self, events: list[Any]) -> None:
        self.data += map(data_of, events)


class Gather(ProducerConsumer[Any, Any]):
    """Gathers `size` events to one, by holding them; fails as often as it is told, once it holds some."""

    takes_messages = True

    def __init__(self, size: int, *failures: BaseException) -> None:
        self.size = size
        self.failures = list(failures)
        self.held: list[Any] = []

    def handle_events(self, events: list[Any]) -> list[object]:
        self.retain(events)
        self.held += events
        if self.failures:
            raise self.failures.pop(0)
        made: list[object] = []
        while len(self.held) >= self.size:
            made.append(self._flush(self.size))
        return made

    def handle_complete(self) -> list[object]:
        return [self._flush(self.size)] if self.held else []

    def _flush(self, size: int) -> object:
        gathered, self.held = self.held[:size], self.held[size:]
        self.release(gathered)
        data = [data_of(event) for event in gathered]
        first, *others = gathered
        return first.derive(data, *others) if isinstance(first, Message) else data


class Aside:
    """Keeps what is set aside, or fails to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.kept: list[FailedEvent] = []

    async def __call__(self, failed: Sequence[FailedEvent]) -> None:
        if self.error is not None:
            raise self.error
        self.kept += failed
