"""The process around a consumer: batches in turn, windows, and what a producer's end means to it."""

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from headrace.otp.scheduler import HANDLED, HANDLED_MORE, IDLE, Scheduler
from headrace.pipeline.engine.taking_process import TakingProcess
from headrace.pipeline.flow.counts import StageCounts
from headrace.pipeline.flow.input import Inlet
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.stage import check_nothing
from headrace.telemetry.counts import Tally

LATENCY_BOUNDS: Final = (0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 600.0)
"""Upper bounds, in seconds, of the buckets for the time from a source to a consumer."""

QUICK_LATENCY: Final = LATENCY_BOUNDS[0]
"""What is younger is counted without a search."""


class ConsumerProcess(TakingProcess[Consumer[object]]):
    """Hands `handle_events` one batch a turn, and asks for more."""

    __slots__ = ("latency",)

    def __init__(
        self, name: str, factory: Callable[[], Consumer[object]], scheduler: Scheduler, counts: StageCounts
    ) -> None:
        super().__init__(name, factory, scheduler, counts, Inlet(counts, is_by_delivery=False))
        self.latency = Tally(LATENCY_BOUNDS)

    def bound(self, callbacks: Consumer[object]) -> None:
        """Hand the new callback object its words."""
        super().bound(callbacks)
        callbacks._inlet = self  # noqa: SLF001
        self.handle_events = self.handling(callbacks, callbacks.handle_events, emits=False)
        callbacks._care = self.care  # noqa: SLF001

    def turn(self) -> int:
        """Handle one batch, or one end of a subscription."""
        if self.needs_attention:
            return self.attend()
        inlet = self.inlet
        subscription = inlet.first
        queue = subscription.queue
        if not queue:
            waiting = inlet.waiting()
            if waiting is None:
                return IDLE
            subscription, queue = waiting, waiting.queue
        events, born = queue.popleft()
        if events is None:
            return self.end_of(subscription)
        if subscription.offset or len(events) > subscription.window.batch_size:
            events = subscription.cut(events, born)
        size = len(events)
        try:
            result = self.handle_events(events)
        except BaseException:
            inlet.take_in_hand(subscription, events, born, size)
            raise
        if result is not None:
            inlet.take_in_hand(subscription, events, born, size)
            self._take_return(result)
            return IDLE
        age = self.scheduler.now - born
        latency = self.latency
        latency.sum += age
        if age <= QUICK_LATENCY:
            latency.quick += 1
        else:
            latency.search(age)
        subscription.handled(size)
        if inlet.is_single:
            return HANDLED_MORE if queue else HANDLED
        inlet.rotate(subscription)
        return HANDLED_MORE

    def _take_return(self, result: object) -> None:
        if inspect.isawaitable(result):
            self.drive(result, partial(self._handled_later, self.scheduler.clock()))
        else:
            check_nothing(self.name, result)

    def _handled_later(self, since: float, result: object) -> None:
        check_nothing(self.name, result)
        now = self.scheduler.clock()
        if self.several is None:
            self.turns.handled(now - since)
            self.latency.observe(now - self.inlet.born)
        self.inlet.settle_hand()

    def over(self, places: Sequence[int], outputs: list[object], seconds: float) -> None:
        """Account for events in hand that were handled while others are."""
        now = self.scheduler.clock()
        for born in self.inlet.births(places):
            self.latency.observe(now - born)
        super().over(places, outputs, seconds)

    def take_returned(self, callback: str, returned: object) -> None:
        """Refuse events: a consumer emits nothing."""
        check_nothing(self.name, returned, callback)
        self.care.returned()

    def input_completed(self, returned: object) -> None:
        """End: there is nothing to send."""
        self.take_returned("handle_complete", returned)
        self.is_final = True
        self.exit("normal")
