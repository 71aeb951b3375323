"""The edge in a SQLite file."""

import asyncio
import json
import sqlite3
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal

from headrace.database.file_lock import FileLock
from headrace.database.queries import migrate, sql_text
from headrace.database.sqlite_file import DiskFull, SqliteError
from headrace.database.sqlite_threads import SqliteWriter
from headrace.pipeline.stage.settings import text_size
from headrace.stages.edges.edge import BufferInUse, EdgeLimits, NewerBuffer
from headrace.telemetry.counts import Families, Family, FamilySpec
from headrace.telemetry.events import LOG

Write = Literal["append", "drop", "delete"]
"""The kinds of writes to the file of a buffer."""

PAUSE_SECONDS: Final = 0.1
"""The pause before a refused write is tried again; it doubles with each further failure."""

LONGEST_PAUSE_SECONDS: Final = 5.0
"""The longest pause, short for a person who has just freed space."""

LOG_SECONDS: Final = 60.0
"""The shortest time between two log lines about a full disk."""


EVENTS: Final = FamilySpec("gauge", "headrace_disk_buffer_events", "Events in a source's buffer on disk.")
BYTES: Final = FamilySpec("gauge", "headrace_disk_buffer_bytes", "The size of the events in a source's buffer on disk.")
WRITE_FAILURES: Final = FamilySpec(
    "counter",
    "headrace_disk_buffer_write_failures_total",
    "Writes to a source's buffer that a full disk refused; each is tried again.",
)


class DiskSpace:
    """Counts the writes that a full disk refused, and logs when that begins and ends. Loop's thread only."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._refused: set[Write] = set()
        self._in_a_row = 0
        self._since = 0.0
        self._logged_at = float("-inf")
        self._is_logged = False
        self.failures = Family(WRITE_FAILURES)

    def refused(self, write: Write, error: DiskFull) -> float:
        """Count a refused write; return the seconds until the next attempt."""
        now = asyncio.get_running_loop().time()
        if not self._refused:
            self._since = now
        self._refused.add(write)
        self.failures.add(())
        if not self._is_logged and now - self._logged_at >= LOG_SECONDS:
            self._is_logged, self._logged_at = True, now
            LOG.warning(
                "the disk under the buffer %s is full (%s): no more events are stored until there is room",
                self._path,
                error.why,
            )
        pause = min(LONGEST_PAUSE_SECONDS, PAUSE_SECONDS * 2.0 ** min(self._in_a_row, 16))
        self._in_a_row += 1
        return pause

    def took(self, write: Write) -> None:
        """Called after a successful write."""
        if write not in self._refused:
            return
        self._refused.discard(write)
        if self._refused:
            return
        self._in_a_row = 0
        if self._is_logged:
            self._is_logged = False
            seconds = asyncio.get_running_loop().time() - self._since
            LOG.warning("the disk under the buffer %s has room again after %.1f s: going on", self._path, seconds)


PACKAGE: Final = "headrace.stages.edges"


class Deletions:
    """Deletes events that are done from the file, soon and many at once.

    A failed deletion is tried again until the file is closed. Loop's thread only.
    """

    def __init__(self, path: Path, disk: DiskSpace) -> None:
        self._path = path
        self._disk = disk
        self._ids: set[int] = set()
        self._writer: SqliteWriter | None = None
        self._next: asyncio.Handle | None = None
        self._is_deleting = False

    def open(self, writer: SqliteWriter) -> None:
        """Delete with `writer` from now on."""
        self._writer = writer
        self._ids.clear()

    def add(self, number: int) -> None:
        """Delete an event soon."""
        self._ids.add(number)
        if self._next is None and not self._is_deleting:
            self._next = asyncio.get_running_loop().call_soon(self._delete)

    def left(self) -> tuple[int, ...]:
        """Return the events that may still be in the file."""
        return tuple(self._ids)

    def deleted(self, ids: Sequence[int]) -> None:
        """Called after events were deleted."""
        self._ids.difference_update(ids)

    def close(self) -> None:
        """Try to delete the events once more before the writer is closed; log the events that stay in the file."""
        writer, self._writer = self._writer, None
        if self._next is not None:
            self._next.cancel()
            self._next = None
        if writer is not None and self._ids:
            writer.begin(partial(delete, self.left())).add_done_callback(
                partial(self._last_deletion_ended, len(self._ids))
            )

    def _delete(self) -> None:
        self._next = None
        if self._writer is not None and self._ids:
            self._is_deleting = True
            ids = self.left()
            self._writer.begin(partial(delete, ids)).add_done_callback(partial(self._deletion_ended, ids))

    def _deletion_ended(self, ids: Sequence[int], deleting: "asyncio.Future[None]") -> None:
        self._is_deleting = False
        error = deleting.exception()
        pause = 0.0 if error is None else LONGEST_PAUSE_SECONDS
        if error is None:
            self.deleted(ids)
            self._disk.took("delete")
        elif isinstance(error, DiskFull):
            pause = self._disk.refused("delete", error)
        if self._writer is not None and self._ids:
            self._next = asyncio.get_running_loop().call_later(pause, self._delete)

    def _last_deletion_ended(self, count: int, deleting: "asyncio.Future[None]") -> None:
        error = deleting.exception()
        if error is not None:
            why = "%d events that are through stay in the buffer %s, and come again in the next run: %s"
            LOG.warning(why, count, self._path, error)


def delete(ids: Sequence[int], connection: sqlite3.Connection) -> None:
    """Delete events, as far as they exist."""
    connection.execute(sql_text(PACKAGE, "delete"), (json.dumps(ids),))


MIGRATIONS: Final = ("1_events",)

ALL: Final = sys.maxsize


@dataclass(frozen=True, slots=True)
class LogEntry:
    """An event on disk: its number, its JSON text, and its size."""

    id: int
    event: str
    size: int


class EventLog:
    """The log of an edge, opened and released by both of its stages.

    Loop's thread only. Events survive a power failure once `append` has returned. An event that was read stays in the
    file until `done`; else the next run reads it again.
    """

    def __init__(self, path: Path | str, bounds: EdgeLimits) -> None:
        self.path = Path(path)
        self.bounds = bounds
        self.events = 0
        self.size_bytes = 0
        self.is_complete = False
        self._writer: SqliteWriter | None = None
        self._lock = FileLock(self.path)
        self._users = 0
        self._read_lock = asyncio.Lock()
        self._read: dict[int, int] = {}
        self._last = 0
        self._reading = asyncio.Lock()
        self._at_once = ALL
        self.disk = DiskSpace(self.path)
        self._deletions = Deletions(self.path, self.disk)
        self.export(Families())
        self.arrived = asyncio.Event()
        self.room_made = asyncio.Event()

    async def open(self) -> None:
        """Open the file, which is created if missing. Raises BufferInUse, SqliteError or NewerBuffer."""
        async with self._read_lock:
            if self._writer is None:
                self._take_file()
                try:
                    self._writer = await self._opened()
                except BaseException:
                    self._lock.release()
                    raise
                self._deletions.open(self._writer)
            self._users += 1

    def export(self, families: Families) -> None:
        """Show the counts in the metrics of the reading stage from now on."""
        self._gauges = families.declare(EVENTS), families.declare(BYTES)
        self.disk.failures = families.declare(WRITE_FAILURES)
        self._measure()

    def _measure(self) -> None:
        for gauge, amount in zip(self._gauges, (self.events, self.size_bytes), strict=True):
            gauge.set((), amount)

    def _take_file(self) -> None:
        with suppress(OSError):  # SQLite's own error describes a wrong folder best
            self.path.parent.mkdir(parents=True, exist_ok=True)
            holder = self._lock.take()
            if holder is not None:
                raise BufferInUse(self.path, holder)

    async def _opened(self) -> SqliteWriter:
        writer = SqliteWriter(self.path, opened=self._prepare)
        try:
            await writer.start()
            self.events, self.size_bytes = await writer.run(_totals, is_durable=False)
        except BaseException:
            await writer.aclose()
            raise
        return writer

    async def release(self) -> None:
        """Release one reference. The last release closes the file after pending writes."""
        async with self._read_lock:
            self._users -= 1
            if not self._users and self._writer is not None:
                try:
                    await self._forget_writer(self._writer).aclose()
                finally:
                    self._lock.release()

    def retain(self) -> None:
        """Add a reference for an event that was read: the file stays open after both stages have ended."""
        self._users += 1

    def release_reference(self) -> None:
        """Release one reference without waiting. The last release closes the file after pending writes."""
        self._users -= 1
        if not self._users and self._writer is not None:
            self._forget_writer(self._writer).close()
            self._lock.release()

    def _forget_writer(self, writer: SqliteWriter) -> SqliteWriter:
        self._deletions.close()
        self._writer = None
        return writer

    def room(self, sizes: Sequence[int], fewer: int = 0, fewer_bytes: int = 0) -> int:
        """Return how many events, from the first on, have room, or will have room once `fewer` others are deleted."""
        events, size_bytes = self.events - fewer, self.size_bytes - fewer_bytes
        for count, size in enumerate(sizes):
            is_over = events >= self.bounds.max_events or size_bytes + size > self.bounds.max_bytes
            if is_over and events:
                return count
            events, size_bytes = events + 1, size_bytes + size
        return len(sizes)

    async def append(self, texts: Sequence[str]) -> int:
        """Append events durably; return how many: only some, from the first on, when the disk was full meanwhile.

        Waits while the disk is full, with nothing changed. Raises SqliteError.
        """
        rows = [(text, text_size(text)) for text in texts]
        return await self._retry_while_full("append", lambda: self._append(rows))

    async def _append(self, rows: Sequence[tuple[str, int]]) -> int:
        part = rows[: self._at_once]
        over = self._deletions.left()  # in the same transaction: their room is already taken
        came = partial(self._appended, part, over)
        try:
            await self._file.run(partial(_exchange, over, part), unwanted=came)
        except DiskFull:
            self._at_once = max(1, len(part) // 2)
            raise
        self._at_once = ALL
        came()
        return len(part)

    def _appended(self, rows: Sequence[tuple[str, int]], over: Sequence[int], _: None = None) -> None:
        self._deletions.deleted(over)
        self.events += len(rows)
        self.size_bytes += sum(size for _, size in rows)
        self._measure()
        self.arrived.set()

    async def take(self, count: int) -> list[LogEntry]:
        """Return at most `count` events that this run has not read, oldest first. Raises SqliteError."""
        async with self._reading:
            self.arrived.clear()
            entries = await self._file.run(partial(_after, self._last, count), is_durable=False)
            for entry in entries:
                self._read[entry.id] = entry.size
                self._last = entry.id
            return entries

    async def drop_oldest(self, sizes: Sequence[int]) -> int:
        """Delete unread events, oldest first, until events of these sizes have room; return how many.

        Waits while the disk is full. Raises SqliteError.
        """
        return await self._retry_while_full("drop", lambda: self._drop_oldest(sizes))

    async def _drop_oldest(self, sizes: Sequence[int]) -> int:
        async with self._reading:  # no event is read while it is dropped
            waiting = await self._file.run(partial(_after, self._last, self.bounds.max_events), is_durable=False)
            dropped: list[LogEntry] = []
            freed = 0
            while len(dropped) < len(waiting) and self.room(sizes, len(dropped), freed) < len(sizes):
                freed += waiting[len(dropped)].size
                dropped.append(waiting[len(dropped)])
            await self._file.run(partial(delete, [entry.id for entry in dropped]), is_durable=False)
            self.events -= len(dropped)
            self.size_bytes -= freed
            return len(dropped)

    async def _retry_while_full(self, kind: Write, write: Callable[[], Awaitable[int]]) -> int:
        while True:
            try:
                done = await write()
            except DiskFull as error:
                await asyncio.sleep(self.disk.refused(kind, error))
            else:
                self.disk.took(kind)
                return done

    def done(self, number: int) -> None:
        """Delete a finished event soon; on a full disk, once there is room."""
        size = self._read.pop(number, None)
        if size is None:
            return
        self.events -= 1
        self.size_bytes -= size
        self._deletions.add(number)
        self._measure()
        self.room_made.set()

    @property
    def _file(self) -> SqliteWriter:
        if self._writer is None:
            raise SqliteError(self.path, "it is not open", "open it before it is used")
        return self._writer

    def _prepare(self, connection: sqlite3.Connection) -> None:
        newer = migrate(connection, PACKAGE, MIGRATIONS)
        if newer is not None:
            raise NewerBuffer(self.path, newer, len(MIGRATIONS))


def _exchange(over: Sequence[int], rows: Sequence[tuple[str, int]], connection: sqlite3.Connection) -> None:
    if over:
        delete(over, connection)
    connection.executemany(sql_text(PACKAGE, "insert"), rows)


def _after(last: int, count: int, connection: sqlite3.Connection) -> list[LogEntry]:
    return [LogEntry(*row) for row in connection.execute(sql_text(PACKAGE, "after"), (last, count))]


def _totals(connection: sqlite3.Connection) -> tuple[int, int]:
    events, size_bytes = connection.execute(sql_text(PACKAGE, "totals")).fetchone()
    return int(events), int(size_bytes)
