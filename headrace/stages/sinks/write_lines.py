"""Writes events as lines at the end of a file."""

from collections.abc import Awaitable
from functools import partial
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from headrace.pipeline.stage.consumer import Consumer
from headrace.stages.application import apply_each
from headrace.stages.side_thread import SideThread
from headrace.stages.sinks.line_encoder import LINE_ENCODERS, EncodeName
from headrace.stages.sinks.output_file import OutputFile


class WriteLinesOptions(BaseModel):
    """Where to write, and what."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(min_length=1, description="The file to append to, made if need be; - for standard output.")
    encode: EncodeName = Field(default="json", description="What a line holds: the event as JSON, or as its text.")


class WriteLines(Consumer[object]):
    """Writes a line for each event; a batch is handled once the operating system has it, and not before.

    Writing happens in a thread. An event that cannot be a line fails alone; a file that takes nothing more is a crash.
    """

    Options: ClassVar[type[BaseModel]] = WriteLinesOptions
    per_event: ClassVar[bool] = True
    one_to_one: ClassVar[bool] = True

    def __init__(self, options: WriteLinesOptions) -> None:
        self._file = OutputFile(options.path)
        self._encode = LINE_ENCODERS[options.encode]
        self._thread: SideThread

    async def init(self) -> None:
        """Open the file; raises `CannotOpen`."""
        self._thread = SideThread(self.name)
        self._thread.start()
        await self._thread.call(self._file.open)

    def handle_events(self, events: list[object]) -> Awaitable[None] | None:
        """Write the events; raises `CannotWrite`."""
        data = self._lines(events)
        return self._thread.call(partial(self._file.write, data)) if data else None

    def terminate(self, reason: object) -> None:
        """Close the file, behind all that was to be written."""
        self._thread.close(self._file.close)

    def _lines(self, events: list[object]) -> bytes:
        lines = apply_each(self._encode, events, self.fail_at)
        return b"".join(lines)
