"""The step functions of consumers and consumer supervisors (hot path)."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final, cast

from headrace.errors import BadReturn, NameTaken
from headrace.otp.process.process import ExitReason, Process, ProcessStatus
from headrace.otp.process.state import ProcessSettings
from headrace.otp.scheduler import HANDLED, HANDLED_MORE, IDLE, MORE, Scheduler
from headrace.otp.supervision.child_spec import ChildSpec
from headrace.otp.supervision.restart import RestartWindow
from headrace.pipeline.demand.window import ChildrenWindow
from headrace.pipeline.engine.stage_process import TakingProcess
from headrace.pipeline.flow.counts import StageCounts
from headrace.pipeline.flow.input import StageInput, exit_reason
from headrace.pipeline.flow.subscription import MarkerKind, Subscription
from headrace.pipeline.flow.subscription_handle import OtherSide
from headrace.pipeline.message import Message, Outcome
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.consumer_supervisor import ConsumerSupervisor, gives_specs
from headrace.pipeline.stage.event_children import Children, ChildSlot, EventProcess, Supervision
from headrace.pipeline.stage.stage import check_nothing
from headrace.telemetry.counts import HistogramCounts

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
        super().__init__(name, factory, scheduler, counts, StageInput(counts, is_by_delivery=False))
        self.latency = HistogramCounts(LATENCY_BOUNDS)

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


class ConsumerSupervisorProcess(ConsumerProcess):
    """Starts children for a delivery, some each turn; what it does then it does when one of them ends.

    An event is in hand from its child's start until that is settled, so a subscription's end is acted on when all the
    children that came by it have ended, unless that end is the supervisor's own.
    """

    __slots__ = (
        "_cut_off",
        "_ended_child",
        "_is_completing",
        "_is_stopping_children",
        "_restart",
        "_run",
        "_settings",
        "_spec_of",
        "_supervision",
        "children",
    )

    def __init__(
        self, name: str, factory: Callable[[], Consumer[object]], scheduler: Scheduler, counts: StageCounts
    ) -> None:
        super().__init__(name, factory, scheduler, counts)
        self.children = Children(self, RestartWindow(), self._settle)
        self._cut_off: list[ChildSlot] = []
        self._ended_child: ChildSlot | None = None
        self._is_completing = False
        self._is_stopping_children = False

    def bound(self, callbacks: Consumer[object]) -> None:
        """Hand the new callback object its words, and begin without children."""
        super().bound(callbacks)
        self._is_completing = False
        supervisor = cast("ConsumerSupervisor[object]", callbacks)
        window = RestartWindow(supervisor.max_restarts, supervisor.max_seconds)
        self.children = Children(self, window, self._settle)
        self._supervision = supervisor._supervision = Supervision(self, self.children)  # noqa: SLF001
        self._run: Callable[[object], object] = supervisor.run
        self._restart = supervisor.restart
        self._spec_of = supervisor.child if gives_specs(supervisor) else None
        self._settings = ProcessSettings(shutdown_seconds=self.shutdown_seconds)

    def supervised(self) -> Iterable[Process[object]]:
        """Return the children that have not ended, first started first."""
        return [cast("Process[object]", slot.process) for slot in self.children.slots.values()]

    def greeted(self, subscription: Subscription, side: OtherSide, mode: object) -> None:
        """Let the demand of a subscription follow the children, unless the callbacks ask by hand."""
        window = subscription.window
        if subscription.ended is None and mode != "manual" and not isinstance(window, ChildrenWindow):
            subscription.window = ChildrenWindow(window.max_demand, window.min_demand).moved_to(window.coming)
        super().greeted(subscription, side, mode)

    def turn(self) -> int:
        """Decide about a child that crashed, start children for a batch, or act on an end of a subscription."""
        if self.children.is_to_decide and self.state is ProcessStatus.RUNNING:
            self.children.decide()
        if self.needs_attention:
            return self.attend()
        subscription = self._next()
        if subscription is None:
            return IDLE
        events, born = subscription.queue.popleft()
        if events is None:
            return self.end_of(subscription)
        if subscription.offset or len(events) > subscription.window.batch_size:
            events = subscription.cut(events, born)
        for position, event in enumerate(events):
            try:
                self._begin(event, subscription, born)
            except BaseException:
                self._put_back(events, position, subscription, born)
                raise
        self.inlet.to_back(subscription)
        return MORE

    def _next(self) -> Subscription | None:
        """Return the subscription whose turn it is; an end before which children are to finish waits."""
        for subscription in list(self.inlet.subscriptions):
            queue = subscription.queue
            if queue and (queue[0][0] is not None or self._is_to_end(subscription)):
                return subscription
            self.inlet.to_back(subscription)
        return None

    def _is_to_end(self, subscription: Subscription) -> bool:
        mark = subscription.marks[0]
        if not subscription.unfinished():
            return True
        is_waiting = mark.kind is MarkerKind.COMPLETED or mark.is_own
        return not is_waiting and exit_reason(subscription.cancel, mark.reason) is not None

    def _begin(self, event: object, subscription: Subscription, born: float) -> None:
        data = event.data if isinstance(event, Message) else event
        slot = ChildSlot(self.scheduler.time(), subscription, event)
        slot.born = born
        if self._spec_of is None:
            children = self.children
            slot.process = EventProcess(children.new_name(), partial(self._run, data), self.scheduler, self._settings)
            slot.restart = self._restart
            children.start(slot)
            return
        spec: object = self._spec_of(data)
        if not isinstance(spec, ChildSpec):
            raise BadReturn(self.name, "child", spec, "a ChildSpec")
        try:
            self._supervision.begin(spec, slot)
        except NameTaken as error:
            self._settle(slot, error)

    def _put_back(self, events: list[object], position: int, subscription: Subscription, born: float) -> None:
        """Have the crash that comes hit one event alone, and those behind it wait."""
        if position + 1 < len(events):
            subscription.put_back(events[position + 1 :], born)
        self.inlet.take_in_hand(subscription, [events[position]], born, 1)

    def _settle(self, slot: ChildSlot, reason: ExitReason) -> None:
        """Account for a child that has ended for good, and for its event."""
        if slot.subscription is None:
            self._look_for_the_end()
        elif isinstance(reason, BaseException):
            self.counts.fail(reason)
            self._finished(slot, slot.subscription, Outcome.FAILED)
        elif reason == "normal":
            has_failed = isinstance(slot.process, EventProcess) and slot.process.has_failed
            self._finished(slot, slot.subscription, Outcome.FAILED if has_failed else Outcome.DONE)
        elif self.state is ProcessStatus.STOPPING:
            self._cut_off.append(slot)
        else:
            self.counts.discard(1, "cancelled")
            self._finished(slot, slot.subscription, Outcome.FAILED)

    def _finished(self, slot: ChildSlot, subscription: Subscription, outcome: Outcome) -> None:
        if isinstance(slot.event, Message):
            slot.event.acknowledgement.end(outcome)
        self._count_work(slot)
        now = self.scheduler.time()
        self.turns.handled(now - slot.since)
        self.latency.observe(now - slot.born)
        subscription.handled(1)
        if subscription.queue:
            self.scheduler.wake(self.turns)
        self._look_for_the_end()

    def _count_work(self, slot: ChildSlot | None) -> None:
        """Count the work of the child that ended before this one, whose last turn is over by now."""
        before, self._ended_child = self._ended_child, slot
        if before is not None and isinstance(before.process, Process):
            self.turns.worked(before.process.turns.busy_seconds())

    def _look_for_the_end(self) -> None:
        if self._is_completing and not self.children.slots and self.state is ProcessStatus.RUNNING:
            self.notify(self.complete_input)

    def complete_input(self) -> None:
        """Say the last words once the last child has ended, whoever started it."""
        self._is_completing = True
        if not self.children.slots:
            super().complete_input()

    def cancel_later(self) -> None:
        """Bound what runs in a stop, but not the stop of the children: each of them has a bound of its own."""
        if not self._is_stopping_children:
            super().cancel_later()

    def kill(self) -> None:
        """Stop without waiting for the children: they are cancelled now, unless they end already."""
        is_stopping = self.state is ProcessStatus.STOPPING
        super().kill()
        if not is_stopping:
            self.children.kill()

    def _ended(self) -> None:
        """Account for children whose end somebody else had cancelled before it began."""
        self.children.abandon()
        self._give_up()
        self._count_work(None)
        super()._ended()

    def release(self) -> object:
        """Stop the children; then give up what they had not done."""
        if not self.children.slots:
            return None
        self._is_stopping_children = True
        return self._stop_children()

    async def _stop_children(self) -> None:
        try:
            await self.children.stop_all()
        finally:
            self._is_stopping_children = False
            self._give_up()

    def _give_up(self) -> None:
        """Account for the events whose children were cut off: as `abandon` does for a batch."""
        cut_off, self._cut_off = self._cut_off, []
        is_crash = isinstance(self.reason, BaseException) and not self.is_final
        again: dict[Subscription, list[ChildSlot]] = {}
        for slot in cut_off:
            subscription = cast("Subscription", slot.subscription)
            if is_crash and isinstance(slot.event, Message):
                again.setdefault(subscription, []).append(slot)
                continue
            self.counts.leave([slot.event], "crash" if is_crash else "cancelled")
            self._finished(slot, subscription, Outcome.FAILED)
        for subscription, slots in again.items():
            messages: list[object] = [slot.event.again() for slot in slots if isinstance(slot.event, Message)]
            subscription.put_back(messages, slots[0].born)
            self.counts.redelivered += len(messages)
