"""The process around a consumer: batches in turn, windows, and what a producer's end means to it."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Final

from headrace.ground.counts import Tally
from headrace.pipeline.process.process import ExitReason, Process
from headrace.pipeline.process.scheduler import HANDLED, HANDLED_MORE, IDLE, MORE, Scheduler
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.counts import StageCounts
from headrace.pipeline.stage.handler import Handler, MessageHandler
from headrace.pipeline.stage.inlet import Inlet
from headrace.pipeline.stage.outputs import check_nothing
from headrace.pipeline.stage.subscription import Subscription

LATENCY_BOUNDS: Final = (0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 600.0)
"""Upper bounds, in seconds, of the buckets for the time from a source to a consumer."""

QUICK_LATENCY: Final = LATENCY_BOUNDS[0]
"""What is younger is counted without a search."""


class ConsumerProcess(Process[Consumer[object]]):
    """Hands `handle_events` one batch a turn, and asks for more."""

    __slots__ = ("counts", "handle_events", "inlet", "latency")

    def __init__(
        self, name: str, factory: Callable[[], Consumer[object]], scheduler: Scheduler, counts: StageCounts
    ) -> None:
        super().__init__(name, factory, scheduler)
        self.counts = counts
        self.inlet = Inlet(counts, is_by_delivery=False)
        self.latency = Tally(LATENCY_BOUNDS)
        self.handle_events: Handler = lambda _: None

    def bound(self, callbacks: Consumer[object]) -> None:
        """Hand the new callback object its words."""
        callbacks._counts = self.counts  # noqa: SLF001 - the runtime is what stands behind the base class
        self.handle_events = callbacks.handle_events
        if self.inlet.is_acknowledged:
            self.handle_events = MessageHandler(
                callbacks.handle_events, self.counts, per_event=callbacks.per_event, emits=False
            )

    def running(self) -> None:
        """Ask for the first events; after a restart, go on with what waits, were it but the end."""
        self.inlet.open()
        if not self.inlet.subscriptions:
            self._complete()

    def abandon(self, reason: ExitReason) -> None:
        """Count the crash, and give up the batch in hand."""
        if isinstance(reason, BaseException) and not self.is_final:
            self.counts.error(reason)
        self.inlet.abandon(is_crash=isinstance(reason, BaseException))

    def bury(self, reason: ExitReason) -> None:
        """Give back what was not begun."""
        self.inlet.leave()

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
            return self._end_of(subscription)
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
        self.turns.handled(now - since)
        self.latency.observe(now - self.inlet.born)
        self.inlet.settle_hand()

    def _end_of(self, subscription: Subscription) -> int:
        reason = self.inlet.end(subscription, subscription.marks.popleft())
        if reason is not None:
            self.is_final = True
            self.exit(reason)
        elif not self.inlet.subscriptions:
            self._complete()
        return MORE

    def _complete(self) -> None:
        self.needs_attention = True
        handle_complete = getattr(self.callbacks, "handle_complete", None)
        if handle_complete is None:
            self._completed(None)
        else:
            self.call_back(handle_complete, self._completed)

    def _completed(self, _: object) -> None:
        self.is_final = True
        self.exit("normal")
