"""The process around a consumer: batches in turn, windows, and what a producer's end means to it."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Final

from headrace.ground.counts import Tally
from headrace.ground.errors import BadReturn
from headrace.pipeline.process.process import ExitReason, Process
from headrace.pipeline.process.scheduler import HANDLED, IDLE, MORE, Scheduler
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.counts import StageCounts
from headrace.pipeline.stage.handler import Handler, MessageHandler
from headrace.pipeline.stage.inlet import Inlet
from headrace.pipeline.stage.subscription import Mark, Subscription

LATENCY_BOUNDS: Final = (0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 600.0)
"""Upper bounds, in seconds, of the buckets for the time from a source to a consumer."""


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

    # the runtime's hooks

    def bound(self, callbacks: Consumer[object]) -> None:
        """Hand the new callback object its words."""
        callbacks._counts = self.counts  # noqa: SLF001 - the runtime is what stands behind the base class
        self.handle_events = callbacks.handle_events
        if self.inlet.is_acknowledged:
            self.handle_events = MessageHandler(
                callbacks.handle_events, self.counts, per_event=callbacks.per_event, emits=False
            )

    def running(self) -> None:
        """Ask for the first events; after a restart, go on with what waits."""
        self.inlet.open()

    def abandon(self, reason: ExitReason) -> None:
        """Give up the batch in hand."""
        self.inlet.abandon(is_crash=isinstance(reason, BaseException))

    def bury(self, reason: ExitReason) -> None:
        """Give back what was not begun."""
        self.inlet.leave()

    def arrived(self, subscription: Subscription) -> None:
        """Get a turn: events wait in `subscription`."""
        self.inlet.waiting.append(subscription)
        if not self.is_ready:
            self.scheduler.wake(self)

    # turns

    def turn(self) -> int:
        """Handle one batch, or one end of a subscription."""
        if self.needs_attention:
            return self.attend()
        inlet = self.inlet
        batch = inlet.take()
        if type(batch) is not list:
            return self._end_of(batch)
        subscription = inlet.source
        size = len(batch)
        result = self.handle_events(batch)
        if result is not None:
            self._take_return(result, size)
            return IDLE
        self.latency.observe(self.scheduler.now - subscription.born)
        return HANDLED | MORE if inlet.settle(subscription, size) else HANDLED

    def _take_return(self, result: object, size: int) -> None:
        if not inspect.isawaitable(result):
            raise BadReturn(self.name, "handle_events", result, "None: a consumer emits nothing")
        self.drive(result, partial(self._handled_later, size, self.scheduler.clock()))

    def _handled_later(self, size: int, since: float, result: object) -> None:
        if result is not None:
            raise BadReturn(self.name, "handle_events", result, "None: a consumer emits nothing")
        subscription = self.inlet.source
        now = self.scheduler.clock()
        self.clockwork.handled(now - since)
        self.latency.observe(now - subscription.born)
        self.inlet.settle(subscription, size)

    def _end_of(self, mark: "list[object] | Mark | None") -> int:
        if not isinstance(mark, Mark):
            return IDLE
        reason = self.inlet.end(mark)
        if reason is not None:
            self.is_final = True
            self.exit(reason)
        elif not self.inlet.subscriptions:
            handle_complete = getattr(self.callbacks, "handle_complete", None)
            if handle_complete is None:
                self.exit("normal")
            else:
                self.call_back(handle_complete, lambda _: self.exit("normal"))
        return MORE
