"""`SqliteWriter` (group commit) and `SqliteReader`: each owns a connection, and a thread that uses it."""

import asyncio
import concurrent.futures
import os
import queue
import sqlite3
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Generic, Literal

from typing_extensions import override

from headrace.database.forking import Forkable, add_fork_hooks
from headrace.database.sqlite_file import DiskFull, R, SqliteError, SqliteFile, retry_while_locked, translated
from headrace.telemetry.events import LOG

DatabaseWork = Callable[[sqlite3.Connection], R]
"""A function that uses the connection inside a transaction that others may share: it must not commit.

It may run twice, when another one of the same transaction fails: its effects beside the file must bear that.
"""

GROUP_LIMIT: Final = 1000
"""Calls in one transaction at most, so that the first of many does not wait for ever."""

FORK_SECONDS: Final = 1.0
"""How long a fork waits for the end of a transaction; after that the child may not use the file."""

_FORK_ADVICE: Final = "start OS processes before the file is opened, or with multiprocessing's spawn"

Synchronous = Literal["normal", "full"]
"""Whether the commit of durable calls waits for the disk (SQLite's words).

"full" waits: a returned call survives a power cut. "normal" does not: a power cut may undo the calls of the last
moments, though nothing is half written. A crash of the OS process alone loses nothing in either.
"""


@dataclass(slots=True, eq=False)
class QueuedCall(Generic[R]):
    """One call, and the future of its result: on an event loop, or for a thread."""

    work: DatabaseWork[R]
    loop: asyncio.AbstractEventLoop | None
    done: "asyncio.Future[R] | concurrent.futures.Future[R]"
    is_durable: bool = False
    unwanted: Callable[[R], None] | None = None
    result: "R | None" = None
    error: BaseException | None = None

    def deliver(self) -> None:
        """Set the result or the error of the future; a result whose caller was cancelled goes to `unwanted`."""
        if self.done.done():
            if self.unwanted is not None and self.error is None:
                self.unwanted(self.result)  # type: ignore[arg-type] # as below
        elif self.error is not None:
            self.done.set_exception(self.error)
        else:
            self.done.set_result(self.result)  # type: ignore[arg-type] # without an error there is a result


class SqliteThread(Forkable, ABC):
    """A connection to a SQLite file, and the thread that runs calls with it, in groups, until it is closed.

    A forked child has no such thread: it starts its own with its first call. Calls that the parent waits for stay the
    parent's. A fork waits FORK_SECONDS for the end of a transaction; after that the child may not use the file.
    """

    name: ClassVar[str]
    """What the thread does, for its name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = SqliteFile(path)
        self._connection: sqlite3.Connection | None = None
        self._connection_lock = threading.Lock()
        """Held by the thread while it uses the connection."""
        self._is_closed = False
        self._was_started = False
        self._is_inherited = False
        """Whether a fork carried the connection over, since it found it in use."""
        self._is_parked = False
        """Whether the thread that forks holds `_connection_lock`."""
        self._renew()

    def _renew(self) -> None:
        self._waiting: queue.SimpleQueue[QueuedCall[object] | None] = queue.SimpleQueue()
        self._is_taking_lock = threading.Lock()
        self._ended: concurrent.futures.Future[None] = concurrent.futures.Future()
        name = f"headrace {self.name} {self.path.name}"
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)

    async def start(self) -> None:
        """Open the file, in the thread. Raises SqliteError; close it then, too."""
        self._start()
        await self.run(lambda _: None)

    def _start(self) -> None:
        if not self._was_started:
            add_fork_hooks(self)
        self._was_started = True
        self._ended.set_running_or_notify_cancel()  # a cancelled wait for its end does not cancel the future
        self._thread.start()

    @override
    def before_fork(self) -> None:
        self._is_parked = self._connection_lock.acquire(timeout=FORK_SECONDS)
        if self._is_parked and not self._is_inherited:
            self._disconnect()

    @override
    def after_fork_in_parent(self) -> None:
        if self._is_parked:
            self._connection_lock.release()

    @override
    def after_fork_in_child(self) -> None:
        self._is_inherited = self._is_inherited or not self._is_parked
        self._connection_lock = threading.Lock()
        self._renew()

    async def run(
        self, work: DatabaseWork[R], *, is_durable: bool = True, unwanted: Callable[[R], None] | None = None
    ) -> R:
        """Run `work` in the next transaction, and return its result once that has ended. Raises its errors.

        On cancellation the work may run all the same, as a whole or not at all; if it does, `unwanted` gets its result,
        on the loop. A locked file is waited for. Raises SqliteError when the file cannot be used.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[R] = loop.create_future()
        self._put(QueuedCall(work, loop, done, is_durable, unwanted))
        return await done

    def begin(self, work: DatabaseWork[R]) -> "asyncio.Future[R]":
        """Run `work` in the next transaction, not durably; return a future of the running loop. Raises SqliteError."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[R] = loop.create_future()
        self._put(QueuedCall(work, loop, done))
        return done

    def post(self, work: DatabaseWork[object]) -> None:
        """Run `work` in the next transaction, not durably, without waiting for it; not at all once it is closed."""
        with suppress(SqliteError):
            self._put(QueuedCall(work, None, concurrent.futures.Future()))

    def run_sync(self, work: DatabaseWork[R], *, is_durable: bool = True) -> R:
        """Thread-safe version of `run` that blocks, for any thread but its own."""
        done: concurrent.futures.Future[R] = concurrent.futures.Future()
        self._put(QueuedCall(work, None, done, is_durable))
        return done.result()

    def close(self) -> None:
        """Run the accepted calls, then close the file; block until then. A second call does nothing.

        Calls that wait for a locked file fail.
        """
        if self._stop() and self._thread is not threading.current_thread():
            self._thread.join()

    async def aclose(self) -> None:
        """Version of `close` that does not block the event loop."""
        if self._stop():
            await asyncio.wrap_future(self._ended)

    @abstractmethod
    def _serve_next(self) -> bool:
        """Run the next group of calls; return whether more may come."""

    def _take(self, timeout_seconds: float | None) -> "tuple[list[QueuedCall[object]], bool]":
        """Return all waiting calls, once there is one or the time is up; and whether more may come."""
        try:
            first = self._waiting.get(timeout=timeout_seconds)
        except queue.Empty:
            return [], True
        if first is None:
            return [], False
        calls = [first]
        try:
            while len(calls) < GROUP_LIMIT:
                call = self._waiting.get_nowait()
                if call is None:
                    return calls, False
                calls.append(call)
        except queue.Empty:
            pass
        return calls, True

    def _put(self, call: QueuedCall[R]) -> None:
        with self._is_taking_lock:  # no call comes in behind the end of the queue
            if self._is_closed:
                raise SqliteError(self.path, "it is closed", "use it before its store is closed, or open it again")
            if self._is_inherited:
                raise SqliteError(self.path, "this OS process was forked in the middle of a write", _FORK_ADVICE)
            if self._thread.ident is None:
                if not self._was_started:
                    raise SqliteError(self.path, "it is not open", "open its store first")
                self._start()
            self._waiting.put(call)  # type: ignore[arg-type] # only the call itself uses the type of its result

    def _stop(self) -> bool:
        """Ask the thread to end; return whether there is one."""
        with self._is_taking_lock:
            if not self._is_closed:
                self._is_closed = True
                self._waiting.put(None)
        return self._thread.ident is not None

    def _serve(self) -> None:
        try:
            while self._serve_next():
                pass
            with self._connection_lock:
                self._disconnect()
        finally:
            self._ended.set_result(None)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _retry(self, step: Callable[[], R]) -> R:
        """Run a step again while other OS processes lock the file, but not for long once it is being closed."""
        return retry_while_locked(self.path, step, lambda: self._is_closed)


def _deliver(calls: Sequence[QueuedCall[object]]) -> None:
    """Deliver the results of calls, with one wake-up for each loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[QueuedCall[object]]] = {}
    for call in calls:
        if call.loop is None:
            call.deliver()
        else:
            by_loop.setdefault(call.loop, []).append(call)
    for loop, its_calls in by_loop.items():
        try:
            loop.call_soon_threadsafe(_deliver_all, its_calls)
        except RuntimeError:  # the loop is closed, and its callers with it
            LOG.debug("%d works on a SQLite file ended after their loop was closed", len(its_calls))


def _deliver_all(calls: Sequence[QueuedCall[object]]) -> None:
    for call in calls:
        call.deliver()


@dataclass(slots=True, eq=False)
class _PeriodicCall:
    """A call that repeats, in seconds of the monotonic clock."""

    work: DatabaseWork[object]
    every_seconds: float
    due_at: float = 0.0


class SqliteWriter(SqliteThread):
    """Owns the connection that writes.

    When the future of a call is done, it is committed, or the future holds an error; nothing in between. A call that
    raises undoes itself alone.

    Calls that are not durable never wait for the disk, whatever `synchronous` says; but a durable commit after them
    makes them durable too, for the file has one log.
    """

    name: ClassVar[str] = "writes"

    def __init__(
        self, path: Path, *, synchronous: Synchronous = "full", opened: DatabaseWork[None] | None = None
    ) -> None:
        """`opened` runs in the first transaction of each connection: it makes the tables."""
        super().__init__(path)
        self._synchronous = synchronous
        self._waits_for_disk = False
        self._lacks_room = False
        self._opened = opened
        self._periodic: list[_PeriodicCall] = []
        self._pid = os.getpid()
        self._was_opened = False

    def every(self, seconds: float, task: DatabaseWork[object]) -> None:
        """Run `task` about every `seconds`, whether or not there is anything else to write. Call it before `start`.

        A task that fails is logged, and runs again when it is due. None runs before the file could be opened.
        """
        self._periodic.append(_PeriodicCall(task, seconds))

    @override
    def _serve_next(self) -> bool:
        due_calls = self._due_calls()
        calls, is_open = self._take(0.0 if due_calls else self._seconds_to_next())
        with self._connection_lock:
            self._write(due_calls + calls)
        _deliver(calls)
        for call in due_calls:
            if call.error is not None:
                LOG.warning("a periodic task of the SQLite file failed, and runs again when it is due: %r", call.error)
        return is_open

    @override
    def _disconnect(self) -> None:
        super()._disconnect()
        self._waits_for_disk = False

    def _has_periodic(self) -> bool:
        """Return whether this OS process has periodic calls: a forked child does not run its parent's."""
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
        """Run all calls in one transaction; if one fails, run each in its own, and keep the error of each."""
        if not calls:
            return
        try:
            connection = self._ready(is_durable=any(call.is_durable for call in calls))
        except BaseException as error:  # noqa: BLE001 - the callers get it
            for call in calls:
                call.error = self._translated(error)
            return
        try:
            self._commit(connection, calls)
        except BaseException as error:  # noqa: BLE001 - the callers get it
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
        """Set whether the next commit waits for the disk; inside a transaction it cannot be changed."""
        if waits is not self._waits_for_disk:
            connection.execute(f"PRAGMA synchronous = {'FULL' if waits else 'NORMAL'}")
            self._waits_for_disk = waits

    def _make_room(self, connection: sqlite3.Connection) -> None:
        """Move the content of SQLite's log into the file: the log's place may be all that is left on the disk."""
        with suppress(sqlite3.OperationalError):  # the disk is full still
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._lacks_room = False

    def _translated(self, error: BaseException) -> BaseException:
        translated_error = translated(self.path, error)
        self._lacks_room = self._lacks_room or isinstance(translated_error, DiskFull)
        return translated_error

    def _begin(self, connection: sqlite3.Connection) -> None:
        self._retry(lambda: connection.execute("BEGIN IMMEDIATE"))


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")


class SqliteReader(SqliteThread):
    """Owns a connection that only reads. Each call sees the commits that came before it."""

    name: ClassVar[str] = "reads"

    @override
    def _serve_next(self) -> bool:
        calls, is_open = self._take(None)
        with self._connection_lock:
            for call in calls:
                self._answer(call)
        _deliver(calls)
        return is_open

    def _answer(self, call: QueuedCall[object]) -> None:
        try:
            if self._connection is None:
                self._connection = self._file.connect("query_only = ON")
            self._file.check()
            connection = self._connection
            call.result = self._retry(lambda: _read(connection, call))
            self._file.remember_log()
        except BaseException as error:  # noqa: BLE001 - the caller gets it
            call.error = translated(self.path, error)


def _read(connection: sqlite3.Connection, call: QueuedCall[object]) -> object:
    connection.execute("BEGIN")
    try:
        return call.work(connection)
    finally:
        _roll_back(connection)
