"""Handles several events at a time, in tasks, threads or OS processes, and emits outputs while others go on."""

import asyncio
from collections import deque
from collections.abc import Sequence
from functools import partial
from itertools import islice, takewhile

from typing_extensions import override

from headrace.errors import BadReturn, PoisonEvent
from headrace.executors.errors import ExecutorError
from headrace.pipeline.engine.failed_units import dead_letter, failed_unit
from headrace.pipeline.engine.in_flight import SOURCE, UNIT, InFlight, InFlightEvent, InFlightOwner
from headrace.pipeline.engine.offload import Offload
from headrace.pipeline.failure import FailurePolicy, retry_after
from headrace.pipeline.flow.counts import StageCounts
from headrace.pipeline.message import Message, as_messages
from headrace.pipeline.stage.stage import as_list, check_nothing


class ConcurrentHandler(InFlight):
    """Has at most `limit` events of a stage in flight, each retried, dead-lettered and acknowledged on its own.

    Meanwhile it takes more as there is room. It emits outputs in the order of the events, unless `is_ordered` is
    false: then as they come. A crash of one ends the others: they are still in flight. Events that are delivered again
    after a crash are handled alone, so that the next crash hits no other.
    """

    def __init__(self, owner: InFlightOwner, counts: StageCounts, failure: FailurePolicy, work: Offload) -> None:
        super().__init__(owner, counts, emits=work.emits)
        self._failure = failure
        self._work = work
        self._waiting: deque[InFlightEvent] = deque()
        self._units: deque[InFlightEvent] = deque()
        self._next_position = 0

    @override
    def begin(self, events: list[object]) -> None:
        self._waiting.clear()
        self._units.clear()
        self._next_position = 0
        self._take(events)

    @override
    def fill(self, group: asyncio.TaskGroup) -> None:
        while self._running < self._work.limit:
            units = self._next(self._running)
            if not units:
                return
            self.start(group, partial(self._handle, units))

    def _next(self, others: int) -> list[InFlightEvent]:
        """Return the events to handle next while `others` are: one, or several for one call; none for now.

        An event that was delivered again after a crash waits until no other is in flight, and is handled alone.
        """
        if self._is_alone or self.is_stopping():
            return []
        if not self._waiting:
            events = self._owner.more()
            if events is None:
                return []
            self._take(events)
        if self._waiting[0].is_again:
            self._is_alone = not others
            return [] if others else [self._waiting.popleft()]
        count = self._work.events_per_call(len(self._waiting), self._failure.timeout_seconds)
        first = takewhile(lambda unit: not unit.is_again, islice(self._waiting, count))
        return [self._waiting.popleft() for _ in list(first)]

    def _take(self, events: list[object]) -> None:
        source = self._owner.started_from()
        for event in as_messages(events) if self._owner.is_acknowledged else events:
            unit = InFlightEvent(source, self._next_position, event)
            self._next_position += 1
            self._waiting.append(unit)
            self._units.append(unit)

    async def _handle(self, units: list[InFlightEvent]) -> None:
        """Handle the next events, again and again, as long as there are any."""
        while units:
            since = self._owner.clock()
            if len(units) == 1:
                await self._handle_unit(units[0])
            else:
                await self._handle_units(units)
            self._finish_units(units, self._owner.clock() - since)
            was_alone, self._is_alone = self._is_alone, False
            units = [] if self._running > self._work.limit else self._next(self._running - 1)
            if was_alone and units:
                self.fill_up()

    def _finish_units(self, units: Sequence[InFlightEvent], seconds: float) -> None:
        for unit in units:
            unit.is_over = True
        finished = list(units)
        if self._work.is_ordered:
            finished = []
            while self._units and self._units[0].is_over:
                finished.append(self._units.popleft())
        outputs = [output for one in finished for output in one.finish_unit()]
        self._owner.over([one.position for one in finished], outputs, seconds)

    async def _handle_unit(self, unit: InFlightEvent) -> None:
        """Try an event until it succeeds or has failed for good."""
        UNIT.set(unit)
        SOURCE.set(unit.source)
        error = self._poison(unit.event) or await self._try(unit)
        if error is not None:
            await self._mend(unit, error)

    async def _handle_units(self, units: Sequence[InFlightEvent]) -> None:
        """Try several events by one call; each that fails is retried by itself.

        Where the OS process dies, or cannot do it, each is tried by itself: so only the one that causes it fails.
        """
        try:
            made = await self._work.many([unit.data for unit in units])
        except ExecutorError:
            self._counts.redelivered += len(units)
            for unit in units:
                await self._handle_unit(unit)
            return
        for unit, one in zip(units, made, strict=True):
            failed = self._poison(unit.event) or one.error
            if failed is None:
                unit.outputs = self._outputs(one.output)
            else:
                await self._mend(unit, failed)

    async def _mend(self, unit: InFlightEvent, error: BaseException) -> None:
        """Retry an event that failed once, until it succeeds or has failed for good."""
        UNIT.set(unit)
        SOURCE.set(unit.source)
        retry, attempt = self._failure.retry, 1
        failed: BaseException | None = error
        while failed is not None and retry is not None and retry.is_wanted(failed, attempt) and not _is_final(failed):
            self._counts.try_again([failed])
            await asyncio.sleep(retry.seconds(attempt, self._failure.jitter(), retry_after(failed)))
            attempt += 1
            failed = await self._try(unit)
        if failed is not None:
            one = failed_unit(self._counts.stage, unit.event, failed, attempt)
            unit.outcome = await dead_letter([one], self._failure, self._counts)

    async def _try(self, unit: InFlightEvent) -> BaseException | None:
        """Handle an event once; return its error, if it failed."""
        try:
            unit.outputs = self._outputs(await self._work(unit.data, self._failure.timeout_seconds))
        except Exception as error:
            is_crash = self._failure.is_plain and not self._work.fails_alone
            if is_crash or isinstance(error, BadReturn):
                raise
            unit.take_error()
            return error
        failed = unit.take_error()
        if failed is not None:
            unit.outputs = ()
        return failed

    def _outputs(self, returned: object) -> Sequence[object]:
        if not self._work.emits:
            check_nothing(self._counts.stage, returned)
            return ()
        return as_list(self._counts.stage, "handle_events", returned)

    def _poison(self, event: object) -> BaseException | None:
        most = self._failure.max_deliveries
        is_poison = isinstance(event, Message) and event.attempt > most
        return PoisonEvent(self._counts.stage, most) if is_poison else None

    @override
    def failed_at(self, position: int, error: BaseException) -> None:
        UNIT.get().error = error

    @override
    def failed(self, event: object, error: BaseException) -> None:
        UNIT.get().error = error

    @override
    def failed_some(self, error: BaseException, count: int) -> None:
        if count == 1:
            UNIT.get().error = error
        else:
            super().failed_some(error, count)


def _is_final(error: BaseException) -> bool:
    return isinstance(error, PoisonEvent)
