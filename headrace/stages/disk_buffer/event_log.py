"""The file of a buffer on disk: events go in at its end, are read in order, and leave once they are through."""

import asyncio
import json
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal

from headrace.ground.sqlite_file import SqliteError
from headrace.ground.sqlite_text import migrate, sql_text
from headrace.ground.sqlite_writer import SqliteWriter
from headrace.pipeline.stage.event_size import text_size
from headrace.stages.disk_buffer.errors import NewerBuffer

WhenFull = Literal["block", "drop_newest", "drop_oldest", "error"]
"""What becomes of events for which there is no room."""

PACKAGE: Final = "headrace.stages.disk_buffer"
MIGRATIONS: Final = ("1_events",)


@dataclass(frozen=True, slots=True)
class LogBounds:
    """How much a buffer holds at most; one event always finds room in an empty one."""

    max_events: int
    max_bytes: int


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
        self._users = 0
        self._door = asyncio.Lock()
        self._read: dict[int, int] = {}
        self._last = 0
        self._over: list[int] = []
        self.changed: Callable[[], None] = lambda: None
        self.arrived = asyncio.Event()
        self.room_made = asyncio.Event()

    async def open(self) -> None:
        """Open the file, which is made if need be. Raises SqliteError or NewerBuffer."""
        async with self._door:
            if self._writer is None:
                with suppress(OSError):  # SQLite itself says best what is wrong with a folder
                    self.path.parent.mkdir(parents=True, exist_ok=True)
                writer = SqliteWriter(self.path, opened=self._prepare)
                try:
                    await writer.start()
                    totals = await writer.run(_totals, is_durable=False)
                except BaseException:
                    await writer.aclose()
                    raise
                self.events, self.size_bytes = totals
                self._writer = writer
            self._users += 1

    async def release(self) -> None:
        """Let go of the file; it is closed by the last one who does, once all is written."""
        async with self._door:
            self._users -= 1
            if not self._users and self._writer is not None:
                await self._let_file_go(self._writer).aclose()

    def hold(self) -> None:
        """Keep the file open for an event that was read until `let_go`, also where both stages have ended."""
        self._users += 1

    def let_go(self) -> None:
        """Do without it. Where nobody else uses it, it is closed, which waits for what is still to be written."""
        self._users -= 1
        if not self._users and self._writer is not None:
            self._let_file_go(self._writer).close()

    def _let_file_go(self, writer: SqliteWriter) -> SqliteWriter:
        self._forget()
        self._writer = None
        return writer

    def room(self, sizes: Sequence[int]) -> int:
        """Return how many of so many events, the first ones, find room."""
        events, size_bytes = self.events, self.size_bytes
        for count, size in enumerate(sizes):
            is_over = events >= self.bounds.max_events or size_bytes + size > self.bounds.max_bytes
            if is_over and events:
                return count
            events, size_bytes = events + 1, size_bytes + size
        return len(sizes)

    async def append(self, texts: Sequence[str]) -> None:
        """Put events at the end, durably. Raises SqliteError."""
        rows = [(text, text_size(text)) for text in texts]
        await self._file.run(partial(_insert, rows))
        self.events += len(rows)
        self.size_bytes += sum(size for _, size in rows)
        self.changed()
        self.arrived.set()

    async def take(self, count: int) -> list[Entry]:
        """Return at most `count` events that were not read by this run yet, oldest first. Raises SqliteError."""
        self.arrived.clear()
        entries = await self._file.run(partial(_after, self._last, count), is_durable=False)
        for entry in entries:
            self._read[entry.id] = entry.size
            self._last = entry.id
        return entries

    async def drop_oldest(self, sizes: Sequence[int]) -> int:
        """Delete as many of those that nobody has read as make room for events of those sizes; return how many."""
        dropped: list[Entry] = []
        waiting = deque(await self._file.run(partial(_after, self._last, self.bounds.max_events), is_durable=False))
        while waiting and self.room(sizes) < len(sizes):
            entry = waiting.popleft()
            dropped.append(entry)
            self.events -= 1
            self.size_bytes -= entry.size
        await self._file.run(partial(_delete, [entry.id for entry in dropped]), is_durable=False)
        return len(dropped)

    def done(self, number: int) -> None:
        """Take note that an event is through: it leaves the file soon."""
        size = self._read.pop(number, None)
        if size is None:
            return
        self.events -= 1
        self.size_bytes -= size
        if not self._over:
            asyncio.get_running_loop().call_soon(self._forget)
        self._over.append(number)
        self.changed()
        self.room_made.set()

    def _forget(self) -> None:
        over, self._over = self._over, []
        if self._writer is not None and over:
            self._writer.post(partial(_delete, over))

    @property
    def _file(self) -> SqliteWriter:
        if self._writer is None:
            raise SqliteError(self.path, "it is not open", "open it before it is used")
        return self._writer

    def _prepare(self, connection: sqlite3.Connection) -> None:
        newer = migrate(connection, PACKAGE, MIGRATIONS)
        if newer is not None:
            raise NewerBuffer(self.path, newer, len(MIGRATIONS))


def _insert(rows: Sequence[tuple[str, int]], connection: sqlite3.Connection) -> None:
    connection.executemany(sql_text(PACKAGE, "insert"), rows)


def _after(last: int, count: int, connection: sqlite3.Connection) -> list[Entry]:
    return [Entry(*row) for row in connection.execute(sql_text(PACKAGE, "after"), (last, count))]


def _delete(ids: Sequence[int], connection: sqlite3.Connection) -> None:
    connection.execute(sql_text(PACKAGE, "delete"), (json.dumps(ids),))


def _totals(connection: sqlite3.Connection) -> tuple[int, int]:
    events, size_bytes = connection.execute(sql_text(PACKAGE, "totals")).fetchone()
    return int(events), int(size_bytes)
