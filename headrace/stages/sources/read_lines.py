"""Reads lines of a file, of many files, of standard input, or of a file that still grows."""

import asyncio
from collections.abc import Awaitable
from typing import Annotated, Final, Literal

from pydantic import Field, model_validator
from typing_extensions import override

from headrace.executors.thread_executor import WorkerThread
from headrace.pipeline.stage.producer import Producer
from headrace.stages.errors import BadLine
from headrace.stages.files.chunks import STANDARD_INPUT, ChunkReader, FileChunk, FilesReader, is_pattern
from headrace.stages.files.decoders import ChunkDecoder, Decoded, DecodeName, LineDecoder, line_decoder
from headrace.stages.files.followed_file import PIECE_BYTES, FollowedFile, FollowedProgress
from headrace.stages.options import Options, PathField, SizeField, StageType, refused
from headrace.telemetry.events import LOG

MAX_LINE_BYTES: Final = 1024 * 1024
"""A longer line is more likely a wrong file than an event."""


class ReadLinesOptions(Options):
    """Which files to read, and how to decode their lines."""

    path: PathField = Field(
        description="A file, a pattern such as logs/*.jsonl or logs/**/*.csv, or - for standard input."
    )
    decode: DecodeName = Field(
        default="text", description="The format of a line: text, a JSON value, or a CSV record below a header."
    )
    follow: bool = Field(
        default=False,
        description="Whether to wait for the file, and follow it through rotation and truncation.",
    )
    on_error: Literal["stop", "skip"] = Field(
        default="stop", description="Whether a line that cannot be decoded ends the run, or is skipped and counted."
    )
    max_line_bytes: Annotated[SizeField, Field(ge=1)] = Field(
        default=MAX_LINE_BYTES, description="The size of the longest line that is read, as in 1MiB."
    )

    checkpoint: PathField | None = Field(
        default=None,
        description="A file that stores how far a followed file is done, so that the next run begins there.",
    )

    delimiter: str = Field(
        default=",", min_length=1, max_length=1, description="The separator of CSV fields, as in ; or a tab."
    )
    columns: tuple[str, ...] = Field(default=(), description="The names of the CSV fields, for files without a header.")

    @model_validator(mode="after")
    def _fits_csv(self) -> "ReadLinesOptions":
        for name in ("delimiter", "columns"):
            if name in self.model_fields_set and self.decode != "csv":
                raise refused("bad_value", "it is for CSV: add `decode: csv`", path=[name])
        if self.delimiter in '"\r\n':
            raise refused("bad_value", "quotes and line breaks cannot separate fields", path=["delimiter"])
        if len(set(self.columns)) < len(self.columns):
            raise refused("bad_value", "two columns have one name", path=["columns"])
        return self

    @model_validator(mode="after")
    def _checkpoint_fits(self) -> "ReadLinesOptions":
        if self.checkpoint is not None and not self.follow:
            raise refused("bad_value", "only a file that is followed has one: add `follow: true`", path=["checkpoint"])
        if self.checkpoint is not None and self.decode == "csv":
            why = "it needs lines that stand for themselves, so `decode` must be json or text"
            raise refused("bad_value", why, path=["checkpoint"])
        return self

    @model_validator(mode="after")
    def _follows_one_file(self) -> "ReadLinesOptions":
        if self.follow and (self.path == STANDARD_INPUT or is_pattern(self.path)):
            why = "only one file can be followed: name it in `path`, or leave `follow` out"
            raise refused("bad_value", why, path=["follow"])
        return self


def _decoder_of(options: ReadLinesOptions) -> LineDecoder:
    return line_decoder(options.decode, options.max_line_bytes, options.delimiter, options.columns)


class ReadLines(Producer[object], StageType):
    """Emits the decoded lines in order, and completes at the end of the last file.

    Files are read in a thread, one chunk ahead of the emitted one; pipes are not read ahead. With a `checkpoint` the
    lines of a followed file are messages, and the next run reads no line again whose event is done.
    """

    Options = ReadLinesOptions
    known_discards = ("invalid",)
    known_losses = ("files", "bytes")

    def __init__(self, options: ReadLinesOptions) -> None:
        self._skips = options.on_error == "skip"
        self._has_skipped = False
        self._progress = FollowedProgress(options.checkpoint, lambda: self.name) if options.checkpoint else None
        self.emits_messages = self._progress is not None
        self._reader = self._reader_of(options)
        self._decoder = ChunkDecoder(_decoder_of(options), options.max_line_bytes)
        self._thread: WorkerThread
        self._ahead: asyncio.Future[FileChunk | None] | None = None
        self._events: list[object] = []
        self._taken = 0
        self._is_lasting = True
        self._bad_line: BadLine | None = None

    def _reader_of(self, options: ReadLinesOptions) -> ChunkReader:
        if not options.follow:
            return FilesReader(options.path)
        if self._progress is None:
            return FollowedFile(options.path)
        return FollowedFile(options.path, self._progress.load, PIECE_BYTES)

    @override
    async def init(self) -> None:
        self._thread = WorkerThread(self.name)
        self._thread.start()
        if self._progress is not None:
            self._progress.start()
        await self._thread.call(self._reader.open)

    @override
    def handle_demand(self, demand: int) -> list[object] | Awaitable[list[object]]:
        events = self._take(demand)
        if len(events) == demand:
            return events
        return self._read_on(events, demand - len(events))

    @override
    def handle_drain(self) -> None:
        self._reader.wake()
        self._count_losses()
        if not self._is_lasting:  # lines of a pipe cannot be read again
            self.emit_nowait(self._take(len(self._events)))
            self.discard(int(self._decoder.has_rest), "cancelled")

    @override
    def terminate(self, reason: object) -> None:
        self._reader.wake()
        self._count_losses()
        if self._ahead is not None:
            self._ahead.cancel()
        if self._progress is not None:
            self._progress.close(is_crash=isinstance(reason, BaseException))
        self._thread.close(self._reader.close)

    async def _read_on(self, events: list[object], missing: int) -> list[object]:
        while missing:
            if events:
                self.emit_nowait(events)
            if self._bad_line is not None:
                raise self._bad_line
            chunk = await self._next_chunk()
            if chunk is None:
                self.complete()
                return []
            self._keep(self._decoder.decode(chunk), chunk)
            await self.resumed()
            events = self._take(missing)
            missing -= len(events)
        return events

    async def _next_chunk(self) -> FileChunk | None:
        """Wait for a chunk, and start to read the next one of the same file."""
        if self._ahead is not None and self._ahead.done():
            await asyncio.sleep(0)  # lets other tasks run between two chunks
        read = self._ahead or self._thread.call(self._reader.read)
        self._ahead = None
        chunk = await read
        self._count_losses()
        if chunk is not None and chunk.is_lasting and not chunk.is_last:
            self._ahead = self._thread.call(self._reader.read)
        return chunk

    def _count_losses(self) -> None:
        """Count the losses of the reader, which has logged them."""
        for lost in self._reader.take_losses():
            self.count_loss(1, "files")
            self.count_loss(lost, "bytes")

    def _take(self, demand: int) -> list[object]:
        """Take up to `demand` decoded events."""
        start, end = self._taken, self._taken + demand
        self._taken = min(end, len(self._events))
        return self._events[start:end]

    def _keep(self, decoded: Decoded, chunk: FileChunk) -> None:
        """Keep the decoded events (all earlier ones were taken), and handle refused lines by `on_error`."""
        self._events, self._taken = decoded.events, 0
        self._is_lasting = chunk.is_lasting
        if decoded.refused:
            self._refuse(decoded, chunk)
        if self._progress is not None and self._bad_line is None:
            self._events = self._progress.messages(self._events, chunk.end, self._decoder.rest_bytes)

    def _refuse(self, decoded: Decoded, chunk: FileChunk) -> None:
        first = decoded.refused[0]
        if not self._skips:
            if not chunk.is_lasting:
                self.discard(len(self._events) - first.events_before, "cancelled")
            del self._events[first.events_before :]
            self._bad_line = BadLine(chunk.path, first.number, first.why)
            self.discard(1, "invalid")
            return
        self.discard(len(decoded.refused), "invalid")
        if not self._has_skipped:
            self._has_skipped = True
            LOG.warning(
                "stage %r leaves out a line (later ones are counted, not logged): %s:%d: %s",
                self.name,
                chunk.path,
                first.number,
                first.why,
            )
