"""A stage process that handles events: it takes batches from its producers."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from typing_extensions import override

from headrace.errors import SubscriptionError
from headrace.otp.process.callbacks import is_overridden
from headrace.otp.process.process import ExitReason, ProcessStatus
from headrace.otp.scheduler import MORE, Scheduler
from headrace.pipeline.demand.window import ManualWindow, Window
from headrace.pipeline.engine.batch_handler import BatchHandler
from headrace.pipeline.engine.concurrent_batches import ConcurrentBatches, InFlightBatch
from headrace.pipeline.engine.concurrent_handler import ConcurrentHandler
from headrace.pipeline.engine.each_handler import EachHandler
from headrace.pipeline.engine.handler import EventHandler, HandlingStage
from headrace.pipeline.engine.in_flight import SOURCE, InFlight
from headrace.pipeline.engine.offload import Offload
from headrace.pipeline.engine.stage_process import StageProcess
from headrace.pipeline.flow.counts import StageCounts
from headrace.pipeline.flow.input import StageInput
from headrace.pipeline.flow.subscription import Subscription
from headrace.pipeline.flow.subscription_handle import OtherSide, SubscriptionHandle
from headrace.pipeline.stage.stage import Stage
from headrace.telemetry.events import LOG

S = TypeVar("S", bound=Stage)


class TakingProcess(StageProcess[S]):
    """A process with subscriptions to others. It completes when the last of them has ended by its producer.

    Where it cancelled the last one itself it waits, for it may subscribe again.
    """

    __slots__ = ("_is_handling_cancel", "_may_wait", "handle_events", "in_flight", "input", "offload", "unfed")

    def __init__(
        self, name: str, factory: Callable[[], S], scheduler: Scheduler, counts: StageCounts, stage_input: StageInput
    ) -> None:
        super().__init__(name, factory, scheduler, counts)
        self.input = stage_input
        self.in_flight: InFlight | None = None
        self.offload: Offload | None = None
        self._may_wait = True
        self._is_handling_cancel = False
        self.handle_events: EventHandler = lambda _: []
        self.unfed: set[str] = set()
        """Where it enters its name when it subscribes to nothing any more, and may do so yet."""

    def handling(self, callbacks: HandlingStage, handle: EventHandler, *, emits: bool) -> EventHandler:
        """Return the function that takes batches: `handle_events` itself, where outputs need not be known per event."""
        is_acknowledged, failure = self.input.is_acknowledged, self.failure
        how = {"is_acknowledged": is_acknowledged, "emits": emits}
        if not self.concurrency.is_plain and not callbacks.per_event:
            make = partial(InFlightBatch, callbacks, self.counts, failure, **how)
            self.failure_reporter = self.in_flight = ConcurrentBatches(self, self.counts, make, emits=emits)
            return self.in_flight
        if not self.concurrency.is_plain:
            self.offload = Offload(callbacks, self.name, self.concurrency, self.turns.worked, emits=emits)
            self.failure_reporter = self.in_flight = ConcurrentHandler(self, self.counts, failure, self.offload)
            return self.in_flight
        if not is_acknowledged and failure.is_plain:
            return handle
        if callbacks.per_event:
            self.failure_reporter = each = EachHandler(callbacks, self.counts, failure, **how)
            return each
        self.failure_reporter = batch = BatchHandler(callbacks, self.counts, failure, **how)
        return batch

    @property
    def is_acknowledged(self) -> bool:
        """Whether it takes in messages."""
        return self.input.is_acknowledged

    @override
    def is_in_callback(self) -> bool:
        return super().is_in_callback() or (self.in_flight is not None and self.in_flight.is_current())

    def measured(self, begin: Callable[[], Coroutine[object, object, None]]) -> Coroutine[object, object, None]:
        """Return a coroutine for a task of its own whose steps count as work of this stage."""
        return self.driver.steps.run(begin)

    def clock(self) -> float:
        """Return the time in seconds."""
        return self.scheduler.clock()

    def more(self) -> list[object] | None:
        """Take one more batch beside those in flight, and return it; None while something else is due."""
        is_due = self.mailbox or self.notices or self._stop_reason is not None or self.is_paused
        return None if is_due or not self.has_room() else self.input.add_to_batch()

    def started_from(self) -> Subscription:
        """Return the subscription of the batch that was taken last, or is just being taken."""
        stage_input = self.input
        return stage_input.first if stage_input.current_batch is None else stage_input.source

    def has_room(self) -> bool:
        """Return whether there is demand for the outputs of more events."""
        return True

    def over(self, positions: Sequence[int], outputs: list[object], seconds: float) -> None:
        """Account for events that were handled while others are in flight; emit their outputs."""
        self.turns.handled(seconds)
        if outputs:
            self.send_outputs(outputs, min(self.input.ingestion_times(positions)))
        if positions:
            self.input.finish_events(positions)

    def scale(self, limit: int) -> None:
        """Handle so many events, or batches, at a time from now on, in this life and the next ones."""
        self.concurrency = replace(self.concurrency, limit=limit)
        if self.offload is not None:
            self.offload.resize(limit)
        if self.in_flight is not None:
            self.in_flight.arrived()

    def send_outputs(self, outputs: list[object], ingested_at: float) -> None:
        """Send outputs of events in flight; `ingested_at` is that of the first."""

    @override
    def serve(self) -> None:
        if self.in_flight is not None:
            self.in_flight.arrived()

    @override
    def release(self) -> object:
        offload, self.offload = self.offload, None
        return None if offload is None else offload.close()

    @override
    def running(self) -> None:
        for subscription in list(self.input.subscriptions):
            if subscription.ended is None:
                self.notify_subscribed(subscription, "producer")
        if self.input.is_over:
            self.complete_input()
        elif not self._may_wait:
            self.stop_waiting()

    def subscribed(self, subscription: Subscription) -> None:
        """Take in a subscription."""
        self.input.subscribe(subscription)
        subscription.kept = 0
        if self.state is ProcessStatus.RUNNING:
            self.notify_subscribed(subscription, "producer")

    @override
    def on_subscribe_handled(self, subscription: Subscription, side: OtherSide, mode: object) -> None:
        if side != "producer" or subscription.ended is not None:
            return
        former = subscription.window
        deferred_demand, subscription.deferred_demand = subscription.deferred_demand, None
        kept, subscription.kept = subscription.kept, None
        if mode is not None and (mode == "manual") is not isinstance(former, ManualWindow):
            kind = ManualWindow if mode == "manual" else Window
            subscription.window = kind(former.max_demand, former.min_demand).resumed_at(former.outstanding)
        if deferred_demand and not isinstance(subscription.window, ManualWindow):
            raise SubscriptionError(
                self.name, subscription.producer.name, "was asked on by hand", 'return "manual" from handle_subscribe'
            )
        self.input.open(subscription)
        if deferred_demand:
            SubscriptionHandle(subscription, self).ask(deferred_demand)
        if kept:
            self._ask_kept(subscription, kept)

    def _ask_kept(self, subscription: Subscription, demand: int) -> None:
        """Ask for the demand of other callers from before the callbacks knew of the subscription."""
        window = subscription.window
        if isinstance(window, ManualWindow):
            SubscriptionHandle(subscription, self).ask(min(demand, window.max_demand - window.outstanding))
        else:
            LOG.warning(
                'stage %r was asked for %d events of %r by hand, and asks by itself: return "manual" from '
                "handle_subscribe to ask by hand",
                self.name,
                demand,
                subscription.producer.name,
            )

    def source(self) -> SubscriptionHandle:
        """Return the subscription whose batch is being handled; of several, the one whose callback asks."""
        source = SOURCE.get()
        is_of_task = source is not None and source.consumer is self
        return SubscriptionHandle(source if source is not None and is_of_task else self.started_from(), self)

    @override
    def end_subscription(self, subscription: Subscription, reason: ExitReason) -> None:
        if self.state is not ProcessStatus.ENDED:
            self.input.unsubscribe(subscription, reason)

    @override
    def change_demand(self, subscription: Subscription, max_demand: int, min_demand: int | None) -> None:
        if subscription.ended is None:
            self.input.change(subscription, max_demand, min_demand)

    @override
    def requeue_in_flight(self, reason: ExitReason) -> None:
        self.forget_notices()
        self._is_handling_cancel = False
        if isinstance(reason, BaseException) and not self.no_restart:
            self.counts.error(reason)
        retained = self.failure_reporter.requeue(has_current_batch=self.input.current_batch is not None)
        self.input.requeue_in_flight(
            is_crash=isinstance(reason, BaseException), sent_to_side_output=self.sent_to_side_output()
        )
        self.input.redeliver(retained)

    def sent_to_side_output(self) -> Sequence[object]:
        """Return the events that a side output had taken when the callback was cut off: they are counted there."""
        return ()

    @override
    def finalize_pending(self, reason: ExitReason) -> None:
        self.input.leave(reason)

    def end_of(self, subscription: Subscription) -> int:
        """Act on an end that was reached, or pass an info on."""
        marker = subscription.markers.popleft()
        if marker.reached is not None:
            marker.reached()
            return MORE
        reason = self.input.end(subscription, marker)
        if self.is_waiting():
            self.unfed.add(self.name)
        self._is_handling_cancel = True
        self.notify_cancelled(subscription, marker, partial(self._go_on_after_end, reason))
        return MORE

    def _go_on_after_end(self, reason: ExitReason | None, returned: object) -> None:
        self._is_handling_cancel = False
        self.take_returned("handle_cancel", returned)
        if reason is not None:
            self.no_restart = True
            self.exit(reason)
        elif self.input.is_over:
            self.complete_input()
        elif not self._may_wait:
            self.stop_waiting()

    def may_subscribe(self) -> bool:
        """Return whether more may come: until the last subscription has ended, and `handle_cancel` has returned."""
        return self.state is not ProcessStatus.ENDED and (self._is_handling_cancel or not self.input.is_over)

    def is_waiting(self) -> bool:
        """Return whether it subscribes to nothing for now, and may do so yet."""
        return (
            self._may_wait
            and self.state is not ProcessStatus.ENDED
            and not (self.input.subscriptions or self.input.is_over)
        )

    def stop_waiting(self) -> None:
        """Complete as soon as it subscribes to nothing: no producer is left."""
        self._may_wait = False
        if not (self.input.subscriptions or self.input.is_over):
            self.input.is_over = True
            if self.state is ProcessStatus.RUNNING:
                self.notify(self.complete_input)

    def complete_input(self) -> None:
        """Call `handle_complete`: all input has been handled."""
        self.has_control = True
        handle_complete = self.stage.handle_complete
        if is_overridden(handle_complete, Stage.handle_complete):
            self.call_back(handle_complete, self.input_completed)
        else:
            self.input_completed(None)

    def input_completed(self, returned: object) -> None:
        """Go on after `handle_complete`."""
