"""The process around a producer: ledger, buffer, dispatcher, and the stream that it keeps."""

import asyncio
import inspect
from collections.abc import AsyncIterable, Awaitable, Callable, Iterator
from functools import partial

from headrace.errors import BufferFull
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
from headrace.pipeline.stage.producer import Inbox, Producer
from headrace.pipeline.stage.stage import as_list
from headrace.telemetry.events import LOG


class ProducerProcess(StageProcess[Producer[object]]):
    """Tells `handle_demand` what is unmet and not owed, and sees to it that what it emits is delivered or buffered."""

    __slots__ = ("entrance", "handle_demand", "is_completing", "is_draining", "ledger", "outlet", "pull")

    def __init__(
        self,
        name: str,
        factory: Callable[[], Producer[object]],
        scheduler: Scheduler,
        counts: StageCounts,
        outlet: StageOutput,
    ) -> None:
        super().__init__(name, factory, scheduler, counts)
        self.outlet = outlet
        self.entrance = Ingress(outlet, self.let_in, self.owed, scheduler.loop)
        self.ledger = Ledger()
        self.pull: SyncGenerator | AsyncGenerator | None = None
        self.handle_demand: Callable[[int], object] = lambda _: []
        self.is_completing = False
        self.is_draining = False

    def bound(self, callbacks: Producer[object]) -> None:
        """Hand the new callback object its words."""
        super().bound(callbacks)
        callbacks._runtime = self  # noqa: SLF001
        self.outlet.format_discarded = callbacks.format_discarded
        self.outlet.informed = self.informed
        self.outlet.guard.failed = self.dispatcher_failed
        self.outlet.guard.is_failing = False
        self.handle_demand = callbacks.handle_demand
        self.is_completing = False

    def running(self) -> None:
        """Tell the new callbacks all that is unmet: what the former ones were told died with them."""
        self.ledger.forget()
        for subscription in list(self.outlet.subscriptions):
            self.greet(subscription, "consumer")
        if self.is_draining:
            self.complete()

    def abandon(self, reason: ExitReason) -> None:
        """Count the crash, and emit what a stream had yielded: it was taken in."""
        self.forget_notices()
        if isinstance(reason, BaseException):
            self.counts.error(reason)
        if self.pull is not None:
            self.emit_nowait(self.pull.rest())

    def release(self) -> object:
        """Close the stream that is kept."""
        pull, self.pull = self.pull, None
        if pull is None:
            return None
        if isinstance(pull, AsyncGenerator) and pull.is_running:
            self.driver.cancel()
        return pull.close()

    def bury(self, reason: ExitReason) -> None:
        """Count what is left in the buffer as discarded, and tell the consumers."""
        self.entrance.close()
        self.outlet.go_down(reason)

    def turn_failed(self, error: BaseException) -> None:
        """Take the cancellation that comes with a drain for an empty return; all else is a crash."""
        if self.is_draining and self.state is ProcessStatus.RUNNING and isinstance(error, asyncio.CancelledError):
            self.outlet.guard.is_failing = False
            self.scheduler.wake(self.turns)
            return
        super().turn_failed(error)

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
        """Send a consumer nothing more; it is told behind all that was delivered."""
        if not self.outlet.is_closed:
            self.outlet.let_go(subscription, Marker(MarkerKind.CANCEL, reason))
            self.tell_of_leaving(subscription)

    def emit_nowait(self, events: list[object]) -> None:
        """Deliver what has been asked for, buffer the rest, and count what could not be kept."""
        owed = self.ledger.owed
        if not self.outlet.is_closed:
            self.ledger.emitted(len(events))
        self._let_in(events, owed)

    def let_in(self, events: list[object]) -> None:
        """Do that with events from outside: what the callbacks owe they still do."""
        self._let_in(events, 0)

    def _let_in(self, events: list[object], asked: int) -> None:
        if self.outlet.is_closed:
            self.outlet.discard(events, "cancelled")
        else:
            self.outlet.emit(events, self.scheduler.time(), asked)

    def emit_own(self, events: list[object]) -> None:
        """Emit what the callbacks emit by themselves. Raises `BufferFull` where it is to wait, and takes none then.

        What it owes it may always emit: whoever asked for that may have gone. In a drain it may emit its last events.
        """
        if len(events) > self.ledger.owed and not self.outlet.is_closed and self._has_no_room():
            raise BufferFull(self.name, self.outlet.buffer.limit or 0, is_own=True)
        self.emit_nowait(events)

    @property
    def waits_when_full(self) -> bool:
        """Whether the buffer is to keep all."""
        return self.outlet.buffer.keep == "all"

    def is_full(self) -> bool:
        """Return whether the stage is paused, or has no room; then the callbacks are told when they may go on."""
        return self.is_paused or self._has_no_room()

    def _has_no_room(self) -> bool:
        """Return whether the buffer is to keep all, and has no room; then the callbacks are told when there is some.

        In a drain there is: what has come is to go through.
        """
        has_none = self.waits_when_full and not self.is_draining and self.entrance.own_room() < 1
        if has_none:
            self.entrance.own_waits(partial(self.notify, self._tell_of_room))
        return has_none

    def pause(self) -> None:
        """Hand the callbacks no more demand; a stream is pulled no further than the event that it waits for."""
        if isinstance(self.pull, AsyncGenerator):
            self.pull.gives_way = True
        super().pause()

    def resume(self) -> None:
        """Go on, and tell the callbacks that they may emit again."""
        was_paused = self.is_paused
        super().resume()
        if was_paused and self.state is ProcessStatus.RUNNING and hasattr(self.callbacks, "handle_room"):
            self.notify(self._tell_of_room)

    def _tell_of_room(self) -> None:
        handle_room = getattr(self.callbacks, "handle_room", None)
        if handle_room is not None:
            self.call_back(handle_room, partial(self.take_returned, "handle_room"))

    def owed(self) -> int:
        """Return how much of what is asked for is kept for what the callbacks emit by themselves."""
        return 0 if isinstance(self.callbacks, Inbox) else self.ledger.owed

    def estimate_buffered_count(self) -> int:
        """Return how many events wait for somebody to ask."""
        return self.outlet.buffered()

    def room(self) -> int:
        """Return how many events of its own would be delivered or buffered now: none while it is paused."""
        return 0 if self.is_paused else self.entrance.own_room()

    def unhandled(self) -> int:
        """Return how many events are buffered, or on their way to consumers."""
        return self.outlet.unhandled()

    @property
    def buffer_limit_bytes(self) -> int | None:
        """What the events in the buffer may take; None is no bound."""
        sizes = self.outlet.buffer.sizes
        return None if sizes is None else sizes.limit

    def askers(self) -> dict[str, int]:
        """Return who misses events, and how many."""
        return self.outlet.askers()

    def info(self, message: object) -> None:
        """Send a message behind all that is buffered."""
        self.outlet.info(message)

    def demand(self, mode: DemandMode) -> None:
        """Hold asks and events from now on, or go on with those that were held."""
        if mode == "accumulate":
            self.outlet.accumulate()
        else:
            self.ledger.told_late(self.outlet.forward())
        self.scheduler.wake(self.turns)

    def complete(self) -> None:
        """Finish once the buffer is empty."""
        self.is_completing = True
        self.entrance.close()
        self.needs_attention = True
        self.scheduler.wake(self.turns)

    def drain(self) -> None:
        """Take in nothing more: close the door, give a running `handle_demand` its time, then complete."""
        if self.is_draining:
            return
        self.is_draining = True
        self.entrance.close()
        self.outlet.drain()
        if self.state is not ProcessStatus.RUNNING:
            return
        handle_drain = getattr(self.callbacks, "handle_drain", None)
        if handle_drain is not None:
            try:
                handle_drain()
            except BaseException as error:  # noqa: BLE001 - one door that is stuck must not keep the others open
                self.counts.error(error)
                LOG.exception("stage %r raised in handle_drain, and drains all the same", self.name)
        if self.is_busy:
            self.cancel_later()
        self.complete()

    def take_returned(self, callback: str, returned: object) -> None:
        """Emit what a callback returned."""
        if returned is not None:
            self.emit_own(as_list(self.name, callback, returned))

    def turn(self) -> int:
        """Serve the buffer, then tell `handle_demand` what is still missing and not owed."""
        if self.needs_attention:
            return self.attend()
        outlet = self.outlet
        sole = outlet.sole
        unmet = sole.pending if sole is not None and not outlet.buffer.size else outlet.collect()
        demand = self.ledger.tell(unmet)
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
        sole = outlet.sole  # the callback may have subscribed somebody, or have begun to accumulate
        if sole is not None and 0 < size <= sole.pending and not outlet.buffer.size:
            self.ledger.emitted(size)
            sole.send(events, self.scheduler.now, size)
        else:
            self.emit_nowait(events)
        return HANDLED_BLOCKED if size == demand else HANDLED

    def serve(self) -> None:
        """Emit what a stream has yielded, and send what is buffered to those who ask."""
        self._emit_pulled()
        self.outlet.collect()

    def _emit_pulled(self) -> None:
        if isinstance(self.pull, AsyncGenerator) and (events := self.pull.take()):
            self.emit_nowait(events)

    def drive(self, work: Awaitable[object], then: Callable[[object], None]) -> None:
        """Run an async callback in the process's task; a stream that is pulled there gives way after its next event."""
        if isinstance(self.pull, AsyncGenerator):
            self.pull.gives_way = True
        super().drive(work, then)

    def attend(self) -> int:
        """Finish when completing, pull on; else what every stage attends to."""
        if self.is_busy or self.notices or self.state is not ProcessStatus.RUNNING or self._stop_reason is not None:
            return super().attend()
        if isinstance(self.pull, AsyncGenerator) and self.pull.is_running:
            return self._attend_pulling(self.pull)
        if self.is_completing and not self.mailbox:
            return self._finish()
        return super().attend()

    def _attend_pulling(self, pull: AsyncGenerator) -> int:
        """End the pull when draining; else handle mail while the stream waits, and pull on unless paused."""
        if self.is_completing and self.is_draining:
            self.outlet.collect()
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
            self.outlet.collect()
            return self._go_on(pull)
        self.needs_attention = False
        return HANDLED_MORE if self._go_on(pull) >= HANDLED else MORE

    def _finish(self) -> int:
        if self.pull is not None:
            if self.pull.wanted and not self.is_draining:
                return IDLE if self.is_paused else self._go_on(self.pull)
            self.emit_nowait(self.pull.rest())
        if not self.outlet.complete(is_draining=self.is_draining):
            return BLOCKED
        self.is_final = True
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
            self.ledger.untell(min(pull.wanted, pull.wanted_later))
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
        self.needs_attention = True
        self.scheduler.wake(self.turns)
