"""The process around a producer: ledger, buffer, dispatcher, and the stream that it keeps."""

import asyncio
import inspect
from collections.abc import AsyncIterable, Awaitable, Callable, Iterator
from functools import partial

from typing_extensions import override

from headrace.errors import BufferFull
from headrace.otp.process.callbacks import is_overridden
from headrace.otp.process.process import ExitReason, ProcessStatus
from headrace.otp.scheduler import (
    BLOCKED,
    HANDLED,
    HANDLED_BLOCKED,
    HANDLED_MORE,
    IDLE,
    MORE,
    SLICE_SECONDS,
    Scheduler,
)
from headrace.pipeline.demand.ledger import Ledger
from headrace.pipeline.engine.stage_process import StageProcess
from headrace.pipeline.flow.counts import StageCounts
from headrace.pipeline.flow.ingress import AsyncGenerator, Ingress, SyncGenerator, iterated
from headrace.pipeline.flow.output import DemandMode, StageOutput
from headrace.pipeline.flow.subscription import Marker, MarkerKind, Subscription
from headrace.pipeline.stage.producer import Inbox, Producer, ProducerRuntime
from headrace.pipeline.stage.stage import Stage, as_list
from headrace.telemetry.events import LOG


class ProducerProcess(StageProcess[Producer[object]]):
    """Reports unmet demand that is not owed to `handle_demand`, and delivers or buffers the events that it emits."""

    __slots__ = ("handle_demand", "ingress", "is_completing", "is_draining", "ledger", "output", "pull")

    def __init__(
        self,
        name: str,
        factory: Callable[[], Producer[object]],
        scheduler: Scheduler,
        counts: StageCounts,
        stage_output: StageOutput,
    ) -> None:
        super().__init__(name, factory, scheduler, counts)
        self.output = stage_output
        self.ingress = Ingress(stage_output, self.offer, self.owed, scheduler.loop)
        self.ledger = Ledger()
        self.pull: SyncGenerator | AsyncGenerator | None = None
        self.handle_demand: Callable[[int], object] = lambda _: []
        self.is_completing = False
        self.is_draining = False

    @override
    def bound(self, callbacks: Producer[object]) -> None:
        super().bound(callbacks)
        callbacks._runtime = ProducerRuntime(self.counts, self.failure_reporter, self)  # noqa: SLF001
        self.output.format_discarded = callbacks.format_discarded
        self.output.on_info = self.on_info
        self.output.safe_dispatcher.failed = self.dispatcher_failed
        self.output.safe_dispatcher.is_failing = False
        self.handle_demand = callbacks.handle_demand
        self.is_completing = False

    @override
    def running(self) -> None:
        self.ledger.forget()
        for subscription in list(self.output.subscriptions):
            self.notify_subscribed(subscription, "consumer")
        if self.is_draining:
            self.complete()

    @override
    def requeue_in_flight(self, reason: ExitReason) -> None:
        self.forget_notices()
        if isinstance(reason, BaseException):
            self.counts.error(reason)
        if self.pull is not None:
            self.emit_nowait(self.pull.rest())

    @override
    def release(self) -> object:
        pull, self.pull = self.pull, None
        if pull is None:
            return None
        if isinstance(pull, AsyncGenerator) and pull.is_running:
            self.driver.cancel()
        return pull.close()

    @override
    def finalize_pending(self, reason: ExitReason) -> None:
        self.ingress.close()
        self.output.go_down(reason)

    @override
    def turn_failed(self, error: BaseException) -> None:
        if self.is_draining and self.state is ProcessStatus.RUNNING and isinstance(error, asyncio.CancelledError):
            self.output.safe_dispatcher.is_failing = False
            self.scheduler.wake(self.turns)
            return
        super().turn_failed(error)

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
        if not self.output.is_closed:
            self.output.close_subscription(subscription, Marker(MarkerKind.CANCEL, reason))
            self.notify_unsubscribed(subscription)

    def emit_nowait(self, events: list[object]) -> None:
        """Deliver the events that were asked for, buffer the rest, and count the ones that could not be kept."""
        owed = self.ledger.owed
        if not self.output.is_closed:
            self.ledger.emitted(len(events))
        self._let_in(events, owed)

    def offer(self, events: list[object]) -> None:
        """Emit events from outside: the callbacks still owe as many as before."""
        self._let_in(events, 0)

    def _let_in(self, events: list[object], asked: int) -> None:
        if self.output.is_closed:
            self.output.discard(events, "cancelled")
        else:
            self.output.emit(events, self.scheduler.time(), asked)

    def emit_own(self, events: list[object]) -> None:
        """Emit what the callbacks emit by themselves. Raises `BufferFull` where it is to wait, and takes none then.

        It may always emit events that it owes: their consumer may have left. In a drain it may emit its last events.
        """
        if len(events) > self.ledger.owed and not self.output.is_closed and self._has_no_room():
            raise BufferFull(self.name, self.output.buffer.limit or 0, is_own=True)
        self.emit_nowait(events)

    @property
    def waits_when_full(self) -> bool:
        """Whether the buffer is to keep all."""
        return self.output.buffer.keep == "all"

    def is_full(self) -> bool:
        """Return whether the stage is paused, or has no room; then `handle_room` is called when it may go on."""
        return self.is_paused or self._has_no_room()

    def _has_no_room(self) -> bool:
        """Return whether the buffer is to keep all, and has no room; then `handle_room` is called when there is some.

        In a drain there is always room, for all events go through.
        """
        has_none = self.waits_when_full and not self.is_draining and self.ingress.capacity() < 1
        if has_none:
            self.ingress.producer_waits(partial(self.notify, self._notify_room))
        return has_none

    @override
    def pause(self) -> None:
        if isinstance(self.pull, AsyncGenerator):
            self.pull.gives_way = True
        super().pause()

    @override
    def resume(self) -> None:
        was_paused = self.is_paused
        super().resume()
        if was_paused and self.state is ProcessStatus.RUNNING and self._has_handle_room():
            self.notify(self._notify_room)

    def _has_handle_room(self) -> bool:
        return is_overridden(self.stage.handle_room, Stage.handle_room)

    def _notify_room(self) -> None:
        if self._has_handle_room():
            self.call_back(self.stage.handle_room, partial(self.take_returned, "handle_room"))

    def owed(self) -> int:
        """Return how much of the demand is kept for events that the callbacks emit by themselves."""
        return 0 if isinstance(self.callbacks, Inbox) else self.ledger.owed

    def estimate_buffered_count(self) -> int:
        """Return how many events wait for demand."""
        return self.output.buffered()

    def room(self) -> int:
        """Return how many events of its own would be delivered or buffered now: none while it is paused."""
        return 0 if self.is_paused else self.ingress.capacity()

    def unhandled(self) -> int:
        """Return how many events are buffered, or on their way to consumers."""
        return self.output.unhandled()

    @property
    def buffer_limit_bytes(self) -> int | None:
        """How many bytes the events in the buffer may take; None is no bound."""
        sizes = self.output.buffer.sizes
        return None if sizes is None else sizes.limit

    def demand_by_consumer(self) -> dict[str, int]:
        """Return who misses events, and how many."""
        return self.output.demand_by_consumer()

    @override
    def info(self, message: object) -> None:
        self.output.info(message)

    def demand(self, mode: DemandMode) -> None:
        """Hold asks and events from now on, or go on with the held ones."""
        if mode == "accumulate":
            self.output.accumulate()
        else:
            self.ledger.report_late(self.output.forward())
        self.scheduler.wake(self.turns)

    def complete(self) -> None:
        """Finish once the buffer is empty."""
        self.is_completing = True
        self.ingress.close()
        self.has_control = True
        self.scheduler.wake(self.turns)

    def drain(self) -> None:
        """Take in nothing more: close the door, give a running `handle_demand` its time, then complete."""
        if self.is_draining:
            return
        self.is_draining = True
        self.ingress.close()
        self.output.drain()
        if self.state is not ProcessStatus.RUNNING:
            return
        try:
            self.stage.handle_drain()
        except BaseException as error:  # noqa: BLE001 - one stage that fails must not keep the others from draining
            self.counts.error(error)
            LOG.exception("stage %r raised in handle_drain, and drains all the same", self.name)
        if self.is_busy:
            self.cancel_later()
        self.complete()

    @override
    def take_returned(self, callback: str, returned: object) -> None:
        if returned is not None:
            self.emit_own(as_list(self.name, callback, returned))

    @override
    def turn(self) -> int:
        if self.has_control:
            return self.handle_control()
        stage_output = self.output
        single = stage_output.single
        unmet = single.pending if single is not None and not stage_output.buffer.size else stage_output.collect()
        demand = self.ledger.report(unmet)
        if self.pull is not None:
            self.pull.want(demand)
            return self._go_on(self.pull)
        if not demand:
            return IDLE if self.ledger.owed else BLOCKED
        events = self.handle_demand(demand)
        if type(events) is not list:
            self._take(demand, events)
            return HANDLED_MORE
        size = len(events)
        single = stage_output.single  # the callback may have subscribed somebody, or have begun to accumulate
        if single is not None and 0 < size <= single.pending and not stage_output.buffer.size:
            self.ledger.emitted(size)
            single.send(events, self.scheduler.now, size)
        else:
            self.emit_nowait(events)
        return HANDLED_BLOCKED if size == demand else HANDLED

    @override
    def serve(self) -> None:
        self._emit_pulled()
        self.output.collect()

    def _emit_pulled(self) -> None:
        if isinstance(self.pull, AsyncGenerator) and (events := self.pull.take()):
            self.emit_nowait(events)

    @override
    def drive(self, work: Awaitable[object], then: Callable[[object], None]) -> None:
        if isinstance(self.pull, AsyncGenerator):
            self.pull.gives_way = True
        super().drive(work, then)

    @override
    def handle_control(self) -> int:
        if self.is_busy or self.notices or self.state is not ProcessStatus.RUNNING or self._stop_reason is not None:
            return super().handle_control()
        if isinstance(self.pull, AsyncGenerator) and self.pull.is_running:
            return self._handle_pull(self.pull)
        if self.is_completing and not self.mailbox:
            return self._finish()
        return super().handle_control()

    def _handle_pull(self, pull: AsyncGenerator) -> int:
        """End the pull when draining; else handle mail while the stream waits, and pull on unless paused."""
        if self.is_completing and self.is_draining:
            self.output.collect()
            self.driver.cancel()
            return IDLE
        if self.mailbox:
            self._emit_pulled()
            self.take_mail()
            return MORE
        if self.is_paused:
            self.serve()
            return IDLE
        if self.is_completing:
            self.output.collect()
            return self._go_on(pull)
        self.has_control = False
        return HANDLED_MORE if self._go_on(pull) >= HANDLED else MORE

    def _finish(self) -> int:
        if self.pull is not None:
            if self.pull.wanted and not self.is_draining:
                return IDLE if self.is_paused else self._go_on(self.pull)
            self.emit_nowait(self.pull.rest())
        if not self.output.complete(is_draining=self.is_draining):
            return BLOCKED
        self.no_restart = True
        self.exit("normal")
        return IDLE

    def _take(self, demand: int, events: object) -> None:
        """Make the best of what `handle_demand` returned: events, a stream of them, or an awaitable of either.

        A stream of aiostream's can be awaited, too, for its last event: that is never meant here.
        """
        if isinstance(events, list):
            self.emit_nowait(events)
        elif isinstance(events, AsyncIterable):
            wake = partial(self.scheduler.wake, self.turns)
            self.pull = AsyncGenerator(iterated(events), demand, wake, self.scheduler.clock, SLICE_SECONDS)
        elif inspect.isawaitable(events):
            self.drive(events, partial(self._taken_later, demand, self.scheduler.clock()))
        elif isinstance(events, Iterator):
            self.pull = SyncGenerator(events, demand, self.scheduler.clock, SLICE_SECONDS)
        else:
            self.emit_nowait(as_list(self.name, "handle_demand", events))

    def _taken_later(self, demand: int, since: float, events: object) -> None:
        self.turns.handled(self.scheduler.clock() - since)
        self._take(demand, events)

    def _go_on(self, pull: SyncGenerator | AsyncGenerator) -> int:
        """Emit what the stream has yielded, and see to it that it is pulled further."""
        events = pull.take()
        if events:
            self.emit_nowait(events)
        if pull.has_ended:
            self.pull = None
            self.ledger.withdraw(min(pull.wanted, pull.wanted_later))
            return HANDLED_MORE
        if not pull.wanted:
            return HANDLED_BLOCKED if events else BLOCKED
        if isinstance(pull, SyncGenerator):
            return HANDLED_MORE
        pull.gives_way = False
        if not pull.is_running:
            pull.is_running = True
            self.driver.run(pull.run(), partial(self._pulled, pull))
        return HANDLED if events else IDLE

    def _pulled(self, pull: AsyncGenerator, _: object, error: BaseException | None) -> None:
        pull.is_running = False
        is_asked_for = isinstance(error, asyncio.CancelledError) and self.is_draining
        if error is not None and not is_asked_for and self.state is ProcessStatus.RUNNING:
            self.turn_failed(error)
            self.scheduler.interrupt(error)
        self.has_control = True
        self.scheduler.wake(self.turns)
