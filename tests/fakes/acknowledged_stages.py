"""Stages for paths that carry messages: a source that notes what it is told, and stages that derive."""

from collections.abc import Callable, Sequence
from typing import Any

from headrace.pipeline.message import Acknowledgement, Message, Outcome
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer

AnyMessage = Message[Any]


class Told(Producer[AnyMessage]):
    """Emits the numbers 1 to `count` as messages, and notes each outcome that it is told."""

    emits_messages = True

    def __init__(self, count: int | None) -> None:
        self.count = count
        self.emitted = 0
        self.told: dict[int, list[Outcome]] = {}

    def message(self, number: int) -> AnyMessage:
        return Message(number, {"number": number}, Acknowledgement(lambda outcome: self._tell(number, outcome)))

    def _tell(self, number: int, outcome: Outcome) -> None:
        self.told.setdefault(number, []).append(outcome)

    def handle_demand(self, demand: int) -> list[AnyMessage]:
        if self.count is not None and self.emitted + demand >= self.count:
            demand = self.count - self.emitted
            self.complete()
        first = self.emitted + 1
        self.emitted += demand
        return [self.message(number) for number in range(first, first + demand)]

    def outcomes(self) -> list[Outcome]:
        """Return the one outcome of each event, in order; fail if any was told twice, or never."""
        assert sorted(self.told) == list(range(1, self.emitted + 1))
        assert all(len(told) == 1 for told in self.told.values()), self.told
        return [self.told[number][0] for number in sorted(self.told)]


class Derive(ProducerConsumer[AnyMessage, AnyMessage]):
    """A batch handler that derives what a function makes of each message's data."""

    takes_messages = True

    def __init__(self, function: Callable[[int], Sequence[object]]) -> None:
        self.function = function

    def handle_events(self, events: list[AnyMessage]) -> list[AnyMessage]:
        return [event.derive(output) for event in events for output in self.function(event.data)]


class Each(ProducerConsumer[int, object]):
    """A per-event function, which sees data."""

    per_event = True

    def __init__(self, function: Callable[[int], Sequence[object]]) -> None:
        self.function = function

    def handle_events(self, events: list[int]) -> list[object]:
        (event,) = events
        try:
            return list(self.function(event))
        except ValueError as error:
            self.fail(error)
            return []


class EachLater(Each):
    """The same, awaited."""

    async def handle_events(self, events: list[int]) -> list[object]:  # type: ignore[override] # either form is allowed
        return super().handle_events(events)


class KeepMessages(Consumer[AnyMessage]):
    """Keeps the data that it gets, and how often each message had been delivered; fails as often as it is told."""

    takes_messages = True

    def __init__(self, *failures: BaseException) -> None:
        self.failures = list(failures)
        self.data: list[object] = []
        self.attempts: list[int] = []

    def handle_events(self, events: list[AnyMessage]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.data += [event.data for event in events]
        self.attempts += [event.attempt for event in events]
