"""The process around a producer-consumer: it handles a batch only while its own subscribers miss events."""

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

from typing_extensions import override

from headrace.otp.process.process import ExitReason, ProcessStatus
from headrace.otp.scheduler import BLOCKED, HANDLED, HANDLED_MORE, IDLE, MORE, Scheduler
from headrace.pipeline.engine.taking_process import TakingProcess
from headrace.pipeline.flow.counts import StageCounts
from headrace.pipeline.flow.ingress import Ingress
from headrace.pipeline.flow.input import StageInput
from headrace.pipeline.flow.output import DemandMode, StageOutput
from headrace.pipeline.flow.side_outputs import SideOutputs
from headrace.pipeline.flow.subscription import Marker, MarkerKind, Subscription
from headrace.pipeline.message import add_pending, as_messages
from headrace.pipeline.stage.producer_consumer import ProducerConsumer, ProducerConsumerRuntime
from headrace.pipeline.stage.stage import as_list


class ProducerConsumerProcess(TakingProcess[ProducerConsumer[object, object]]):
    """An input, an output, and the gate between them (GenStage's rule: one whole delivery may overshoot)."""

    __slots__ = ("ingress", "is_completing", "is_draining", "output", "side_outputs")

    def __init__(
        self,
        name: str,
        factory: Callable[[], ProducerConsumer[object, object]],
        scheduler: Scheduler,
        counts: StageCounts,
        stage_output: StageOutput,
    ) -> None:
        super().__init__(name, factory, scheduler, counts, StageInput(counts, is_by_delivery=True))
        self.output = stage_output
        self.ingress = Ingress(stage_output, self.offer, self.owed, scheduler.loop)
        self.is_completing = False
        self.is_draining = False
        self.side_outputs = SideOutputs()

    @override
    def bound(self, callbacks: ProducerConsumer[object, object]) -> None:
        super().bound(callbacks)
        self.output.format_discarded = callbacks.format_discarded
        self.output.on_info = self.on_info
        self.output.safe_dispatcher.failed = self.dispatcher_failed
        self.output.safe_dispatcher.is_failing = False
        self.handle_events = self.handling(callbacks, callbacks.handle_events, emits=True)
        runtime = ProducerConsumerRuntime(self.counts, self.failure_reporter, self, self, self.side_outputs)
        callbacks._runtime = runtime  # noqa: SLF001

    @override
    def running(self) -> None:
        for subscription in list(self.output.subscriptions):
            self.notify_subscribed(subscription, "consumer")
        super().running()

    @override
    def finalize_pending(self, reason: ExitReason) -> None:
        super().finalize_pending(reason)
        self.ingress.close()
        self.output.go_down(reason)

    def on_subscribe(self, subscription: Subscription) -> None:
        """Take in a consumer's subscription."""
        self.output.subscribe(subscription)
        if self.state is ProcessStatus.RUNNING:
            self.notify_subscribed(subscription, "consumer")

    def on_unsubscribe(self, subscription: Subscription, unbegun: list[object]) -> list[object]:
        """Remove a consumer; take back its unbegun events, or return them if they cannot go to another."""
        self.notify_unsubscribed(subscription)
        return self.output.leave(subscription, unbegun, self.scheduler.time())

    def demand_withdrawn(self, subscription: Subscription, demand: int) -> None:
        """Called when a consumer withdraws reported demand."""
        self.output.withdraw(subscription, demand)

    @override
    def end_subscription(self, subscription: Subscription, reason: ExitReason) -> None:
        if subscription.producer is not self:
            super().end_subscription(subscription, reason)
        elif not self.output.is_closed:
            self.output.close_subscription(subscription, Marker(MarkerKind.CANCEL, reason))
            self.notify_unsubscribed(subscription)

    def emit_nowait(self, events: list[object]) -> None:
        """Emit events that the callbacks push; after the end they are discarded."""
        if self.output.is_acknowledged:
            events = as_messages(list(self.failure_reporter.owned(events)))
            add_pending(events)
        self.offer(events)

    def offer(self, events: list[object]) -> None:
        """Emit events from outside; a message among them is derived of nothing, and counts itself already."""
        if self.output.is_acknowledged:
            events = as_messages(events)
        if self.output.is_closed:
            self.output.discard(events, "cancelled")
        else:
            self.output.emit(events, self.scheduler.time())

    @override
    def sent_to_side_output(self) -> Sequence[object]:
        return self.side_outputs.take_emitted()

    def owed(self) -> int:
        """Return 0: events from upstream may overshoot, and are buffered without a bound of their own."""
        return 0

    def estimate_buffered_count(self) -> int:
        """Return how many events wait for demand."""
        return self.output.buffered()

    def demand_by_consumer(self) -> dict[str, int]:
        """Return the unmet demand of each consumer, by its name."""
        return self.output.demand_by_consumer()

    @override
    def info(self, message: object) -> None:
        self.input.info(partial(self.output.info, message))

    def demand(self, mode: DemandMode) -> None:
        """Hold asks and events from now on, or go on with the held ones."""
        if mode == "accumulate":
            self.output.accumulate()
        else:
            self.output.forward()
        self.scheduler.wake(self.turns)

    def complete(self) -> None:
        """Finish once the buffer is empty."""
        self.is_completing = True
        self.ingress.close()
        self.has_control = True
        self.scheduler.wake(self.turns)

    def drain(self) -> None:
        """Called when the run ends: events without a subscriber are discarded."""
        self.is_draining = True
        self.output.drain()
        self.scheduler.wake(self.turns)

    @override
    def turn(self) -> int:  # noqa: C901, PLR0911 - the hot path: one function, so that a batch costs no further call
        if self.has_control:
            return self.handle_control()
        stage_input, stage_output = self.input, self.output
        single = stage_output.single
        unmet = single.pending if single is not None and not stage_output.buffer.size else stage_output.collect()
        subscription = stage_input.first
        queue = subscription.queue
        if not queue:
            waiting = stage_input.waiting()
            if waiting is None:
                return IDLE
            subscription, queue = waiting, waiting.queue
        if unmet <= 0 and not subscription.offset and queue[0][0] is not None:
            return self._shed() if self.is_draining and not stage_output.subscriptions else BLOCKED
        events, ingested_at = queue.popleft()
        if events is None:
            return self.end_of(subscription)
        if subscription.offset or len(events) > subscription.window.batch_size:
            events = subscription.cut(events, ingested_at)
        size = len(events)
        try:
            outputs = self.handle_events(events)
            if type(outputs) is not list:
                if inspect.isawaitable(outputs):
                    stage_input.start_batch(subscription, events, ingested_at, size)
                    self.drive(outputs, partial(self._handled_later, self.scheduler.clock()))
                    return IDLE
                outputs = as_list(self.name, "handle_events", outputs)
        except BaseException:
            stage_input.start_batch(subscription, events, ingested_at, size)
            raise
        single = stage_output.single  # the callback may have subscribed somebody, or have begun to accumulate
        if single is not None and 0 < len(outputs) <= single.pending:
            single.send(outputs, ingested_at, len(outputs))
        else:
            stage_output.emit(outputs, ingested_at)
        subscription.handled(size)
        if stage_input.is_single:
            return HANDLED_MORE if queue else HANDLED
        stage_input.rotate(subscription)
        return HANDLED_MORE

    def _shed(self) -> int:
        """Discard a batch without a subscriber; the next turn acts on an end that is at the head instead."""
        waiting = self.input.waiting()
        if waiting is not None and waiting.queue[0][0] is not None:
            batch = self.input.next_batch()
            self.output.discard(cast("list[object]", batch), "cancelled")
            self.input.finish_batch()
        return MORE

    @override
    def serve(self) -> None:
        self.output.collect()
        super().serve()

    @override
    def has_room(self) -> bool:
        return self.output.collect() > self.input.current_size

    @override
    def send_outputs(self, outputs: list[object], ingested_at: float) -> None:
        self.output.emit(outputs, ingested_at)

    @override
    def handle_control(self) -> int:
        is_free = not (self.is_busy or self.notices or self.mailbox) and self._stop_reason is None
        if self.is_completing and is_free and self.state is ProcessStatus.RUNNING:
            return self._finish()
        return super().handle_control()

    def _handled_later(self, since: float, outputs: object) -> None:
        events = as_list(self.name, "handle_events", outputs)
        if self.in_flight is None:
            self.turns.handled(self.scheduler.clock() - since)
        self.output.emit(events, self.input.ingested_at)
        self.input.finish_batch()
        self.side_outputs.take_emitted()  # cut off by the callback itself, which went on

    @override
    def take_returned(self, callback: str, returned: object) -> None:
        if returned is not None:
            self.emit_nowait(as_list(self.name, callback, returned))
        self.failure_reporter.returned()

    @override
    def input_completed(self, returned: object) -> None:
        self.take_returned("handle_complete", returned)
        self.complete()

    def _finish(self) -> int:
        if not self.output.complete(is_draining=self.is_draining):
            return BLOCKED
        self.no_restart = True
        self.exit("normal")
        return IDLE
