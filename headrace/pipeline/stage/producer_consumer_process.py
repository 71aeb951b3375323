"""The process around a producer-consumer: it handles a batch only while its own subscribers miss events."""

import inspect
from collections.abc import Callable
from functools import partial

from headrace.pipeline.acknowledgement.message import as_messages, claim
from headrace.pipeline.process.process import ExitReason, Process, State
from headrace.pipeline.process.scheduler import BLOCKED, HANDLED, HANDLED_MORE, IDLE, MORE, Scheduler
from headrace.pipeline.stage.counts import StageCounts
from headrace.pipeline.stage.handler import Handler, MessageHandler
from headrace.pipeline.stage.inlet import Inlet
from headrace.pipeline.stage.outlet import Outlet
from headrace.pipeline.stage.outputs import as_list
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.stage.subscription import Subscription


class ProducerConsumerProcess(Process[ProducerConsumer[object, object]]):
    """An inlet, an outlet, and the gate between them (GenStage's rule: one whole delivery may overshoot)."""

    __slots__ = ("counts", "handle_events", "inlet", "is_completing", "is_draining", "outlet")

    def __init__(
        self,
        name: str,
        factory: Callable[[], ProducerConsumer[object, object]],
        scheduler: Scheduler,
        counts: StageCounts,
        outlet: Outlet,
    ) -> None:
        super().__init__(name, factory, scheduler)
        self.counts = counts
        self.inlet = Inlet(counts, is_by_delivery=True)
        self.outlet = outlet
        self.is_completing = False
        self.is_draining = False
        self.handle_events: Handler = lambda _: []

    def bound(self, callbacks: ProducerConsumer[object, object]) -> None:
        """Hand the new callback object its words."""
        callbacks._counts = self.counts  # noqa: SLF001 - the runtime is what stands behind the base class
        callbacks._runtime = self  # noqa: SLF001
        self.handle_events = callbacks.handle_events
        if self.inlet.is_acknowledged:
            self.handle_events = MessageHandler(
                callbacks.handle_events, self.counts, per_event=callbacks.per_event, emits=True
            )

    def running(self) -> None:
        """Ask for the first events; after a restart, go on with what waits, were it but the end."""
        self.inlet.open()
        if not (self.inlet.subscriptions or self.is_completing):
            self._complete()

    def abandon(self, reason: ExitReason) -> None:
        """Count the crash, and give up the batch in hand."""
        if isinstance(reason, BaseException) and not self.is_final:
            self.counts.error(reason)
        self.inlet.abandon(is_crash=isinstance(reason, BaseException))

    def bury(self, reason: ExitReason) -> None:
        """Give back what was not begun, discard what is buffered, and tell the consumers."""
        self.inlet.leave()
        self.outlet.go_down(reason)

    def left(self, subscription: Subscription, unbegun: list[object]) -> list[object]:
        """Let a consumer go; take back what it had not begun, or return it if it cannot go to another."""
        self.scheduler.wake(self.turns)
        return self.outlet.leave(subscription, unbegun, self.scheduler.time())

    def emit_nowait(self, events: list[object]) -> None:
        """Emit what the callbacks push; after the end it is discarded."""
        if self.outlet.is_acknowledged:
            events = as_messages(events)
            claim(events)
        if self.outlet.is_closed:
            self.outlet.discard(events, "cancelled")
        else:
            self.outlet.emit(events, self.scheduler.time())

    def complete(self) -> None:
        """Finish once the buffer is empty."""
        self.is_completing = True
        self.needs_attention = True
        self.scheduler.wake(self.turns)

    def drain(self) -> None:
        """Take note that the run ends: what nobody is left to take need not wait for anybody."""
        self.is_draining = True
        self.scheduler.wake(self.turns)

    def turn(self) -> int:  # noqa: C901, PLR0911 - the hot path: one function, so that a batch costs no further call
        """Serve the buffer; then, if subscribers still miss events, handle one batch."""
        if self.needs_attention:
            return self.attend()
        inlet, outlet = self.inlet, self.outlet
        sole = outlet.sole
        unmet = sole.pending if sole is not None and not outlet.buffer.size else outlet.collect()
        subscription = inlet.first
        queue = subscription.queue
        if not queue:
            waiting = inlet.waiting()
            if waiting is None:
                return IDLE
            subscription, queue = waiting, waiting.queue
        if unmet <= 0 and not subscription.offset and queue[0][0] is not None:
            return self._shed() if self.is_draining and not outlet.subscriptions else BLOCKED
        events, born = queue.popleft()
        if events is None:
            return self._end_of(subscription)
        if subscription.offset or len(events) > subscription.window.batch_size:
            events = subscription.cut(events, born)
        size = len(events)
        try:
            outputs = self.handle_events(events)
            if type(outputs) is not list:
                if inspect.isawaitable(outputs):
                    inlet.take_in_hand(subscription, events, born, size)
                    self.drive(outputs, partial(self._handled_later, self.scheduler.clock()))
                    return IDLE
                outputs = as_list(self.name, "handle_events", outputs)
        except BaseException:
            inlet.take_in_hand(subscription, events, born, size)
            raise
        if sole is not None and 0 < len(outputs) <= sole.pending:
            sole.send(outputs, born, len(outputs))
        else:
            outlet.emit(outputs, born)
        subscription.handled(size)
        if inlet.is_single:
            return HANDLED_MORE if queue else HANDLED
        inlet.rotate(subscription)
        return HANDLED_MORE

    def _shed(self) -> int:
        """Discard a batch that nobody is left to take."""
        batch = self.inlet.take()
        if isinstance(batch, list):
            self.outlet.discard(batch, "cancelled")
            self.inlet.settle_hand()
        return MORE

    def attend(self) -> int:
        """Serve the buffer while busy; finish when completing; else what every process attends to."""
        if self.is_busy:
            self.outlet.collect()
            return IDLE
        if self.is_completing and self.state is State.RUNNING and self._stop_reason is None and not self.mailbox:
            return self._finish()
        return super().attend()

    def _handled_later(self, since: float, outputs: object) -> None:
        events = as_list(self.name, "handle_events", outputs)
        self.turns.handled(self.scheduler.clock() - since)
        self.outlet.emit(events, self.inlet.born)
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
            self.complete()
        else:
            self.call_back(handle_complete, self._completed)

    def _completed(self, outputs: object) -> None:
        if outputs is not None:
            self.emit_nowait(as_list(self.name, "handle_complete", outputs))
        self.complete()

    def _finish(self) -> int:
        if not self.outlet.complete(is_draining=self.is_draining):
            return BLOCKED
        self.is_final = True
        self.exit("normal")
        return IDLE
