"""Handles several batches at a time, each as a whole, and emits the outputs of one while others go on."""

import asyncio
import inspect
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from typing_extensions import override

from headrace.pipeline.engine.batch_handler import BatchHandler
from headrace.pipeline.engine.in_flight import SOURCE, InFlight, InFlightOwner
from headrace.pipeline.flow.counts import StageCounts
from headrace.pipeline.flow.subscription import Subscription
from headrace.pipeline.message import Message, Outcome
from headrace.pipeline.stage.settings import Concurrency


class BatchOwner(InFlightOwner, Protocol):
    """The process of a handler of batches."""

    @property
    def concurrency(self) -> Concurrency:
        """How many batches are to be under way, and whether their outputs keep the order."""


class InFlightBatch(BatchHandler):
    """One batch that is handled while others are: its events end when it is finished, so a crash before has all."""

    _outcomes: Mapping[int, Outcome] = {}

    @override
    def finish(self, outcomes: Mapping[int, Outcome]) -> list[object]:
        self._outcomes = outcomes
        return []

    def finish_unit(self) -> list[object]:
        """Claim the outputs, end the events, and return the outputs."""
        return super().finish(self._outcomes)


@dataclass(slots=True, eq=False)
class _Unit:
    source: Subscription
    positions: range
    batch: InFlightBatch
    is_over: bool = False


_BATCH: Final[ContextVar[InFlightBatch | None]] = ContextVar("batch", default=None)
"""The batch whose callback runs, in a task of its own."""


class ConcurrentBatches(InFlight):
    """Runs several batches of a stage at once, each retried and acknowledged on its own.

    Meanwhile it takes more as there is room. It emits outputs in the order of the batches, unless that need not be
    kept: then as they come. A crash of one ends the others: they are still in flight. Events that are delivered again
    after a crash are handled alone, so that the next crash hits no other.
    """

    def __init__(
        self, owner: BatchOwner, counts: StageCounts, make: Callable[[], InFlightBatch], *, emits: bool
    ) -> None:
        """`make` makes the handler of one batch."""
        super().__init__(owner, counts, emits=emits)
        self._owner: BatchOwner = owner
        self._make = make
        self._waiting: deque[tuple[Subscription, list[object]]] = deque()
        self._units: deque[_Unit] = deque()
        self._next_position = 0

    @override
    def begin(self, events: list[object]) -> None:
        self._waiting = deque([(self._owner.started_from(), list(events))])
        self._units.clear()
        self._next_position = 0

    @override
    def fill(self, group: asyncio.TaskGroup) -> None:
        while self._running < self._owner.concurrency.limit:
            taken = self._next()
            if taken is None:
                return
            source, events = taken
            unit = _Unit(source, range(self._next_position, self._next_position + len(events)), self._make())
            self._next_position += len(events)
            self._units.append(unit)
            self.start(group, partial(self._handle, unit, events))

    def _next(self) -> tuple[Subscription, list[object]] | None:
        """Return the next batch to begin, with its subscription; None for none now.

        A batch that was delivered again after a crash is handled alone.
        """
        if self._is_alone or self.is_stopping():
            return None
        if not self._waiting:
            more = self._owner.more()
            if more is None:
                return None
            self._waiting.append((self._owner.started_from(), more))
        _, events = self._waiting[0]
        first = events[0] if events else None
        if isinstance(first, Message) and first.attempt > 1:
            if self._running:
                return None
            self._is_alone = True
        return self._waiting.popleft()

    async def _handle(self, unit: _Unit, events: list[object]) -> None:
        _BATCH.set(unit.batch)
        SOURCE.set(unit.source)
        since = self._owner.clock()
        returned = unit.batch(events)
        if inspect.isawaitable(returned):
            await returned
        self._is_alone = False
        self._finish_units(unit, self._owner.clock() - since)

    def _finish_units(self, unit: _Unit, seconds: float) -> None:
        unit.is_over = True
        finished = [unit]
        if self._owner.concurrency.is_ordered:
            finished = []
            while self._units and self._units[0].is_over:
                finished.append(self._units.popleft())
        else:
            self._units.remove(unit)
        outputs = [output for one in finished for output in one.batch.finish_unit()]
        self._owner.over([position for one in finished for position in one.positions], outputs, seconds)

    @override
    def failed_at(self, position: int, error: BaseException) -> None:
        batch = _BATCH.get()
        if batch is None:
            self._counts.fail(error)
        else:
            batch.failed_at(position, error)

    @override
    def failed(self, event: object, error: BaseException) -> None:
        batch = _BATCH.get()
        if batch is None:
            self._counts.fail(error)
        else:
            batch.failed(event, error)

    @override
    def owned(self, events: Sequence[object]) -> Sequence[object]:
        batch = _BATCH.get()
        return events if batch is None else batch.owned(events)
