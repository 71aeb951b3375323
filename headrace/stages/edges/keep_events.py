"""Puts what a source emits into its buffer on disk."""

from collections.abc import Sequence
from typing import ClassVar

from headrace.errors import BufferOverflow
from headrace.event_json import to_json
from headrace.pipeline.message import Message, Outcome
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.settings import text_size
from headrace.stages.edges.bounds import WhenFull
from headrace.stages.edges.errors import NotKeepable
from headrace.stages.edges.event_log import EventLog
from headrace.stages.functions import data_of


class KeepEvents(Consumer[object]):
    """Writes each batch in as few transactions as there is room for; an event is done once the disk has it.

    An event that is no JSON fails alone. A full disk is waited for, whatever `when_full` says, until the stage is
    stopped; a file that cannot be written for another reason is a crash.
    """

    takes_messages: ClassVar[bool] = True
    known_discards: ClassVar[tuple[str, ...]] = ("overflow",)

    def __init__(self, log: EventLog, when_full: WhenFull) -> None:
        self._log = log
        self._when_full = when_full
        self._is_open = False

    async def init(self) -> None:
        """Open the file. Raises what `EventLog.open` raises."""
        await self._log.open()
        self._is_open = True

    async def handle_events(self, events: list[object]) -> None:
        """Keep the events; raises SqliteError."""
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

    def handle_complete(self) -> None:
        """Say that no more will come."""
        self._log.is_complete = True
        self._log.arrived.set()

    async def terminate(self, reason: object) -> None:
        """Let go of the file, unless it could not be opened."""
        if self._is_open:
            await self._log.release()
