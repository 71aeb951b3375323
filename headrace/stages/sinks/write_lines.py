"""Appends events as lines to a file."""

import math
import time
from collections.abc import Awaitable
from contextlib import suppress
from functools import partial
from typing import Annotated

from pydantic import BaseModel, Field, PlainValidator, model_validator
from typing_extensions import override

from headrace.pipeline.stage.consumer import Consumer
from headrace.stages.errors import CannotWrite
from headrace.stages.files.output_file import (
    LINE_ENCODERS,
    STANDARD_OUTPUT,
    EncodeName,
    OutputFile,
    RotatingFile,
    Rotation,
    WriterThread,
)
from headrace.stages.functions import apply_to_events
from headrace.stages.options import CountField, DurationField, Options, PathField, SizeField, StageType, refused
from headrace.units import UnitError, parse_duration


def _sync(value: object) -> float | None:
    """Return seconds: 0 for each batch, None for never."""
    if value in (None, "never"):
        return None
    if value == "batch":
        return 0.0
    try:
        return parse_duration(value)
    except UnitError as error:
        failure = refused("bad_value", error.why, hint="write never, batch, or a time such as 1s", is_predicate=True)
    raise failure


class RotateOptions(Options):
    """When to rotate: the file becomes `path.1`, and a new one is begun."""

    size: Annotated[SizeField, Field(ge=1)] | None = Field(
        default=None, description="The size at which it is rotated, as in 100MiB; checked before each batch."
    )
    every: Annotated[DurationField, Field(gt=0)] | None = Field(
        default=None, description="The period after which it is rotated, as in 1d: at midnight, UTC."
    )
    keep: Annotated[CountField, Field(ge=0)] = Field(default=7, description="How many rotated files are kept.")

    @model_validator(mode="after")
    def _has_one(self) -> "RotateOptions":
        if self.size is None and self.every is None:
            raise refused("bad_value", "say when: by `size`, or `every` so often, or both")
        return self

    def rotation(self) -> Rotation:
        """Return the rotation of the file."""
        return Rotation(self.size, self.every, self.keep)


class WriteLinesOptions(Options):
    """Which file to write, and in which format."""

    path: PathField = Field(description="The file to append to, created if missing; - for standard output.")
    encode: EncodeName = Field(default="json", description="The format of a line: the event as JSON, or as text.")
    rotate: RotateOptions | None = Field(
        default=None, description="When to rotate the file, as in {size: 100MiB, keep: 7}."
    )
    fsync: Annotated[float | None, PlainValidator(_sync, json_schema_input_type=str)] = Field(
        default=None,
        description="When to flush to the disk: never, with each batch, or at an interval, as in 1s.",
    )

    @model_validator(mode="after")
    def _rotates_a_file(self) -> "WriteLinesOptions":
        if self.rotate is not None and self.path == STANDARD_OUTPUT:
            raise refused("bad_value", "standard output cannot be rotated: name a file in `path`", path=["rotate"])
        return self


class WriteLines(Consumer[object], StageType):
    """Writes a line for each event; a batch is handled once the operating system has it.

    With `fsync: batch` it is handled once the disk has it. Writing happens in a thread. An event that cannot be a line
    fails alone; a file that cannot be written crashes the stage.
    """

    Options = WriteLinesOptions
    per_event = True
    one_to_one = True

    def __init__(self, options: WriteLinesOptions) -> None:
        rotate = options.rotate
        self._file = OutputFile(options.path) if rotate is None else RotatingFile(options.path, rotate.rotation())
        self._sync_seconds = options.fsync
        self._synced_at = -math.inf
        self._encode = LINE_ENCODERS[options.encode]
        self._thread: WriterThread

    @override
    async def init(self) -> None:
        self._thread = WriterThread(self.name, self.connection("file"))
        self._thread.start()
        await self._thread.call(self._file.open)

    @staticmethod
    @override
    def writes_to_stdout(options: BaseModel) -> bool:
        return isinstance(options, WriteLinesOptions) and options.path == STANDARD_OUTPUT

    @override
    def handle_events(self, events: list[object]) -> Awaitable[None] | None:
        data = self._lines(events)
        return self._thread.write(partial(self._write, data)) if data else None

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        if self._sync_seconds is not None and time.monotonic() - self._synced_at >= self._sync_seconds:
            self._file.sync()
            self._synced_at = time.monotonic()

    @override
    def terminate(self, reason: object) -> None:
        self._thread.close(self._end)

    def _end(self) -> None:
        with suppress(CannotWrite):
            if self._sync_seconds is not None:
                self._file.sync()
        self._file.close()

    def _lines(self, events: list[object]) -> bytes:
        lines = apply_to_events(self._encode, events, self.fail_at)
        return b"".join(lines)
