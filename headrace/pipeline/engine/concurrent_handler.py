"""Handles several events at a time, in tasks, threads or OS processes, and emits what is over while others go on."""

import asyncio
from collections import deque
from collections.abc import Sequence
from functools import partial
from itertools import islice, takewhile

from headrace.errors import BadReturn, PoisonEvent
from headrace.executors.errors import ExecutorError
from headrace.pipeline.engine.giving_up import give_up, given_up
from headrace.pipeline.engine.in_flight import FLIGHT, SOURCE, InFlight, InFlightEvent, InFlightOwner
from headrace.pipeline.engine.offload import Offload
from headrace.pipeline.failure import FailurePolicy, retry_after
from headrace.pipeline.flow.counts import StageCounts
from headrace.pipeline.message import Message, as_messages
from headrace.pipeline.stage.stage import as_list, check_nothing


class ConcurrentHandler(InFlight):
    """Has at most `limit` events of a stage in flight, each retried, given up and settled on its own.

    While some are, more are taken as there is room; what is over is emitted in the order of the events, unless
    `is_ordered` is false: then as it comes. A crash of one takes the others with it: they are in hand still. What is
    delivered again after one is handled alone, so that the next crash hits no other.
    """

    def __init__(self, hand: InFlightOwner, counts: StageCounts, failure: FailurePolicy, work: Offload) -> None:
        super().__init__(hand, counts, emits=work.emits)
        self._failure = failure
        self._work = work
        self._waiting: deque[InFlightEvent] = deque()
        self._flights: deque[InFlightEvent] = deque()
        self._places = 0

    def begin(self, events: list[object]) -> None:
        """Take up the first batch."""
        self._waiting.clear()
        self._flights.clear()
        self._places = 0
        self._take(events)

    def fill(self, group: asyncio.TaskGroup) -> None:
        """Begin what is next, as long as there is room."""
        while self._running < self._work.limit:
            flights = self._next(self._running)
            if not flights:
                return
            self.start(group, partial(self._handle, flights))

    def _next(self, others: int) -> list[InFlightEvent]:
        """Return what is handled next while `others` are: one event, or several by one call; nothing for now.

        What a crash has delivered again waits until no other is handled, and no other is taken beside it.
        """
        if self._is_alone or self.is_ending():
            return []
        if not self._waiting:
            events = self._hand.more()
            if events is None:
                return []
            self._take(events)
        if self._waiting[0].is_again:
            self._is_alone = not others
            return [] if others else [self._waiting.popleft()]
        count = self._work.share(len(self._waiting), self._failure.timeout_seconds)
        first = takewhile(lambda flight: not flight.is_again, islice(self._waiting, count))
        return [self._waiting.popleft() for _ in list(first)]

    def _take(self, events: list[object]) -> None:
        source = self._hand.taken_from()
        for event in as_messages(events) if self._hand.is_acknowledged else events:
            flight = InFlightEvent(source, self._places, event)
            self._places += 1
            self._waiting.append(flight)
            self._flights.append(flight)

    async def _handle(self, flights: list[InFlightEvent]) -> None:
        """Handle what is next, again and again, as long as there is anything."""
        while flights:
            since = self._hand.clock()
            if len(flights) == 1:
                await self._fly(flights[0])
            else:
                await self._fly_together(flights)
            self._land(flights, self._hand.clock() - since)
            was_alone, self._is_alone = self._is_alone, False
            flights = [] if self._running > self._work.limit else self._next(self._running - 1)
            if was_alone and flights:
                self.fill_up()

    def _land(self, flights: Sequence[InFlightEvent], seconds: float) -> None:
        for flight in flights:
            flight.is_over = True
        landed = list(flights)
        if self._work.is_ordered:
            landed = []
            while self._flights and self._flights[0].is_over:
                landed.append(self._flights.popleft())
        outputs = [output for one in landed for output in one.land()]
        self._hand.over([one.place for one in landed], outputs, seconds)

    async def _fly(self, flight: InFlightEvent) -> None:
        """Try an event until it goes through or is given up."""
        FLIGHT.set(flight)
        SOURCE.set(flight.source)
        error = self._poison(flight.event) or await self._try(flight)
        if error is not None:
            await self._mend(flight, error)

    async def _fly_together(self, flights: Sequence[InFlightEvent]) -> None:
        """Try several events by one call; each that fails is mended by itself.

        Where the OS process dies, or cannot do it, each is tried by itself: so the one that is to blame fails alone.
        """
        try:
            made = await self._work.many([flight.data for flight in flights])
        except ExecutorError:
            self._counts.redelivered += len(flights)
            for flight in flights:
                await self._fly(flight)
            return
        for flight, one in zip(flights, made, strict=True):
            failed = self._poison(flight.event) or one.error
            if failed is None:
                flight.outputs = self._outputs(one.output)
            else:
                await self._mend(flight, failed)

    async def _mend(self, flight: InFlightEvent, error: BaseException) -> None:
        """Try an event again that failed once, until it goes through or is given up."""
        FLIGHT.set(flight)
        SOURCE.set(flight.source)
        retry, attempt = self._failure.retry, 1
        failed: BaseException | None = error
        while failed is not None and retry is not None and retry.is_wanted(failed, attempt) and not _is_final(failed):
            self._counts.try_again([failed])
            await asyncio.sleep(retry.seconds(attempt, self._failure.chance(), retry_after(failed)))
            attempt += 1
            failed = await self._try(flight)
        if failed is not None:
            one = given_up(self._counts.stage, flight.event, failed, attempt)
            flight.outcome = await give_up([one], self._failure, self._counts)

    async def _try(self, flight: InFlightEvent) -> BaseException | None:
        """Handle an event once; return what it failed with, if it did."""
        try:
            flight.outputs = self._outputs(await self._work(flight.data, self._failure.timeout_seconds))
        except Exception as error:
            is_crash = self._failure.is_plain and not self._work.fails_alone
            if is_crash or isinstance(error, BadReturn):
                raise
            flight.take_error()
            return error
        failed = flight.take_error()
        if failed is not None:
            flight.outputs = ()
        return failed

    def _outputs(self, returned: object) -> Sequence[object]:
        if not self._work.emits:
            check_nothing(self._counts.stage, returned)
            return ()
        return as_list(self._counts.stage, "handle_events", returned)

    def _poison(self, event: object) -> BaseException | None:
        most = self._failure.most_deliveries
        is_poison = isinstance(event, Message) and event.attempt > most
        return PoisonEvent(self._counts.stage, most) if is_poison else None

    def failed_at(self, position: int, error: BaseException) -> None:
        """Take note that the event whose callback runs failed."""
        FLIGHT.get().error = error

    def failed(self, event: object, error: BaseException) -> None:
        """Take note that the event whose callback runs failed."""
        FLIGHT.get().error = error

    def failed_some(self, error: BaseException, count: int) -> None:
        """Take note that the event whose callback runs failed, or count some."""
        if count == 1:
            FLIGHT.get().error = error
        else:
            super().failed_some(error, count)


def _is_final(error: BaseException) -> bool:
    return isinstance(error, PoisonEvent)
