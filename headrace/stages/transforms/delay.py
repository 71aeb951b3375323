"""Delays each event for a time, in order."""

import asyncio
from collections import deque
from typing import Annotated, Final

from pydantic import Field
from typing_extensions import override

from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.flow.subscription_handle import ManualDemand, OtherSide, SubscriptionHandle
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.stages.options import CountField, DurationField, Options, StageType
from headrace.telemetry.counts import Family, FamilySpec

RETAINED: Final = FamilySpec("gauge", "headrace_delay_held_events", "Events that a delay stage holds.")

_ASK: Final = "ask"
_DUE: Final = "due"


class DelayOptions(Options):
    """How long to delay."""

    time: Annotated[DurationField, Field(gt=0)] = Field(description="The delay of each event, as in 30s.")
    max_events: Annotated[CountField, Field(ge=1)] = Field(
        default=10_000, description="The most delayed events; beyond, the stage asks for no more."
    )


class Delay(ProducerConsumer[object, object], StageType):
    """Emits each event when its time is over; a drain waits for that, up to its deadline."""

    Options = DelayOptions
    takes_messages = True

    def __init__(self, options: DelayOptions) -> None:
        self._seconds = options.time
        self._most = options.max_events
        self._demand = ManualDemand()
        self._retained: deque[tuple[float, list[object]]] = deque()
        self._count = 0
        self._gauge: Family

    @override
    def init(self) -> None:
        self._gauge = self.metrics.declare(RETAINED)

    @override
    def handle_subscribe(self, side: OtherSide, to: SubscribeTo, subscription: SubscriptionHandle) -> str | None:
        answer = self._demand.subscribed(side, subscription)
        if answer is not None:
            self.send_after(0.0, _ASK)
        return answer

    @override
    def handle_events(self, events: list[object]) -> list[object]:
        self.retain(events)
        self._retained.append((self._now() + self._seconds, events))
        self._changed(len(events))
        self.send_after(self._seconds, _DUE)
        self.send_after(0.0, _ASK)
        return []

    @override
    def handle_info(self, message: object) -> list[object]:
        events = self._due()
        room = self._most - self._count - self._demand.outstanding()
        if room > 0:
            self._demand.ask(room)
        if message == _DUE and not events and self._retained:  # the timer was early by less than the clock's resolution
            self.send_after(max(0.001, self._retained[0][0] - self._now()), _DUE)
        return events

    @override
    async def handle_complete(self) -> list[object]:
        while self._retained:
            await asyncio.sleep(max(0.0, self._retained[0][0] - self._now()))
            events = self._due()
            if len(self._retained) == 0:
                return events
            self.emit_nowait(events)
        return []

    def _due(self) -> list[object]:
        now, events = self._now(), list[object]()
        while self._retained and self._retained[0][0] <= now:
            events += self._retained.popleft()[1]
        self.release(events)
        self._changed(-len(events))
        return events

    def _changed(self, count: int) -> None:
        self._count += count
        self._gauge.set((), self._count)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
