"""`WriteEdge` and `ReadEdge`: the two stages around any edge."""

import json
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Final

from typing_extensions import override

from headrace.errors import BufferOverflow
from headrace.pipeline.message import Acknowledgement, Message, Outcome
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.settings import text_size
from headrace.stages.edges.edge import NotKeepable, WhenFull
from headrace.stages.edges.sqlite_log import EventLog, LogEntry
from headrace.stages.functions import data_of
from headrace.values import to_json


class WriteEdge(Consumer[object]):
    """Writes each batch in as few transactions as the room allows; an event is done once it is on the disk.

    An event that is no JSON fails alone. On a full disk the stage waits until it stops, for every `when_full`. A file
    that cannot be written for another reason crashes the stage.
    """

    takes_messages = True
    known_discards = ("overflow",)

    def __init__(self, log: EventLog, when_full: WhenFull) -> None:
        self._log = log
        self._when_full = when_full
        self._is_open = False

    @override
    async def init(self) -> None:
        await self._log.open()
        self._is_open = True

    @override
    async def handle_events(self, events: list[object]) -> None:
        kept: list[object] = []
        texts: list[str] = []
        for event in events:
            try:
                texts.append(to_json(data_of(event)))
            except (TypeError, ValueError, RecursionError) as error:
                self.fail_event(event, NotKeepable(str(error)))
            else:
                kept.append(event)
        await self._keep(kept, texts)

    async def _keep(self, events: Sequence[object], texts: Sequence[str]) -> None:
        at = 0
        while at < len(texts):
            sizes = [text_size(text) for text in texts[at:]]
            room = self._log.room(sizes)
            if room:
                at += await self._log.append(texts[at : at + room])
            elif self._when_full == "block":
                self._log.room_made.clear()
                await self._log.room_made.wait()
            elif self._when_full == "drop_oldest" and (dropped := await self._log.drop_oldest(sizes[:1])):
                self.discard(dropped, "overflow")
            else:
                self._refuse(events[at:])
                return

    def _refuse(self, events: Sequence[object]) -> None:
        if self._when_full == "error":
            for event in events:
                self.fail_event(event, BufferOverflow(self.name))
            return
        self.discard(len(events), "overflow")
        for event in events:
            if isinstance(event, Message):
                event.acknowledgement.add(1)
                event.acknowledgement.end(Outcome.FAILED)

    @override
    def handle_complete(self) -> None:
        self._log.is_complete = True
        self._log.arrived.set()

    @override
    async def terminate(self, reason: object) -> None:
        if self._is_open:
            await self._log.release()


READ_EVENTS: Final = 500
"""The most events read by one statement."""


class ReadEdge(Producer[Message[object]]):
    """Emits the events of the log in order. A failed event stays in the file, and is emitted again by the next run."""

    emits_messages = True

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._is_open = False

    @override
    async def init(self) -> None:
        await self._log.open()
        self._is_open = True
        self._log.export(self.metrics)

    @override
    def handle_demand(self, demand: int) -> AsyncIterator[Message[object]]:
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

    def _message(self, entry: LogEntry) -> Message[object]:
        self._log.retain()
        return Message(json.loads(entry.event), acknowledgement=Acknowledgement(partial(self._acknowledged, entry.id)))

    def _acknowledged(self, number: int, outcome: Outcome) -> None:
        if outcome is not Outcome.FAILED:
            self._log.done(number)
        self._log.release_reference()

    @override
    async def terminate(self, reason: object) -> None:
        if self._is_open:
            await self._log.release()
