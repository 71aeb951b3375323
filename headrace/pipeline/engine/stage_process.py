"""`StageProcess`: the process of a stage, made of an input, an output and a step."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, cast

from typing_extensions import override

from headrace.errors import BufferFull
from headrace.otp.process.callbacks import is_overridden
from headrace.otp.process.process import ExitReason, Process, ProcessStatus
from headrace.otp.scheduler import BLOCKED, HANDLED, IDLE, MORE, Scheduler
from headrace.pipeline.demand.ledger import Ledger
from headrace.pipeline.engine.processing import Processing, processing_of
from headrace.pipeline.engine.subscribing import Step, Subscribe, SubscribingProcess, subscribes_alone
from headrace.pipeline.engine.units import EventHandler
from headrace.pipeline.failure import PLAIN_FAILURE
from headrace.pipeline.flow.counts import StageCounts
from headrace.pipeline.flow.ingress import Ingress
from headrace.pipeline.flow.output import DemandMode
from headrace.pipeline.flow.side_outputs import SideOutputs
from headrace.pipeline.message import add_pending, as_messages
from headrace.pipeline.stage.consumer import HandlingStage
from headrace.pipeline.stage.producer import Inbox, Producer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.stage.settings import PLAIN_CONCURRENCY
from headrace.pipeline.stage.stage import Stage, as_list, check_nothing
from headrace.telemetry.events import LOG

Emitting = Producer[object] | ProducerConsumer[object, object]
"""A stage that emits events."""

BATCH_STOP: Final = ("headrace", "stage", "batch", "stop")
"""The telemetry event of a handled batch, with its `duration_seconds`, its `count` of events and its `stage`."""


def _raise(error: BaseException) -> None:
    raise error


class StageProcess(SubscribingProcess):
    """The process of one stage. A producer has no input, a consumer no output, a producer-consumer has both.

    `processing` runs the events that it handles, one batch after another or side by side.
    """

    __slots__ = (
        "_ingress",
        "concurrency",
        "emits_batches",
        "failure",
        "ingress",
        "is_draining",
        "ledger",
        "processing",
        "side_outputs",
    )

    def __init__(
        self,
        factory: Callable[[], Stage],
        scheduler: Scheduler,
        counts: StageCounts,
        step: Step,
        subscriber: Subscribe = subscribes_alone,
    ) -> None:
        """`subscriber` subscribes the stage to others while it runs."""
        super().__init__(factory, scheduler, counts, step, subscriber)
        step.attach(self)
        if self.output is not None:
            self.output.attach(self)
        self._ingress = Ingress(self._output, self.offer, self.owed, scheduler.loop)
        self.ingress = None if self.output is None else self._ingress
        self.ledger = Ledger()
        self.side_outputs = SideOutputs()
        self.processing = Processing(counts)
        self.failure = PLAIN_FAILURE
        self.concurrency = PLAIN_CONCURRENCY
        self.is_draining = False
        self.emits_batches = False

    @override
    def _take_context(self) -> None:
        super()._take_context()
        self._choose_turn()

    def telemetry_changed(self) -> None:
        """Use the turn that emits telemetry if a handler for batches is attached now, else the plain turn."""
        if self.state not in (ProcessStatus.NEW, ProcessStatus.ENDED):
            self._choose_turn()

    def _choose_turn(self) -> None:
        self.emits_batches = self.scheduler.telemetry.has_handler(BATCH_STOP)
        self.turns.run = partial(self.context.run, self._emitting_turn if self.emits_batches else self.step.turn)

    def _emitting_turn(self) -> int:
        """Take a turn of the step, and emit a telemetry event where that handled a batch."""
        begun, before = self.scheduler.clock(), self._handled_count()
        outcome = self.step.turn()
        events = self._handled_count() - before
        if outcome >= HANDLED and events:
            self.emit_batch(self.scheduler.clock() - begun, events)
        return outcome

    def _handled_count(self) -> int:
        """Return how many events the stage has handled, or a producer has emitted."""
        return self._output.sent() + self._output.buffered() if self.input is None else self.input.received()

    def batch_handled(self, seconds: float, events: int) -> None:
        """Account for a batch whose handler was awaited; `seconds` is the time since its begin."""
        self.turns.handled(seconds)
        if self.emits_batches and events:
            self.emit_batch(seconds, events)

    def emit_batch(self, seconds: float, count: int) -> None:
        """Emit a telemetry event of `count` events that were handled."""
        measurements = {"duration_seconds": seconds, "count": count}
        self.scheduler.telemetry.execute(BATCH_STOP, measurements, {"stage": self.name})

    @override
    def bound(self, callbacks: Stage) -> None:
        super().bound(callbacks)
        if self.output is not None:
            self.output.safe_dispatcher.is_failing = False
        if self.input is None:
            self.is_completing = False
        self.step.bound(callbacks)

    def handling(self, callbacks: HandlingStage) -> EventHandler:
        """Return the function that takes batches: `handle_events` itself, where outputs need not be known per event."""
        self.processing = processing_of(self, callbacks)
        return self.processing.around(callbacks.handle_events)

    @property
    def restarts_children(self) -> bool:
        """Whether a child that crashes now may be started again."""
        return self.state is ProcessStatus.RUNNING

    @override
    def child_entries(self) -> Iterable[Process[object]]:
        return self.step.child_entries()

    @override
    def is_in_callback(self) -> bool:
        return super().is_in_callback() or self.processing.is_current()

    # Life

    @override
    def running(self) -> None:
        super().running()
        self.ledger.forget()
        if self.output is not None:
            for subscription in list(self.output.subscriptions):
                self.notify_subscribed(subscription, "consumer")
        if self.input is None:
            if self.is_draining:
                self.complete()
            return
        for subscription in list(self.input.subscriptions):
            if subscription.ended is None:
                self.notify_subscribed(subscription, "producer")
        if self.input.is_over:
            self.complete_input()
        elif not self._may_wait:
            self.stop_waiting()

    @override
    def requeue_in_flight(self, reason: ExitReason) -> None:
        self.forget_notices()
        self._is_handling_cancel = False
        is_crash = isinstance(reason, BaseException)
        if isinstance(reason, BaseException) and (self.input is None or not self.no_restart):
            self.counts.error(reason)
        self.step.requeue()
        if self.input is not None:
            retained = self.processing.requeue(has_current_batch=self.input.current_batch is not None)
            self.input.requeue_in_flight(is_crash=is_crash, sent_to_side_output=self.side_outputs.take_emitted())
            self.input.redeliver(retained, is_again=self.replacement is None)

    @override
    def release(self) -> object:
        closed = self.processing.close()
        return self.step.release() if closed is None else closed

    @override
    def finalize_pending(self, reason: ExitReason) -> None:
        if self.input is not None:
            self.input.leave(reason)
        if self.output is not None and self.ingress is not None:
            self.ingress.close()
            self.output.go_down(reason)

    @override
    def turn_failed(self, error: BaseException) -> None:
        is_drain = self.is_draining and self.input is None and self.state is ProcessStatus.RUNNING
        if is_drain and isinstance(error, asyncio.CancelledError) and self.output is not None:
            self.output.safe_dispatcher.is_failing = False
            self.scheduler.wake(self.turns)
            return
        super().turn_failed(error)

    @override
    def cancel_later(self) -> None:
        if self.step.may_cancel():
            super().cancel_later()

    @override
    def kill(self) -> None:
        is_stopping = self.state is ProcessStatus.STOPPING
        super().kill()
        if not is_stopping:
            self.step.kill()

    @override
    def _ended(self) -> None:
        self.step.ended()
        super()._ended()

    @override
    def pause(self) -> None:
        self.step.give_way()
        super().pause()

    @override
    def resume(self) -> None:
        was_paused = self.is_paused
        super().resume()
        if was_paused and self.input is None and self.state is ProcessStatus.RUNNING and self._has_handle_room():
            self.notify(self._notify_room)

    def drain(self) -> None:
        """Take in nothing more, discard events without a subscriber, and complete.

        A producer's `handle_drain` is called, and its running `handle_demand` has the shutdown time to return. A stage
        with an input completes when its producers have.
        """
        if self.output is None or self.ingress is None or (self.input is None and self.is_draining):
            return
        self.is_draining = True
        if self.input is not None:
            self.output.drain()
            self.scheduler.wake(self.turns)
            return
        self.ingress.close()
        self.output.drain()
        if self.state is not ProcessStatus.RUNNING:
            return
        try:
            self.stage.handle_drain()
        except BaseException as error:  # noqa: BLE001 - the other stages drain all the same
            self.counts.error(error)
            LOG.exception("stage %r raised in handle_drain, and drains all the same", self.name)
        if self.is_busy:
            self.cancel_later()
        self.complete()

    @override
    def complete(self) -> None:
        self.drop_replacement()
        self.is_completing = True
        if self.ingress is not None:
            self.ingress.close()
        self.schedule_control()

    def _finish(self) -> int:
        if self.output is not None and not self.output.complete(is_draining=self.is_draining):
            return BLOCKED
        self.no_restart = True
        self.exit("normal")
        return IDLE

    # Notices and control

    @override
    def handle_control(self) -> int:
        if self.is_busy:
            self.serve()
            return IDLE
        if self.state is ProcessStatus.RUNNING and self._stop_reason is None:
            if self.notices:
                self.notices.popleft()()
                return MORE
            outcome = self.step.control()
            if outcome is not None:
                return outcome
            if self.is_completing and not self.mailbox:
                return self._finish()
        outcome = super().handle_control()
        if self.is_paused and not self.has_control and self.state is ProcessStatus.RUNNING:
            self.has_control = True
            self.serve()
            return IDLE
        return outcome

    @override
    def drive(self, work: Awaitable[object], then: Callable[[object], None]) -> None:
        self.step.give_way()
        super().drive(work, then)

    def serve(self) -> None:
        """Send waiting events, and fill free places in flight, while the callbacks are busy or paused."""
        self.step.serve()
        if self.output is not None:
            self.output.collect()
        self.processing.fill()

    @override
    def _reply(self, result: object) -> None:
        mail = self._current_envelope
        if result is None or mail is None or mail.method is not None:
            super()._reply(result)
            self.processing.outputs_claimed()
        else:
            super()._reply(None)
            self.take_returned("handle_info", result)

    @override
    def take_returned(self, callback: str, returned: object) -> None:
        if self.output is None:
            check_nothing(self.name, returned, callback)
        elif returned is not None:
            events = as_list(self.name, callback, returned)
            if self.input is None:
                self.emit_own(events)
            else:
                self.emit_nowait(events)
        self.processing.outputs_claimed()

    def info(self, message: object) -> None:
        """Send a message behind all events that the stage holds now."""
        if self.output is None:
            self.on_info(message)
        elif self.input is None:
            self.output.info(message)
        else:
            self.input.info(partial(self.output.info, message))

    def format_discarded(self, count: int) -> bool:
        """Return whether to log that the buffer could not keep `count` events, which the callbacks decide."""
        return self.callbacks is None or cast("Emitting", self.callbacks).format_discarded(count)

    def dispatcher_failed(self, error: BaseException) -> None:
        """Crash with the dispatcher's error, in a separate turn. If the stage is ending already, only log the error."""
        if self.state is ProcessStatus.RUNNING and self._stop_reason is None:
            self.notify(partial(_raise, error))
        else:
            self.counts.error(error)
            LOG.error("the dispatcher of stage %r failed while the stage ended or restarted", self.name, exc_info=error)

    # Output

    def emit_nowait(self, events: list[object]) -> None:
        """Deliver the events that were asked for, buffer the rest, and count the ones that could not be kept.

        After the end they are discarded.
        """
        stage_output, owed = self._output, self.ledger.owed
        if self.input is not None and stage_output.is_acknowledged:
            events = as_messages(list(self.processing.owned(events)))
            add_pending(events)
        if not stage_output.is_closed:
            self.ledger.emitted(len(events))
        self._emit(events, owed)

    def emit_own(self, events: list[object]) -> None:
        """Emit events of the callbacks. Raises `BufferFull`, and emits none, where they have to wait for room.

        A stage may always emit events that it owes, since their consumer may have left, and its last events in a drain.
        """
        if len(events) > self.ledger.owed and not self._output.is_closed and self._has_no_room():
            raise BufferFull(self.name, self._output.buffer.limit or 0, is_own=True)
        self.emit_nowait(events)

    def offer(self, events: list[object]) -> None:
        """Emit events from outside: the callbacks owe as many events as before."""
        if self.input is not None and self._output.is_acknowledged:
            events = as_messages(events)
        self._emit(events, 0)

    def _emit(self, events: list[object], asked: int) -> None:
        if self._output.is_closed:
            self._output.discard(events, "cancelled")
        else:
            self._output.emit(events, self.scheduler.time(), asked)

    def owed(self) -> int:
        """Return how much of the demand is reserved for events that the callbacks emit by themselves."""
        return 0 if isinstance(self.callbacks, Inbox) else self.ledger.owed

    @property
    def waits_when_full(self) -> bool:
        """Whether senders wait while the buffer is full."""
        return self._output.buffer.keep == "all"

    def is_full(self) -> bool:
        """Return whether the stage is paused or has no room; if so, `handle_room` is called when it may emit again."""
        return self.is_paused or self._has_no_room()

    def _has_no_room(self) -> bool:
        """Return whether the buffer keeps all and has no room; if so, `handle_room` is called when there is room.

        In a drain there is always room, because all events are sent.
        """
        has_none = self.waits_when_full and not self.is_draining and self._ingress.capacity() < 1
        if has_none:
            self._ingress.producer_waits(partial(self.notify, self._notify_room))
        return has_none

    def _has_handle_room(self) -> bool:
        return is_overridden(self.stage.handle_room, Stage.handle_room)

    def _notify_room(self) -> None:
        if self._has_handle_room():
            self.call_back(self.stage.handle_room, partial(self.take_returned, "handle_room"))

    def room(self) -> int:
        """Return how many own events the stage could deliver or buffer now; 0 while it is paused."""
        return 0 if self.is_paused else self._ingress.capacity()

    def unhandled(self) -> int:
        """Return how many events are buffered, or on their way to consumers."""
        return self._output.unhandled()

    @property
    def buffer_limit_bytes(self) -> int | None:
        """How many bytes the events in the buffer may take; None is no limit."""
        sizes = self._output.buffer.sizes
        return None if sizes is None else sizes.limit

    def estimate_buffered_count(self) -> int:
        """Return how many events wait for demand."""
        return self._output.buffered()

    def demand_by_consumer(self) -> dict[str, int]:
        """Return the unmet demand of each consumer, by its name."""
        return self._output.demand_by_consumer()

    def demand(self, mode: DemandMode) -> None:
        """Hold demand and events back from now on ("accumulate"), or serve them ("forward")."""
        if mode == "accumulate":
            self._output.accumulate()
        else:
            late = self._output.forward()
            if self.input is None:
                self.ledger.report_late(late)
        self.scheduler.wake(self.turns)

    # Events in flight

    def measured(self, begin: Callable[[], Coroutine[object, object, None]]) -> Coroutine[object, object, None]:
        """Return a coroutine for a task of its own whose steps count as work of this stage."""
        return self.driver.steps.run(begin)

    @property
    def is_acknowledged(self) -> bool:
        """Whether the stage receives messages."""
        return self._input.is_acknowledged

    def worked(self, seconds: float) -> None:
        """Count work that was done off the loop."""
        self.turns.worked(seconds)

    def clock(self) -> float:
        """Return the time in seconds."""
        return self.scheduler.clock()

    def more(self) -> list[object] | None:
        """Take one more batch beside those in flight, and return it; None while something else is due."""
        is_due = self.mailbox or self.notices or self._stop_reason is not None or self.is_paused
        if is_due or (self.output is not None and self.output.collect() <= self._input.current_size):
            return None
        return self._input.add_to_batch()

    def over(self, positions: Sequence[int], outputs: list[object], seconds: float) -> None:
        """Account for events that were handled while others are in flight; emit their outputs."""
        if self.step.latency is not None:
            now = self.scheduler.clock()
            for ingested_at in self._input.ingestion_times(positions):
                self.step.latency.observe(now - ingested_at)
        self.batch_handled(seconds, len(positions))
        if outputs:
            self._output.emit(outputs, min(self._input.ingestion_times(positions)))
        if positions:
            self._input.finish_events(positions)

    def scale(self, limit: int) -> None:
        """Handle at most `limit` events, or batches, at a time from now on, in this life and the next ones."""
        self.concurrency = replace(self.concurrency, limit=limit)
        self.processing.resize(limit)
