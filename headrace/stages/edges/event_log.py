"""The file of a buffer on disk: events go in at its end, are read in order, and leave once they are through."""

import asyncio
import sqlite3
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from headrace.database.file_lock import FileLock
from headrace.database.queries import migrate, sql_text
from headrace.database.sqlite_file import DiskFull, SqliteError
from headrace.database.sqlite_threads import SqliteWriter
from headrace.pipeline.stage.settings import text_size
from headrace.stages.edges.bounds import LogBounds
from headrace.stages.edges.departures import PACKAGE, Departures, delete
from headrace.stages.edges.errors import BufferInUse, NewerBuffer
from headrace.stages.edges.full_disk import FullDisk, Write

MIGRATIONS: Final = ("1_events",)

ALL: Final = sys.maxsize


@dataclass(frozen=True, slots=True)
class Entry:
    """An event on disk: its number, its text as JSON, and what it takes of the bound."""

    id: int
    event: str
    size: int


class EventLog:
    """Shared by the stage that keeps events and the one that reads them; each opens it and lets it go.

    Loop's thread only. What `append` has returned for survives a power cut. What was read stays in the file until it is
    `done`; the next run reads it again.
    """

    def __init__(self, path: Path | str, bounds: LogBounds) -> None:
        self.path = Path(path)
        self.bounds = bounds
        self.events = 0
        self.size_bytes = 0
        self.is_complete = False
        self._writer: SqliteWriter | None = None
        self._lock = FileLock(self.path)
        self._users = 0
        self._door = asyncio.Lock()
        self._read: dict[int, int] = {}
        self._last = 0
        self._reading = asyncio.Lock()
        self._at_once = ALL
        self.disk = FullDisk(self.path)
        self._departures = Departures(self.path, self.disk)
        self.changed: Callable[[], None] = lambda: None
        self.arrived = asyncio.Event()
        self.room_made = asyncio.Event()

    async def open(self) -> None:
        """Open the file, which is made if need be. Raises BufferInUse, SqliteError or NewerBuffer."""
        async with self._door:
            if self._writer is None:
                self._take_file()
                try:
                    self._writer = await self._opened()
                except BaseException:
                    self._lock.release()
                    raise
                self._departures.open(self._writer)
            self._users += 1

    def _take_file(self) -> None:
        with suppress(OSError):  # SQLite itself says best what is wrong with the folder
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
        """Let go of the file; it is closed by the last one who does, once all is written."""
        async with self._door:
            self._users -= 1
            if not self._users and self._writer is not None:
                try:
                    await self._let_file_go(self._writer).aclose()
                finally:
                    self._lock.release()

    def hold(self) -> None:
        """Keep the file open for an event that was read until `let_go`, also where both stages have ended."""
        self._users += 1

    def let_go(self) -> None:
        """Do without it. Where nobody else uses it, it is closed, which waits for what is still to be written."""
        self._users -= 1
        if not self._users and self._writer is not None:
            self._let_file_go(self._writer).close()
            self._lock.release()

    def _let_file_go(self, writer: SqliteWriter) -> SqliteWriter:
        self._departures.close()
        self._writer = None
        return writer

    def room(self, sizes: Sequence[int], fewer: int = 0, fewer_bytes: int = 0) -> int:
        """Return how many of so many events, the first ones, find room, or would if it held `fewer` than it does."""
        events, size_bytes = self.events - fewer, self.size_bytes - fewer_bytes
        for count, size in enumerate(sizes):
            is_over = events >= self.bounds.max_events or size_bytes + size > self.bounds.max_bytes
            if is_over and events:
                return count
            events, size_bytes = events + 1, size_bytes + size
        return len(sizes)

    async def append(self, texts: Sequence[str]) -> int:
        """Put events at the end, durably, and return how many: the first ones alone, once the disk was full meanwhile.

        A full disk is waited for; until then nothing has changed. Raises SqliteError.
        """
        rows = [(text, text_size(text)) for text in texts]
        return await self._patiently("append", lambda: self._append(rows))

    async def _append(self, rows: Sequence[tuple[str, int]]) -> int:
        part = rows[: self._at_once]
        over = self._departures.left()  # in the same transaction: what they took is room that was given away already
        came = partial(self._came, part, over)
        try:
            await self._file.run(partial(_exchange, over, part), unwanted=came)
        except DiskFull:
            self._at_once = max(1, len(part) // 2)
            raise
        self._at_once = ALL
        came()
        return len(part)

    def _came(self, rows: Sequence[tuple[str, int]], over: Sequence[int], _: None = None) -> None:
        self._departures.gone(over)
        self.events += len(rows)
        self.size_bytes += sum(size for _, size in rows)
        self.changed()
        self.arrived.set()

    async def take(self, count: int) -> list[Entry]:
        """Return at most `count` events that were not read by this run yet, oldest first. Raises SqliteError."""
        async with self._reading:
            self.arrived.clear()
            entries = await self._file.run(partial(_after, self._last, count), is_durable=False)
            for entry in entries:
                self._read[entry.id] = entry.size
                self._last = entry.id
            return entries

    async def drop_oldest(self, sizes: Sequence[int]) -> int:
        """Delete as many of those that nobody has read as make room for events of those sizes; return how many.

        A full disk is waited for. Raises SqliteError.
        """
        return await self._patiently("drop", lambda: self._drop_oldest(sizes))

    async def _drop_oldest(self, sizes: Sequence[int]) -> int:
        async with self._reading:  # what is about to be dropped is not read meanwhile
            waiting = await self._file.run(partial(_after, self._last, self.bounds.max_events), is_durable=False)
            dropped: list[Entry] = []
            freed = 0
            while len(dropped) < len(waiting) and self.room(sizes, len(dropped), freed) < len(sizes):
                freed += waiting[len(dropped)].size
                dropped.append(waiting[len(dropped)])
            await self._file.run(partial(delete, [entry.id for entry in dropped]), is_durable=False)
            self.events -= len(dropped)
            self.size_bytes -= freed
            return len(dropped)

    async def _patiently(self, kind: Write, write: Callable[[], Awaitable[int]]) -> int:
        while True:
            try:
                done = await write()
            except DiskFull as error:
                await asyncio.sleep(self.disk.refused(kind, error))
            else:
                self.disk.took(kind)
                return done

    def done(self, number: int) -> None:
        """Take note that an event is through: it leaves the file soon, on a full disk once there is room."""
        size = self._read.pop(number, None)
        if size is None:
            return
        self.events -= 1
        self.size_bytes -= size
        self._departures.add(number)
        self.changed()
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


def _after(last: int, count: int, connection: sqlite3.Connection) -> list[Entry]:
    return [Entry(*row) for row in connection.execute(sql_text(PACKAGE, "after"), (last, count))]


def _totals(connection: sqlite3.Connection) -> tuple[int, int]:
    events, size_bytes = connection.execute(sql_text(PACKAGE, "totals")).fetchone()
    return int(events), int(size_bytes)
