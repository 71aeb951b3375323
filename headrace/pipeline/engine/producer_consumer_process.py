"""The process around a producer-consumer: it handles a batch only while its own subscribers miss events."""

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

from headrace.otp.process.process import ExitReason, ProcessStatus
from headrace.otp.scheduler import BLOCKED, HANDLED, HANDLED_MORE, IDLE, MORE, Scheduler
from headrace.pipeline.engine.side_outputs import SideOutputs
from headrace.pipeline.engine.stage_process import TakingProcess
from headrace.pipeline.flow.counts import StageCounts
from headrace.pipeline.flow.ingress import Ingress
from headrace.pipeline.flow.input import StageInput
from headrace.pipeline.flow.output import DemandMode, StageOutput
from headrace.pipeline.flow.subscription import Marker, MarkerKind, Subscription
from headrace.pipeline.message import as_messages, claim
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.stage.stage import as_list


class ProducerConsumerProcess(TakingProcess[ProducerConsumer[object, object]]):
    """An inlet, an outlet, and the gate between them (GenStage's rule: one whole delivery may overshoot)."""

    __slots__ = ("entrance", "is_completing", "is_draining", "outlet", "side_outputs")

    def __init__(
        self,
        name: str,
        factory: Callable[[], ProducerConsumer[object, object]],
        scheduler: Scheduler,
        counts: StageCounts,
        outlet: StageOutput,
    ) -> None:
        super().__init__(name, factory, scheduler, counts, StageInput(counts, is_by_delivery=True))
        self.outlet = outlet
        self.entrance = Ingress(outlet, self.let_in, self.owed, scheduler.loop)
        self.is_completing = False
        self.is_draining = False
        self.side_outputs = SideOutputs()

    def bound(self, callbacks: ProducerConsumer[object, object]) -> None:
        """Hand the new callback object its words."""
        super().bound(callbacks)
        callbacks._inlet = self  # noqa: SLF001
        callbacks._runtime = self  # noqa: SLF001
        callbacks._side_outputs = self.side_outputs  # noqa: SLF001
        self.outlet.format_discarded = callbacks.format_discarded
        self.outlet.informed = self.informed
        self.outlet.guard.failed = self.dispatcher_failed
        self.outlet.guard.is_failing = False
        self.handle_events = self.handling(callbacks, callbacks.handle_events, emits=True)
        callbacks._care = self.care  # noqa: SLF001

    def running(self) -> None:
        """Tell the callbacks of all subscriptions, on both sides."""
        for subscription in list(self.outlet.subscriptions):
            self.greet(subscription, "consumer")
        super().running()

    def bury(self, reason: ExitReason) -> None:
        """Give back what was not begun, discard what is buffered, and tell the consumers."""
        super().bury(reason)
        self.entrance.close()
        self.outlet.go_down(reason)

    def joined(self, subscription: Subscription) -> None:
        """Take in a consumer's subscription."""
        self.outlet.subscribe(subscription)
        if self.state is ProcessStatus.RUNNING:
            self.greet(subscription, "consumer")

    def left(self, subscription: Subscription, unbegun: list[object]) -> list[object]:
        """Let a consumer go; take back what it had not begun, or return it if it cannot go to another."""
        self.tell_of_leaving(subscription)
        return self.outlet.leave(subscription, unbegun, self.scheduler.time())

    def forgone(self, subscription: Subscription, demand: int) -> None:
        """Take note that a consumer does without some of what it had asked for."""
        self.outlet.withdraw(subscription, demand)

    def end_subscription(self, subscription: Subscription, reason: ExitReason) -> None:
        """Cancel one of the subscriptions, of either side."""
        if subscription.producer is not self:
            super().end_subscription(subscription, reason)
        elif not self.outlet.is_closed:
            self.outlet.let_go(subscription, Marker(MarkerKind.CANCEL, reason))
            self.tell_of_leaving(subscription)

    def emit_nowait(self, events: list[object]) -> None:
        """Emit what the callbacks push; after the end it is discarded."""
        if self.outlet.is_acknowledged:
            events = as_messages(list(self.care.owned(events)))
            claim(events)
        self.let_in(events)

    def let_in(self, events: list[object]) -> None:
        """Emit what comes from outside; a message among it is derived of nothing, and counts itself already."""
        if self.outlet.is_acknowledged:
            events = as_messages(events)
        if self.outlet.is_closed:
            self.outlet.discard(events, "cancelled")
        else:
            self.outlet.emit(events, self.scheduler.time())

    def gone_aside(self) -> Sequence[object]:
        """Return the events that a side output had taken when the callback was cut off: they are counted there."""
        return self.side_outputs.take_gone()

    def owed(self) -> int:
        """Return 0: what is upstream may overshoot, and is buffered without a bound of its own."""
        return 0

    def estimate_buffered_count(self) -> int:
        """Return how many events wait for somebody to ask."""
        return self.outlet.buffered()

    def askers(self) -> dict[str, int]:
        """Return who misses events, and how many."""
        return self.outlet.askers()

    def info(self, message: object) -> None:
        """Send a message behind all that waits to be handled, and then behind all that is buffered."""
        self.inlet.info(partial(self.outlet.info, message))

    def demand(self, mode: DemandMode) -> None:
        """Hold asks and events from now on, or go on with those that were held."""
        if mode == "accumulate":
            self.outlet.accumulate()
        else:
            self.outlet.forward()
        self.scheduler.wake(self.turns)

    def complete(self) -> None:
        """Finish once the buffer is empty."""
        self.is_completing = True
        self.entrance.close()
        self.needs_attention = True
        self.scheduler.wake(self.turns)

    def drain(self) -> None:
        """Take note that the run ends: what nobody is left to take need not wait for anybody."""
        self.is_draining = True
        self.outlet.drain()
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
            return self.end_of(subscription)
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
        sole = outlet.sole  # the callback may have subscribed somebody, or have begun to accumulate
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
        """Discard a batch that nobody is left to take; the next turn acts on an end that is at the head instead."""
        waiting = self.inlet.waiting()
        if waiting is not None and waiting.queue[0][0] is not None:
            batch = self.inlet.take()
            self.outlet.discard(cast("list[object]", batch), "cancelled")
            self.inlet.settle_hand()
        return MORE

    def serve(self) -> None:
        """Send what is buffered to those who ask; take up what has come while other events are handled."""
        self.outlet.collect()
        super().serve()

    def has_room(self) -> bool:
        """Tell whether subscribers miss more events than are in hand."""
        return self.outlet.collect() > self.inlet.hand_size

    def send_outputs(self, outputs: list[object], born: float) -> None:
        """Emit what came of events in hand."""
        self.outlet.emit(outputs, born)

    def attend(self) -> int:
        """Finish when completing; else what every stage attends to."""
        is_free = not (self.is_busy or self.notices or self.mailbox) and self._stop_reason is None
        if self.is_completing and is_free and self.state is ProcessStatus.RUNNING:
            return self._finish()
        return super().attend()

    def _handled_later(self, since: float, outputs: object) -> None:
        events = as_list(self.name, "handle_events", outputs)
        if self.several is None:
            self.turns.handled(self.scheduler.clock() - since)
        self.outlet.emit(events, self.inlet.born)
        self.inlet.settle_hand()
        self.side_outputs.take_gone()  # cut off by the callback itself, which went on

    def take_returned(self, callback: str, returned: object) -> None:
        """Emit what a callback returned."""
        if returned is not None:
            self.emit_nowait(as_list(self.name, callback, returned))
        self.care.returned()

    def input_completed(self, returned: object) -> None:
        """Emit last events, and finish once the buffer is empty."""
        self.take_returned("handle_complete", returned)
        self.complete()

    def _finish(self) -> int:
        if not self.outlet.complete(is_draining=self.is_draining):
            return BLOCKED
        self.is_final = True
        self.exit("normal")
        return IDLE
