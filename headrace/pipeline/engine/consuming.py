"""The steps of consumers and consumer supervisors (hot path)."""

import inspect
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, cast

from typing_extensions import override

from headrace.errors import BadReturn, NameTaken
from headrace.otp.process.process import ExitReason, Process, ProcessStatus
from headrace.otp.process.state import ProcessSettings
from headrace.otp.scheduler import HANDLED, HANDLED_MORE, IDLE, MORE
from headrace.otp.supervision.child_spec import ChildSpec
from headrace.otp.supervision.restart import RestartWindow
from headrace.pipeline.demand.window import ChildrenWindow
from headrace.pipeline.engine.stage_process import StageProcess
from headrace.pipeline.engine.subscribing import Step, SubscribingProcess
from headrace.pipeline.engine.units import EventHandler
from headrace.pipeline.flow.input import StageInput, exit_reason
from headrace.pipeline.flow.subscription import MarkerKind, Subscription
from headrace.pipeline.message import Message, Outcome
from headrace.pipeline.stage.consumer import Consumer, HandlingRuntime
from headrace.pipeline.stage.consumer_supervisor import ConsumerSupervisor, ConsumerSupervisorRuntime, gives_specs
from headrace.pipeline.stage.event_children import EventChildren, EventEntry, EventProcess
from headrace.pipeline.stage.stage import Stage, check_nothing
from headrace.telemetry.counts import HistogramCounts

LATENCY_BOUNDS: Final = (0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 600.0)
"""Upper bounds, in seconds, of the buckets for the time from a source to a consumer."""

QUICK_LATENCY: Final = LATENCY_BOUNDS[0]
"""Events with a shorter latency are counted without a search for their bucket."""


class ConsumerStep(Step):
    """Gives `handle_events` one batch a turn, and asks for more."""

    __slots__ = ("_handle_events", "input", "latency")

    process: StageProcess
    input: StageInput
    latency: HistogramCounts

    def __init__(self, stage_input: StageInput) -> None:
        self.input = stage_input
        self.latency = HistogramCounts(LATENCY_BOUNDS)

    @override
    def bound(self, callbacks: Stage) -> None:
        consumer, process = cast("Consumer[object]", callbacks), self.process
        self._handle_events: EventHandler = process.handling(consumer)
        runtime = HandlingRuntime(process.counts, process.processing, process)
        consumer._runtime = runtime  # noqa: SLF001 - the runtime stands behind the base class

    @override
    def turn(self) -> int:
        process = self.process
        if process.has_control:
            return process.handle_control()
        # The dequeue repeats `StageInput.next_batch`: 0.3 us a batch at 10/5 (10 %).
        stage_input = self.input
        subscription = stage_input.first
        queue = subscription.queue
        if not queue:
            waiting = stage_input.waiting()
            if waiting is None:
                return IDLE
            subscription, queue = waiting, waiting.queue
        events, ingested_at = queue.popleft()
        if events is None:
            return process.end_of(subscription)
        if subscription.offset or len(events) > subscription.window.batch_size:
            events = subscription.cut(events, ingested_at)
        size = len(events)
        try:
            result = self._handle_events(events)
        except BaseException:
            stage_input.start_batch(subscription, events, ingested_at, size)
            raise
        if result is not None:
            stage_input.start_batch(subscription, events, ingested_at, size)
            self._take_return(result)
            return IDLE
        age = process.scheduler.now - ingested_at
        latency = self.latency
        latency.sum += age
        if age <= QUICK_LATENCY:
            latency.quick += 1
        else:
            latency.search(age)
        subscription.handled(size)
        if stage_input.is_single:
            return HANDLED_MORE if queue else HANDLED
        stage_input.rotate(subscription)
        return HANDLED_MORE

    def _take_return(self, result: object) -> None:
        if inspect.isawaitable(result):
            self.process.drive(result, partial(self._handled_later, self.process.scheduler.clock()))
        else:
            check_nothing(self.process.name, result)

    def _handled_later(self, since: float, result: object) -> None:
        process = self.process
        check_nothing(process.name, result)
        now = process.scheduler.clock()
        if not process.processing.is_concurrent:
            process.batch_handled(now - since, self.input.current_size)
            self.latency.observe(now - self.input.ingested_at)
        self.input.finish_batch()


class SupervisorStep(ConsumerStep):
    """Starts a child for each event, a batch of them each turn, and takes a turn when one has ended.

    An event is in flight from the start of its child until the child has finished. So the end of a subscription is
    handled when all children of its events have ended, unless that end also ends the supervisor.
    """

    has_children = True

    __slots__ = (
        "_cut_off",
        "_ended_child",
        "_is_completing",
        "_is_stopping_children",
        "_restart",
        "_run",
        "_settings",
        "_spec_of",
        "children",
    )

    def __init__(self, stage_input: StageInput) -> None:
        super().__init__(stage_input)
        self._cut_off: list[EventEntry] = []
        self._ended_child: EventEntry | None = None
        self._is_completing = False
        self._is_stopping_children = False

    @override
    def attach(self, process: SubscribingProcess) -> None:
        super().attach(process)
        self.children = EventChildren(self.process, RestartWindow(), self._child_finished)

    @override
    def bound(self, callbacks: Stage) -> None:
        super().bound(callbacks)
        self._is_completing = False
        supervisor = cast("ConsumerSupervisor[object]", callbacks)
        window = RestartWindow(supervisor.max_restarts, supervisor.max_seconds)
        self.children = EventChildren(self.process, window, self._child_finished)
        runtime = ConsumerSupervisorRuntime(self.process.counts, self.process.processing, self.process, self.children)
        supervisor._runtime = runtime  # noqa: SLF001 - the runtime stands behind the base class
        self._run: Callable[[object], object] = supervisor.run
        self._restart = supervisor.restart
        self._spec_of = supervisor.child if gives_specs(supervisor) else None
        self._settings = ProcessSettings(shutdown_seconds=self.process.shutdown_seconds)

    @override
    def child_entries(self) -> Iterable[Process[object]]:
        return [entry.process for entry in self.children.entries.values()]

    @override
    def subscribed(self, subscription: Subscription, mode: object) -> None:
        window = subscription.window
        if mode != "manual" and not isinstance(window, ChildrenWindow):
            subscription.window = ChildrenWindow(window.max_demand, window.min_demand).resumed_at(window.outstanding)

    @override
    def turn(self) -> int:
        while self.children.exits and self.process.state is ProcessStatus.RUNNING:
            error = self.children.decide()
            if error is not None:
                raise error
        if self.process.has_control:
            return self.process.handle_control()
        if self.process.replacement is not None and self.children.entries:
            return IDLE  # the present children finish first
        subscription = self._next()
        if subscription is None:
            return IDLE
        events, ingested_at = subscription.dequeue()
        if events is None:
            return self.process.end_of(subscription)
        for position, event in enumerate(events):
            try:
                self._begin(event, subscription, ingested_at)
            except BaseException:
                self._put_back(events, position, subscription, ingested_at)
                raise
        self.input.to_back(subscription)
        return MORE

    def _next(self) -> Subscription | None:
        """Return the subscription whose turn it is. An end waits until the children before it have finished."""
        for subscription in list(self.input.subscriptions):
            queue = subscription.queue
            if queue and (queue[0][0] is not None or self._is_to_end(subscription)):
                return subscription
            self.input.to_back(subscription)
        return None

    def _is_to_end(self, subscription: Subscription) -> bool:
        marker = subscription.markers[0]
        if not subscription.unfinished():
            return True
        is_waiting = marker.kind is MarkerKind.COMPLETED or marker.is_own
        return not is_waiting and exit_reason(subscription.cancel, marker.reason) is not None

    def _begin(self, event: object, subscription: Subscription, ingested_at: float) -> None:
        data = event.data if isinstance(event, Message) else event
        children, scheduler = self.children, self.process.scheduler
        if self._spec_of is None:
            process = EventProcess(children.new_name(), partial(self._run, data), scheduler, self._settings)
            entry = EventEntry(process, self._restart, scheduler.time(), subscription, event)
            entry.ingested_at = ingested_at
            children.start(entry)
            return
        spec: object = self._spec_of(data)
        if not isinstance(spec, ChildSpec):
            raise BadReturn(self.process.name, "child", spec, "a ChildSpec")
        entry = children.make(spec, subscription, event)
        entry.ingested_at = ingested_at
        try:
            children.start(entry)
        except NameTaken as error:
            self._child_finished(entry, error)

    def _put_back(self, events: list[object], position: int, subscription: Subscription, ingested_at: float) -> None:
        """Keep one event in flight for the crash that follows, and put back the ones behind it."""
        if position + 1 < len(events):
            subscription.put_back(events[position + 1 :], ingested_at)
        self.input.start_batch(subscription, [events[position]], ingested_at, 1)

    def _child_finished(self, entry: EventEntry, reason: ExitReason) -> None:
        """Account for a child that has ended for good, and for its event."""
        if entry.subscription is None:
            self._complete_when_done()
        elif isinstance(reason, BaseException):
            self.process.counts.fail(reason)
            self._finished(entry, entry.subscription, Outcome.FAILED)
        elif reason == "normal":
            has_failed = isinstance(entry.process, EventProcess) and entry.process.has_failed
            self._finished(entry, entry.subscription, Outcome.FAILED if has_failed else Outcome.DONE)
        elif self.process.state is ProcessStatus.STOPPING:
            self._cut_off.append(entry)
        else:
            self.process.counts.discard(1, "cancelled")
            self._finished(entry, entry.subscription, Outcome.FAILED)

    def _finished(self, entry: EventEntry, subscription: Subscription, outcome: Outcome) -> None:
        if isinstance(entry.event, Message):
            entry.event.acknowledgement.end(outcome)
        self._count_work(entry)
        now = self.process.scheduler.time()
        self.process.turns.handled(now - entry.since)
        if self.process.emits_batches:  # checked here: one more call costs each child 0.1 us
            self.process.emit_batch(now - entry.since, 1)
        self.latency.observe(now - entry.ingested_at)
        subscription.handled(1)
        if subscription.queue:
            self.process.scheduler.wake(self.process.turns)
        self._complete_when_done()
        if self.process.replacement is not None:
            self.begin_replacement()

    def _count_work(self, entry: EventEntry | None) -> None:
        """Count the work of the child that ended before this one: its last turn is over now."""
        before, self._ended_child = self._ended_child, entry
        if before is not None:
            self.process.turns.worked(before.process.turns.busy_seconds())

    def _complete_when_done(self) -> None:
        if self._is_completing and not self.children.entries and self.process.state is ProcessStatus.RUNNING:
            self.process.notify(self.process.complete_input)

    @override
    def begin_replacement(self) -> None:
        if not any(entry.subscription is not None for entry in self.children.entries.values()):
            super().begin_replacement()

    @override
    def may_complete(self) -> bool:
        self._is_completing = True
        return not self.children.entries

    @override
    def may_cancel(self) -> bool:
        return not self._is_stopping_children

    @override
    def kill(self) -> None:
        self.children.kill()

    @override
    def ended(self) -> None:
        self.children.kill_and_finalize()
        self._account_for_cut_off()
        self._count_work(None)

    @override
    def release(self) -> object:
        if not self.children.entries:
            return None
        self._is_stopping_children = True
        return self._stop_children()

    async def _stop_children(self) -> None:
        try:
            await self.children.stop_all()
        finally:
            self._is_stopping_children = False
            self._account_for_cut_off()

    def _account_for_cut_off(self) -> None:
        """Account for the events whose children were cut off, as `requeue_in_flight` does for a batch."""
        cut_off, self._cut_off = self._cut_off, []
        is_crash = isinstance(self.process.reason, BaseException) and not self.process.no_restart
        redeliver: dict[Subscription, list[EventEntry]] = {}
        for entry in cut_off:
            subscription = cast("Subscription", entry.subscription)
            if is_crash and isinstance(entry.event, Message):
                redeliver.setdefault(subscription, []).append(entry)
                continue
            self.process.counts.leave([entry.event], "crash" if is_crash else "cancelled")
            self._finished(entry, subscription, Outcome.FAILED)
        for subscription, entries in redeliver.items():
            messages: list[object] = [entry.event.redeliver() for entry in entries if isinstance(entry.event, Message)]
            subscription.put_back(messages, entries[0].ingested_at)
            self.process.counts.redelivered += len(messages)
