"""`SqliteWriter` (group commit) and `SqliteReader`: one thread each."""

import asyncio
import concurrent.futures
import os
import sqlite3
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from typing_extensions import override

from headrace.database.sqlite_file import (
    CallQueue,
    DatabaseWork,
    DiskFull,
    QueuedCall,
    R,
    SqliteFile,
    deliver,
    retry_while_locked,
    translated,
)
from headrace.telemetry.events import LOG

Synchronous = Literal["normal", "full"]
"""What the commit of durable works waits for (SQLite's words).

"full" waits for the disk: what returned survives a power cut. "normal" does not: of the last moments before a power cut
some may be gone, though nothing is half written. A crash of the OS process alone loses nothing in either.
"""


@dataclass(slots=True, eq=False)
class _PeriodicCall:
    """What is done again and again, in seconds of the monotonic clock."""

    work: DatabaseWork[object]
    every_seconds: float
    due_at: float = 0.0


class SqliteThread:
    """A connection to the file, and the thread that owns it."""

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self._file = SqliteFile(path)
        self._connection: sqlite3.Connection | None = None
        self._calls = CallQueue(path, self._serve, self._disconnect, name)

    async def start(self) -> None:
        """Open the file in the thread. Raises `SqliteError` when that fails; close it then, too."""
        self._calls.start()
        await self._calls.run(lambda _: None)

    async def aclose(self) -> None:
        """Finish the accepted calls, then close the file; a file that stays locked fails the calls that wait for it."""
        await self._calls.aclose()

    def close(self) -> None:
        """Blocking version of `aclose`."""
        self._calls.close()

    def _serve(self) -> None:
        """Serve calls until closed: the body of the thread."""
        is_open = True
        while is_open:
            is_open = self._serve_next()
        with self._calls.connection_lock:
            self._disconnect()

    def _serve_next(self) -> bool:
        """Serve the calls that wait; return whether more may come."""
        raise NotImplementedError

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


class SqliteWriter(SqliteThread):
    """Owns the connection that writes, and the thread in which it does.

    What was accepted is either committed when its future is done, or its future holds why not; nothing in between. A
    work that raises undoes itself alone.

    Works that are not durable never wait for the disk, whatever `synchronous` says; but whatever is committed after
    them with a durable one makes them durable too, for the file is one log.
    """

    def __init__(
        self, path: Path, *, synchronous: Synchronous = "full", opened: DatabaseWork[None] | None = None
    ) -> None:
        """`opened` is run once, in the first transaction: it makes the tables."""
        super().__init__(path, "writes")
        self._synchronous = synchronous
        self._waits_for_disk = False
        self._lacks_room = False
        self._opened = opened
        self._periodic: list[_PeriodicCall] = []
        self._pid = os.getpid()
        self._was_opened = False

    def every(self, seconds: float, task: DatabaseWork[object]) -> None:
        """Run `task` about every `seconds`, whether or not there is anything else to write. Call it before `start`.

        One that fails is logged, and done again when it is due. None is done before the file could be opened.
        """
        self._periodic.append(_PeriodicCall(task, seconds))

    def run(
        self, work: DatabaseWork[R], *, is_durable: bool = True, unwanted: Callable[[R], None] | None = None
    ) -> Coroutine[object, object, R]:
        """Run `work` in the next transaction, and return its result once that is committed.

        On cancellation the work may be done all the same; it is done as a whole or not at all, and if it is, `unwanted`
        gets its result. Raises SqliteError when the file cannot be written. A file that is locked is waited for.
        """
        return self._calls.run(work, is_durable=is_durable, unwanted=unwanted)  # no coroutine around it: it is hot

    def begin(self, work: DatabaseWork[R]) -> "asyncio.Future[R]":
        """Run `work` in the next transaction, not durably; return a future of the running loop. Raises SqliteError."""
        return self._calls.begin(work)

    def post(self, work: DatabaseWork[object]) -> None:
        """Run `work` in the next transaction, and tell nobody."""
        self._calls.post(work)

    def run_sync(self, work: DatabaseWork[R], *, is_durable: bool = True) -> R:
        """Do the same from any thread but the writer's own, and wait."""
        return self._calls.run_sync(work, is_durable=is_durable)

    @override
    def _serve_next(self) -> bool:
        due_calls = self._due_calls()
        calls, is_open = self._calls.take(0.0 if due_calls else self._seconds_to_next())
        with self._calls.connection_lock:
            self._write(due_calls + calls)
        deliver(calls)
        for call in due_calls:
            if call.error is not None:
                LOG.warning("a periodic task of the SQLite file failed, and runs again when it is due: %r", call.error)
        return is_open

    @override
    def _disconnect(self) -> None:
        super()._disconnect()
        self._waits_for_disk = False

    def _has_periodic(self) -> bool:
        """Return whether this process has periodic calls: a forked child does not run those of its parent."""
        return bool(self._periodic) and self._was_opened and os.getpid() == self._pid

    def _due_calls(self) -> "list[QueuedCall[object]]":
        if not self._has_periodic():
            return []
        now = time.monotonic()
        due = [task for task in self._periodic if now >= task.due_at]
        for task in due:
            task.due_at = now + task.every_seconds
        return [QueuedCall(task.work, None, concurrent.futures.Future()) for task in due]

    def _seconds_to_next(self) -> float | None:
        if not self._has_periodic():
            return None
        return max(0.0, min(task.due_at for task in self._periodic) - time.monotonic())

    def _write(self, calls: "Sequence[QueuedCall[object]]") -> None:
        """Do all works in one transaction; if one fails, do each by itself, and say of each why it failed."""
        if not calls:
            return
        try:
            connection = self._ready(is_durable=any(call.is_durable for call in calls))
        except BaseException as error:  # noqa: BLE001 - whoever ordered the work is told
            for call in calls:
                call.error = self._translated(error)
            return
        try:
            self._commit(connection, calls)
        except BaseException as error:  # noqa: BLE001 - whoever ordered the work is told
            if len(calls) == 1:
                calls[0].error = self._translated(error)
            else:
                for call in calls:
                    self._write([call])

    def _ready(self, *, is_durable: bool) -> sqlite3.Connection:
        """Return the connection, in a transaction that has just begun."""
        if self._connection is None:
            self._connection = self._open()
        self._file.check()
        self._wait_for_disk(self._connection, waits=is_durable and self._synchronous == "full")
        if self._lacks_room:
            self._make_room(self._connection)
        self._begin(self._connection)
        self._file.remember_log()
        return self._connection

    def _commit(self, connection: sqlite3.Connection, calls: "Sequence[QueuedCall[object]]") -> None:
        try:
            for call in calls:
                call.result = call.work(connection)
            retry_while_locked(self.path, lambda: connection.execute("COMMIT"))
        except BaseException:
            _roll_back(connection)
            raise

    def _open(self) -> sqlite3.Connection:
        connection = self._file.connect("synchronous = NORMAL", "foreign_keys = ON")
        try:
            if self._opened is not None:
                self._begin(connection)
                self._opened(connection)
                connection.execute("COMMIT")
        except BaseException:
            connection.close()
            raise
        self._was_opened = True
        return connection

    def _wait_for_disk(self, connection: sqlite3.Connection, *, waits: bool) -> None:
        """Set what the next commit waits for: it cannot be changed inside of a transaction."""
        if waits is not self._waits_for_disk:
            connection.execute(f"PRAGMA synchronous = {'FULL' if waits else 'NORMAL'}")
            self._waits_for_disk = waits

    def _make_room(self, connection: sqlite3.Connection) -> None:
        """Move what SQLite's log holds into the file, so that the log's room is free again; it may all be there is."""
        with suppress(sqlite3.OperationalError):  # the disk is full still
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._lacks_room = False

    def _translated(self, error: BaseException) -> BaseException:
        translated_error = translated(self.path, error)
        self._lacks_room = self._lacks_room or isinstance(translated_error, DiskFull)
        return translated_error

    def _begin(self, connection: sqlite3.Connection) -> None:
        """Begin to write; wait for other OS processes as long as they take, unless it is being closed."""
        retry_while_locked(self.path, lambda: connection.execute("BEGIN IMMEDIATE"), lambda: self._calls.is_closed)


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")


class SqliteReader(SqliteThread):
    """Owns a connection that only reads. Each work sees the file as it is when it begins: all that was committed."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "reads")

    async def run(self, work: DatabaseWork[R]) -> R:
        """Run `work`, and return its result. On cancellation the result is dropped."""
        return await self._calls.run(work)

    def run_sync(self, work: DatabaseWork[R]) -> R:
        """Do the same from any other thread, and wait."""
        return self._calls.run_sync(work)

    @override
    def _serve_next(self) -> bool:
        calls, is_open = self._calls.take(None)
        with self._calls.connection_lock:
            for call in calls:
                self._answer(call)
        deliver(calls)
        return is_open

    def _answer(self, call: QueuedCall[object]) -> None:
        try:
            if self._connection is None:
                self._connection = self._file.connect("query_only = ON")
            self._file.check()
            connection = self._connection
            call.result = retry_while_locked(self.path, lambda: _read(connection, call), lambda: self._calls.is_closed)
            self._file.remember_log()
        except BaseException as error:  # noqa: BLE001 - whoever ordered the work is told
            call.error = translated(self.path, error)


def _read(connection: sqlite3.Connection, call: QueuedCall[object]) -> object:
    connection.execute("BEGIN")
    try:
        return call.work(connection)
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
