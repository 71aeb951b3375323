"""Undelivered events: stores plain events that a crash or the end of the run left in a stage."""

import asyncio
from collections.abc import Callable, Sequence
from contextvars import copy_context
from functools import partial

from headrace.errors import EventUndelivered, message_of
from headrace.otp.scheduler import Scheduler
from headrace.pipeline.dispatchers.partition import bare
from headrace.pipeline.failure import DeadLetterHandler, FailedEvent
from headrace.pipeline.flow.counts import StageCounts, UndeliveredHandler
from headrace.pipeline.message import Message
from headrace.telemetry.events import LOG


class UndeliveredEvents:
    """Stores undelivered plain events as dead letters. Sources of messages learn of theirs, and send them again."""

    def __init__(self, dead_letter_handler: DeadLetterHandler, scheduler: Scheduler) -> None:
        self._dead_letter_handler = dead_letter_handler
        self._scheduler = scheduler
        self._events: list[tuple[StageCounts, FailedEvent, bool]] = []
        self.kept_events = 0
        self._task: asyncio.Task[None] | None = None

    def of(self, counts: StageCounts) -> UndeliveredHandler:
        """Return the handler for events that a stage had received."""
        return partial(self._keep, counts, lambda _: [counts.stage])

    def of_outputs(self, counts: StageCounts, consumers: Callable[[object], list[str]]) -> UndeliveredHandler:
        """Return the handler for events that a stage had emitted; they are stored for their intended `consumers`."""
        return partial(self._keep, counts, consumers)

    def _keep(
        self, counts: StageCounts, consumers: Callable[[object], list[str]], events: Sequence[object], reason: str
    ) -> None:
        error = EventUndelivered(counts.stage, reason)
        for event in events:
            if not isinstance(event, Message):
                self._events += [
                    (counts, FailedEvent(consumer, bare(event), error, 1, {}), position == 0)
                    for position, consumer in enumerate(consumers(event))
                ]
        if self._events and self._task is None:
            self._task = self._scheduler.start_task(self._write(), copy_context(), "left-over events")

    async def _write(self) -> None:
        while self._events:
            events, self._events = self._events, []
            try:
                await self._dead_letter_handler([failed for _, failed, _ in events])
            except Exception as error:  # noqa: BLE001 - whatever the store raises, they are counted as lost
                LOG.error("%d left-over events could not be set aside: %s", len(events), message_of(error))
            else:
                for counts, _, is_first in events:
                    counts.dead_lettered += 1
                    self.kept_events += is_first  # several consumers of one event have a dead letter each
        self._task = None

    async def written(self) -> None:
        """Wait until all undelivered events are stored, or counted as lost."""
        while self._task is not None:
            await asyncio.wait({self._task})
