"""Runs units of work, one after another or side by side, and keeps their order."""

import asyncio
import inspect
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextvars import ContextVar
from functools import partial
from itertools import islice, takewhile
from typing import ClassVar, Final, Protocol, cast

from typing_extensions import override

from headrace.errors import CannotRetain
from headrace.executors.errors import ExecutorError
from headrace.pipeline.engine.failure_rules import FailureRules
from headrace.pipeline.engine.offload import Offload, OffloadOwner
from headrace.pipeline.engine.units import (
    UNIT,
    BatchUnit,
    EachUnit,
    EventHandler,
    EventUnit,
    Handler,
    OffloadedUnit,
    PendingResult,
    Unit,
)
from headrace.pipeline.failure import FailurePolicy
from headrace.pipeline.flow.counts import StageCounts
from headrace.pipeline.flow.subscription import Subscription
from headrace.pipeline.message import Message, Outcome, Retained, as_messages
from headrace.pipeline.stage.callbacks import own_handle_each
from headrace.pipeline.stage.consumer import HandlingStage
from headrace.pipeline.stage.producer_consumer import ProducerConsumer


class Processing:
    """Calls `handle_events` directly, and only counts failed events.

    For stages whose edges carry no messages and whose failure policy is plain. The subclasses run units.
    """

    is_concurrent: ClassVar[bool] = False
    """Whether units run side by side."""

    def __init__(self, counts: StageCounts) -> None:
        self._counts = counts

    def around(self, handle_events: EventHandler) -> EventHandler:
        """Return the function that takes batches: `handle_events` itself, or `handle` of a subclass."""
        return handle_events

    def _current_unit(self) -> Unit | None:
        """Return the unit whose callback runs; None if there is none."""
        return None

    def failed_at(self, position: int, error: BaseException) -> None:
        """Called when an event of the current call failed."""
        unit = self._current_unit()
        if unit is None:
            self._counts.fail(error)
        else:
            unit.fail_at(position, error)

    def failed(self, event: object, error: BaseException) -> None:
        """Called when an event failed. An event of a former batch, which the stage retained, is discarded."""
        unit = self._current_unit()
        if unit is not None and unit.fail(event, error):
            return
        self._counts.fail(error)
        if isinstance(event, Message):
            event.acknowledgement.add(1)
            event.acknowledgement.end(Outcome.FAILED)

    def failed_some(self, error: BaseException, count: int) -> None:
        """Called when `count` events failed. When it is not known which events, they are only counted."""
        unit = self._current_unit()
        if unit is None or not unit.fail_some(error, count):
            self._counts.fail(error, count)

    def owned(self, events: Sequence[object]) -> Sequence[object]:
        """Return events that a callback emits beside its return value, so that the running unit waits for them."""
        unit = self._current_unit()
        return events if unit is None else unit.owned(events)

    def retain(self, events: Sequence[object]) -> None:
        """Keep messages beyond the current batch. Plain events are ignored. Raises `CannotRetain`."""

    def release(self, events: Sequence[object]) -> None:
        """Release messages when the outputs of the running callback are counted."""

    def outputs_claimed(self) -> None:
        """Called when the outputs of a callback other than `handle_events` are counted."""

    def requeue(self, *, has_current_batch: bool) -> list[object]:
        """Forget the retained messages, and return them, without messages of the batch in flight."""
        return []

    def is_current(self) -> bool:
        """Return whether the current task is one in which units run side by side."""
        return False

    def fill(self) -> None:
        """Start units for events that have arrived meanwhile, as far as there is room."""

    def resize(self, limit: int) -> None:
        """Change how many units run at a time."""

    def close(self) -> Awaitable[None] | None:
        """End the threads and OS processes."""
        return None


class SerialProcessing(Processing):
    """Runs one unit after another, and acknowledges its messages.

    A crash acknowledges nothing: the events are then still in flight.
    """

    def __init__(self, counts: StageCounts, policy: FailurePolicy, unit: Unit) -> None:
        """`unit` takes every batch, one after another."""
        super().__init__(counts)
        self._rules = FailureRules(counts, policy)
        self._unit = unit
        self._retained = Retained()

    @override
    def around(self, handle_events: EventHandler) -> EventHandler:
        return self.handle

    def handle(self, events: list[object]) -> object:
        """Handle a batch; return the outputs (None for a consumer), or an awaitable of them."""
        unit = self._unit
        unit.start(as_messages(events) if unit.handler.is_acknowledged else events)
        if len(events) == 1 and self._rules.is_poison(unit):
            return self._ended(unit)
        positions = range(len(events))
        returned = self._rules.begin(unit, positions)
        if returned is not None:
            return PendingResult(returned, self._ended_later(unit, positions, returned))
        return self._ended(unit) if unit.failures else self._finish(unit)

    async def _ended_later(self, unit: Unit, positions: Sequence[int], returned: Awaitable[object]) -> object:
        await self._rules.wait(unit, positions, returned)
        ended = self._ended(unit) if unit.failures else self._finish(unit)
        return await ended if inspect.isawaitable(ended) else ended

    def _ended(self, unit: Unit) -> object:
        """Return the outputs when failed events are discarded at once, else an awaitable of them."""
        if not self._rules.is_plain:
            return self._mended(unit)
        self._rules.discard(unit)
        return self._finish(unit)

    async def _mended(self, unit: Unit) -> object:
        await self._rules.mend(unit)
        return self._finish(unit)

    def _finish(self, unit: Unit) -> list[object] | None:
        outputs = unit.finish()
        self._retained.outputs_claimed()
        return outputs if unit.handler.emits else None

    @override
    def _current_unit(self) -> Unit | None:
        return self._unit

    @override
    def retain(self, events: Sequence[object]) -> None:
        if self._unit.has_data_alone:
            raise CannotRetain(self._counts.stage, has_data_alone=True)
        self._retained.retain(events)

    @override
    def release(self, events: Sequence[object]) -> None:
        self._retained.release(events)

    @override
    def outputs_claimed(self) -> None:
        self._retained.outputs_claimed()

    @override
    def requeue(self, *, has_current_batch: bool) -> list[object]:
        return self._retained.requeue(self._unit.events if has_current_batch else [])


class ProcessingOwner(OffloadOwner, Protocol):
    """The process of a stage that handles events: it hands out batches, and takes the outputs."""

    counts: StageCounts

    @property
    def is_acknowledged(self) -> bool:
        """Whether the stage receives messages."""

    def more(self) -> list[object] | None:
        """Take one more batch, and return it; None when there is none now, or something else is due."""

    def started_from(self) -> Subscription:
        """Return the subscription of the batch that was taken last, or that is being taken."""

    def over(self, positions: Sequence[int], outputs: list[object], seconds: float) -> None:
        """Emit outputs, and account for the events at `positions`. The last unit took `seconds`."""

    def measured(self, begin: Callable[[], Coroutine[object, object, None]]) -> Coroutine[object, object, None]:
        """Return a coroutine for a new task, whose steps count as work of the stage."""

    def clock(self) -> float:
        """Return the time in seconds."""


_TASK: Final[ContextVar["asyncio.Task[object] | None"]] = ContextVar("task", default=None)
"""The task that runs units beside others. It differs from the current task in tasks that a callback starts."""


class Interrupted(Exception):
    """Carries a KeyboardInterrupt or SystemExit out of a task: asyncio would raise it out of the event loop."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


class ConcurrentProcessing(Processing):
    """Runs up to `Concurrency.limit` units at a time, in tasks, and takes more batches while there is room.

    It emits outputs in the order of the events, or as soon as a unit is over. A crash of one unit ends the others:
    their events are then still in flight. Events that are delivered again after a crash run alone, so that the next
    crash hits no others.
    """

    is_concurrent: ClassVar[bool] = True

    def __init__(self, owner: ProcessingOwner, handler: Handler, make: Callable[[Handler], Unit]) -> None:
        """`make` is a class of units: `BatchUnit`, or one for single events."""
        super().__init__(owner.counts)
        self._rules = FailureRules(owner.counts, owner.failure)
        self._owner = owner
        self._handler = handler
        self._make = make
        self._waiting: deque[Unit] = deque()
        self._in_order: deque[Unit] = deque()
        """The units whose outputs are not emitted yet, in order; empty when the order need not be kept."""
        self._next_position = 0
        self._running = 0
        self._is_alone = False
        self._group: asyncio.TaskGroup | None = None
        self._task: asyncio.Task[object] | None = None
        self._cancelled: asyncio.CancelledError | None = None
        self._has_crashed = False

    @override
    def around(self, handle_events: EventHandler) -> EventHandler:
        return self.handle

    def handle(self, events: list[object]) -> object:
        """Return a coroutine that handles a batch, and all that arrive meanwhile, and emits their outputs."""
        self._cancelled = None
        self._is_alone = False
        self._waiting.clear()
        self._in_order.clear()
        self._next_position = 0
        self._take(events)
        return self._run()

    def _take(self, events: list[object]) -> None:
        """Make units of a batch. Its events get the next positions in flight."""
        source, is_ordered = self._owner.started_from(), self._owner.concurrency.is_ordered
        if self._handler.is_acknowledged:
            events = as_messages(events)
        for part in [list(events)] if self._make is BatchUnit else [[event] for event in events]:
            unit = self._make(self._handler)
            unit.start(part)
            unit.source = source
            first, self._next_position = self._next_position, self._next_position + len(part)
            unit.in_flight_positions = range(first, self._next_position)
            self._waiting.append(unit)
            if is_ordered:
                self._in_order.append(unit)

    async def _run(self) -> list[object] | None:
        self._task = asyncio.current_task()
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self._start_units(group)
        except BaseExceptionGroup as errors:
            for error in errors.exceptions:
                if isinstance(error, Interrupted):
                    raise error.error from None
            raise errors.exceptions[0] from None
        finally:
            self._group = None
        if self._cancelled is not None:
            raise self._cancelled
        return [] if self._handler.emits else None

    @override
    def fill(self) -> None:
        if self._group is not None and self._running:
            self._start_units(self._group)

    def _start_units(self, group: asyncio.TaskGroup) -> None:
        while self._running < self._owner.concurrency.limit:
            units = self._next(self._running)
            if not units:
                return
            self._running += 1
            group.create_task(self._owner.measured(partial(self._guarded, units)))

    def _next(self, others: int) -> list[Unit]:
        """Return the units to run next, beside `others` units; more than one for a common call of an OS process.

        Empty when nothing can start now. A unit that is delivered again after a crash waits until it can run alone.
        """
        if self._is_alone or self._is_stopping():
            return []
        if not self._waiting:
            events = self._owner.more()
            if events is None:
                return []
            self._take(events)
        if self._waiting[0].is_redelivered:
            self._is_alone = not others
            return [] if others else [self._waiting.popleft()]
        offload = self._handler.offload
        if offload is None:
            return [self._waiting.popleft()]
        count = offload.events_per_call(len(self._waiting))
        first = takewhile(lambda unit: not unit.is_redelivered, islice(self._waiting, count))
        return [self._waiting.popleft() for _ in list(first)]

    def _is_stopping(self) -> bool:
        """Return whether a unit has crashed, or all are cancelled: a unit that starts now would be lost."""
        is_cancelled = self._cancelled is not None or (self._task is not None and self._task.cancelling() > 0)
        return is_cancelled or self._has_crashed

    async def _guarded(self, units: list[Unit]) -> None:
        _TASK.set(asyncio.current_task())
        try:
            await self._run_units(units)
        except asyncio.CancelledError as error:
            self._cancelled = error
            raise
        except BaseException as error:
            self._has_crashed = True
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise Interrupted(error) from error
            raise
        finally:
            self._running -= 1
        if self._group is not None:
            self._start_units(self._group)

    async def _run_units(self, units: list[Unit]) -> None:
        """Run units, then the next ones, as long as there are any."""
        offload = self._handler.offload
        while units:
            since = self._owner.clock()
            if len(units) == 1 or offload is None:
                await self._run_unit(units[0])
            else:
                await self._run_together(offload, units)
            self._complete(units, self._owner.clock() - since)
            was_alone, self._is_alone = self._is_alone, False
            units = [] if self._running > self._owner.concurrency.limit else self._next(self._running - 1)
            if was_alone and units:
                self.fill()

    async def _run_unit(self, unit: Unit) -> None:
        UNIT.set(unit)
        positions = range(len(unit.events))
        if len(positions) != 1 or not self._rules.is_poison(unit):
            returned = self._rules.begin(unit, positions)
            if returned is not None:
                await self._rules.wait(unit, positions, returned)
        if unit.failures:
            await self._rules.mend(unit)

    async def _run_together(self, offload: Offload, units: Sequence[Unit]) -> None:
        """Run units of one event each by one call of an OS process. Failed events are retried one by one.

        If the OS process dies, or cannot run the call, each unit runs again by itself, so that only the event that
        caused it fails.
        """
        try:
            results = await offload.many([unit.data for unit in cast("Sequence[EventUnit]", units)])
        except ExecutorError:
            self._counts.redelivered += len(units)
            for unit in units:
                await self._run_unit(unit)
            return
        for unit, result in zip(units, results, strict=True):
            if result.error is None:
                unit.take(range(1), result.output)
            else:
                unit.failures[0] = result.error
                UNIT.set(unit)
                await self._rules.mend(unit)

    def _complete(self, units: Sequence[Unit], seconds: float) -> None:
        """Emit the outputs of finished units. In order, a unit waits for all earlier units."""
        for unit in units:
            unit.is_over = True
        if self._owner.concurrency.is_ordered:
            units = []
            while self._in_order and self._in_order[0].is_over:
                units.append(self._in_order.popleft())
        outputs = [output for unit in units for output in unit.finish()]
        self._owner.over([position for unit in units for position in unit.in_flight_positions], outputs, seconds)

    @override
    def _current_unit(self) -> Unit | None:
        unit = UNIT.get()
        return None if unit is None or unit.is_over else unit

    @override
    def retain(self, events: Sequence[object]) -> None:
        raise CannotRetain(self._counts.stage)

    @override
    def is_current(self) -> bool:
        return self._group is not None and _TASK.get() is asyncio.current_task()

    @override
    def resize(self, limit: int) -> None:
        if self._handler.offload is not None:
            self._handler.offload.resize(limit)
        self.fill()

    @override
    def close(self) -> Awaitable[None] | None:
        return None if self._handler.offload is None else self._handler.offload.close()


def processing_of(owner: ProcessingOwner, stage: HandlingStage) -> Processing:
    """Return the processing that the settings and the edges of a stage need."""
    policy, how = owner.failure, owner.concurrency
    handler = Handler(
        stage=owner.name,
        policy=policy,
        handle_events=stage.handle_events,
        handle_each=own_handle_each(stage),
        one_to_one=stage.one_to_one,
        takes_messages=stage.takes_messages,
        is_acknowledged=owner.is_acknowledged,
        emits=isinstance(stage, ProducerConsumer),
        offload=None if how.mode == "inline" else Offload(stage, owner),
    )
    if not how.is_plain:
        make = BatchUnit if not stage.per_event else EventUnit if how.mode == "inline" else OffloadedUnit
        return ConcurrentProcessing(owner, handler, make)
    if not owner.is_acknowledged and policy.is_plain:
        return Processing(owner.counts)
    return SerialProcessing(owner.counts, policy, EachUnit(handler) if stage.per_event else BatchUnit(handler))
