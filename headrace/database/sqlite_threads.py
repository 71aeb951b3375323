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


class SqliteWriter:
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
        self.path = path
        self._file = SqliteFile(path)
        self._synchronous = synchronous
        self._waits_for_disk = False
        self._lacks_room = False
        self._opened = opened
        self._periodic: list[_PeriodicCall] = []
        self._connection: sqlite3.Connection | None = None
        self._pid = os.getpid()
        self._was_opened = False
        self._orders = CallQueue(path, self._serve, self._disconnect, "writes")

    async def start(self) -> None:
        """Open the file and make the tables, in the writer's thread. Raises what that raises; close it then, too."""
        self._orders.start()
        await self.run(lambda _: None)

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
        return self._orders.run(work, is_durable=is_durable, unwanted=unwanted)  # no coroutine around it: it is hot

    def begin(self, work: DatabaseWork[R]) -> "asyncio.Future[R]":
        """Run `work` in the next transaction, not durably; return a future of the running loop. Raises SqliteError."""
        return self._orders.begin(work)

    def post(self, work: DatabaseWork[object]) -> None:
        """Run `work` in the next transaction, and tell nobody."""
        self._orders.post(work)

    def run_sync(self, work: DatabaseWork[R], *, is_durable: bool = True) -> R:
        """Do the same from any thread but the writer's own, and wait."""
        return self._orders.run_sync(work, is_durable=is_durable)

    async def aclose(self) -> None:
        """Write all that was accepted, then close the file; a file that stays locked fails what waits for it."""
        await self._orders.aclose()

    def close(self) -> None:
        """Do the same where there is no event loop to hold up."""
        self._orders.close()

    def _serve(self) -> None:
        """Write group after group, until closed."""
        is_open = True
        while is_open:
            due_calls = self._due_tasks()
            orders, is_open = self._orders.take(0.0 if due_calls else self._seconds_to_next())
            with self._orders.connection_lock:
                self._write(due_calls + orders)
            deliver(orders)
            for task in due_calls:
                if task.error is not None:
                    LOG.warning("a chore of the SQLite file failed, and is done again when it is due: %r", task.error)
        with self._orders.connection_lock:
            self._disconnect()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        self._waits_for_disk = False

    def _has_periodic(self) -> bool:
        """Return whether this process has periodic calls: a forked child does not run those of its parent."""
        return bool(self._periodic) and self._was_opened and os.getpid() == self._pid

    def _due_tasks(self) -> "list[QueuedCall[object]]":
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

    def _write(self, orders: "Sequence[QueuedCall[object]]") -> None:
        """Do all works in one transaction; if one fails, do each by itself, and say of each why it failed."""
        if not orders:
            return
        try:
            connection = self._ready(is_durable=any(order.is_durable for order in orders))
        except BaseException as error:  # noqa: BLE001 - whoever ordered the work is told
            for order in orders:
                order.error = self._translated(error)
            return
        try:
            self._commit(connection, orders)
        except BaseException as error:  # noqa: BLE001 - whoever ordered the work is told
            if len(orders) == 1:
                orders[0].error = self._translated(error)
            else:
                for order in orders:
                    self._write([order])

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

    def _commit(self, connection: sqlite3.Connection, orders: "Sequence[QueuedCall[object]]") -> None:
        try:
            for order in orders:
                order.result = order.work(connection)
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
        retry_while_locked(self.path, lambda: connection.execute("BEGIN IMMEDIATE"), lambda: self._orders.is_closed)


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")


class SqliteReader:
    """Owns a connection that only reads. Each work sees the file as it is when it begins: all that was committed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = SqliteFile(path)
        self._connection: sqlite3.Connection | None = None
        self._orders = CallQueue(path, self._serve, self._disconnect, "reads")

    async def start(self) -> None:
        """Open the file, in the reader's thread. Raises SqliteError when it cannot be read."""
        self._orders.start()
        await self.run(lambda _: None)

    async def run(self, work: DatabaseWork[R]) -> R:
        """Run `work`, and return its result. On cancellation the result is dropped."""
        return await self._orders.run(work)

    def run_sync(self, work: DatabaseWork[R]) -> R:
        """Do the same from any other thread, and wait."""
        return self._orders.run_sync(work)

    async def aclose(self) -> None:
        """Answer what was asked, then close the file."""
        await self._orders.aclose()

    def close(self) -> None:
        """Do the same where there is no event loop to hold up."""
        self._orders.close()

    def _serve(self) -> None:
        is_open = True
        while is_open:
            orders, is_open = self._orders.take(None)
            with self._orders.connection_lock:
                for order in orders:
                    self._answer(order)
            deliver(orders)
        with self._orders.connection_lock:
            self._disconnect()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _answer(self, order: QueuedCall[object]) -> None:
        try:
            if self._connection is None:
                self._connection = self._file.connect("query_only = ON")
            self._file.check()
            connection = self._connection
            order.result = retry_while_locked(
                self.path, lambda: _read(connection, order), lambda: self._orders.is_closed
            )
            self._file.remember_log()
        except BaseException as error:  # noqa: BLE001 - whoever ordered the work is told
            order.error = translated(self.path, error)


def _read(connection: sqlite3.Connection, order: QueuedCall[object]) -> object:
    connection.execute("BEGIN")
    try:
        return order.work(connection)
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
