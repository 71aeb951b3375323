"""Emits what a source's buffer on disk holds, and takes it out once it is through."""

import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Final

from headrace.pipeline.message import Acknowledgement, Message, Outcome
from headrace.pipeline.stage.producer import Producer
from headrace.stages.edges.event_log import Entry, EventLog
from headrace.telemetry.counts import Family, FamilySpec

READ_EVENTS: Final = 500
"""Read by one statement; fewer, where fewer are there."""


EVENTS: Final = FamilySpec("gauge", "headrace_disk_buffer_events", "Events in a source's buffer on disk.")
BYTES: Final = FamilySpec("gauge", "headrace_disk_buffer_bytes", "What the events take in a source's buffer on disk.")
REFUSED: Final = FamilySpec(
    "counter",
    "headrace_disk_buffer_write_failures_total",
    "Writes to a source's buffer that a full disk refused; each is tried again.",
)


class ReadEvents(Producer[Message[object]]):
    """Emits events in the order in which they came in. One that fails stays in the file, and comes again next run."""

    emits_messages = True

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._is_open = False
        self._gauges: list[Family] = []

    async def init(self) -> None:
        """Open the file. Raises what `EventLog.open` raises."""
        await self._log.open()
        self._is_open = True
        self._log.changed = self._measure
        self._gauges = [self.metrics.declare(EVENTS), self.metrics.declare(BYTES)]
        self._log.disk.counted = partial(self.metrics.declare(REFUSED).add, ())
        self._measure()

    def _measure(self) -> None:
        for gauge, held in zip(self._gauges, (self._log.events, self._log.size_bytes), strict=True):
            gauge.set((), held)

    def handle_demand(self, demand: int) -> AsyncIterator[Message[object]]:
        """Return all that is there and that comes, to be pulled as it is asked for."""
        return self._events()

    async def _events(self) -> AsyncIterator[Message[object]]:
        while True:
            entries = await self._log.take(READ_EVENTS)
            for entry in entries:
                yield self._message(entry)
            if not entries:
                if self._log.is_complete:
                    self.complete()
                    return
                await self._log.arrived.wait()

    def _message(self, entry: Entry) -> Message[object]:
        self._log.hold()
        return Message(json.loads(entry.event), acknowledgement=Acknowledgement(partial(self._told, entry.id)))

    def _told(self, number: int, outcome: Outcome) -> None:
        if outcome is not Outcome.FAILED:
            self._log.done(number)
        self._log.let_go()

    async def terminate(self, reason: object) -> None:
        """Let go of the file, unless it could not be opened; what is under way still holds it."""
        if self._is_open:
            await self._log.release()
