"""Merges the events of several producers, each of them in order, into one order."""

import asyncio
import heapq
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from pydantic import Field, model_validator
from typing_extensions import override

from headrace.otp.process.process import ExitReason
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.flow.subscription_handle import OtherSide, SubscriptionHandle
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.stages.functions import data_of
from headrace.stages.options import CountField, DurationField, ExpressionField, Options, StageType, refused
from headrace.telemetry.counts import Family, FamilySpec


@dataclass(order=True, slots=True)
class _RetainedEvent:
    """A waiting event; `number` keeps the order of events with equal keys."""

    key: Any
    number: int
    line: Hashable = field(compare=False)
    at: float = field(compare=False)
    event: object = field(compare=False)


class OrderedMerge:
    """Holds events until every active line has an event, then releases the least, because no lesser event can follow.

    A line that is silent for `seconds` no longer holds up others, and at most `most` events are held. An event that
    comes too late for its position is released at once.
    """

    def __init__(self, most: int, seconds: float | None) -> None:
        self._most = most
        self._seconds = seconds
        self._retained: list[_RetainedEvent] = []
        self._counts: Counter[Hashable] = Counter()
        self._lines: set[Hashable] = set()
        self._number = 0

    def __len__(self) -> int:
        return len(self._retained)

    def begin(self, line: Hashable) -> None:
        """Add a line without events."""
        self._lines.add(line)

    def end(self, line: Hashable) -> None:
        """Remove a line; its events keep their position."""
        self._lines.discard(line)

    def put(self, line: Hashable, key: object, event: object, now: float) -> None:
        """Add an event. Raises TypeError when keys cannot be compared."""
        heapq.heappush(self._retained, _RetainedEvent(key, self._number, line, now, event))
        self._counts[line] += 1
        self._number += 1

    def take(self, now: float) -> list[object]:
        """Return the events that are released now, in order."""
        events: list[object] = []
        while self._retained and self._may_go(now):
            events.append(self._pop())
        return events

    def rest(self) -> list[object]:
        """Return all events, in order: the input has ended."""
        return [self._pop() for _ in range(len(self._retained))]

    def _pop(self) -> object:
        retained = heapq.heappop(self._retained)
        self._counts[retained.line] -= 1
        return retained.event

    def _may_go(self, now: float) -> bool:
        if len(self._retained) > self._most or all(self._counts[line] for line in self._lines):
            return True
        return self._seconds is not None and now - self._retained[0].at >= self._seconds


RETAINED: Final = FamilySpec(
    "gauge", "headrace_merge_held_events", "Events that wait at a merge for those of other producers."
)

_CHECK: Final = "look"


class MergeOptions(Options):
    """The order, and how long to wait for it."""

    order_by: ExpressionField | None = Field(
        default=None,
        description="A key by which the events of each producer are in order. Without: the order of arrival.",
    )
    max_wait: Annotated[DurationField, Field(gt=0)] | None = Field(
        default=None, description="How long an event waits for a silent producer, as in 5s."
    )
    max_events: Annotated[CountField, Field(ge=1)] = Field(
        default=10_000, description="The most waiting events; beyond, the least is emitted."
    )

    @model_validator(mode="after")
    def _has_an_order(self) -> "MergeOptions":
        if self.order_by is None and self.max_wait is not None:
            raise refused("bad_value", "without `order_by` nothing waits: leave it out", path=["max_wait"])
        return self


class Merge(ProducerConsumer[object, object], StageType):
    """Passes events on. With `order_by` they wait until every active producer has sent one.

    An event whose key cannot be computed, or cannot be compared with other keys, fails alone.
    """

    Options = MergeOptions
    takes_messages = True

    def __init__(self, options: MergeOptions) -> None:
        self._key = options.order_by
        self._seconds = options.max_wait
        self._lines = OrderedMerge(options.max_events, options.max_wait)
        self._retained: Family

    @override
    def init(self) -> None:
        self._retained = self.metrics.declare(RETAINED)

    @override
    def handle_subscribe(self, side: OtherSide, to: SubscribeTo, subscription: SubscriptionHandle) -> None:
        if side == "producer":
            self._lines.begin(subscription.producer)

    @override
    def handle_cancel(self, kind: str, reason: ExitReason, subscription: SubscriptionHandle) -> list[object]:
        if subscription.consumer != self.name:
            return []
        self._lines.end(subscription.producer)
        return self._taken()

    @override
    def handle_events(self, events: list[object]) -> list[object]:
        if self._key is None:
            return events
        now, line = self._now(), self.source.producer
        for event in events:
            try:
                self._lines.put(line, self._key(data_of(event)), event, now)
            except Exception as error:  # noqa: BLE001 - it fails this event alone
                self.fail_event(event, error)
            else:
                self.retain([event])
        if self._seconds is not None:
            self.send_after(self._seconds, _CHECK)
        return self._taken()

    @override
    def handle_info(self, message: object) -> list[object]:
        made = self._taken()
        if self._seconds is not None and len(self._lines) and not made:
            self.send_after(self._seconds, _CHECK)
        return made

    @override
    def handle_complete(self) -> list[object]:
        return self._released(self._lines.rest())

    def _taken(self) -> list[object]:
        return self._released(self._lines.take(self._now()))

    def _released(self, events: list[object]) -> list[object]:
        self.release(events)
        self._retained.set((), len(self._lines))
        return events

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
