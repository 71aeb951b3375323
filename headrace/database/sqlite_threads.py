"""`SqliteWriter` (group commit) and `SqliteReader`: each owns a connection, and a thread that uses it."""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Final, Literal, NoReturn

from typing_extensions import override

from headrace.database.sqlite_file import DiskFull, R, SqliteError, SqliteFile, retry_while_locked, translated
from headrace.database.threads import DatabaseThread, QueuedCall

DatabaseWork = Callable[[sqlite3.Connection], R]
"""A function that uses the connection inside a transaction that others may share: it must not commit.

It may run twice, when another one of the same transaction fails: its effects beside the file must bear that.
"""

FORK_SECONDS: Final = 1.0
"""How long a fork waits for the end of a transaction; after that the child may not use the file."""

_FORK_ADVICE: Final = "start OS processes before the file is opened, or with multiprocessing's spawn"

Synchronous = Literal["normal", "full"]
"""Whether the commit of durable calls waits for the disk (SQLite's words).

"full" waits: a returned call survives a power cut. "normal" does not: a power cut may undo the calls of the last
moments, though nothing is half written. A crash of the OS process alone loses nothing in either.
"""


class SqliteThread(DatabaseThread[sqlite3.Connection]):
    """A connection to a SQLite file, and its thread.

    A fork waits FORK_SECONDS for the end of a transaction; after that the child may not use the file. Calls that wait
    for a locked file fail once it is closed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = SqliteFile(path)
        self._connection: sqlite3.Connection | None = None
        self._is_inherited = False
        """Whether a fork carried the connection over, since it found it in use."""
        self._is_parked = False
        """Whether the thread that forks holds `_connection_lock`."""
        super().__init__(path.name)

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
        super().after_fork_in_child()

    @override
    def _refuse(self, why: str, advice: str) -> NoReturn:
        raise SqliteError(self.path, why, advice)

    @override
    def _check_accepts(self) -> None:
        super()._check_accepts()
        if self._is_inherited:
            self._refuse("this OS process was forked in the middle of a write", _FORK_ADVICE)

    @override
    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _retry(self, step: Callable[[], R]) -> R:
        """Run a step again while other OS processes lock the file, but not for long once it is being closed."""
        return retry_while_locked(self.path, step, lambda: self._is_closed)


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

    @override
    def _disconnect(self) -> None:
        super()._disconnect()
        self._waits_for_disk = False

    @override
    def _run(self, calls: "Sequence[QueuedCall[object]]") -> None:
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
                    self._run([call])

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
    def _run(self, calls: "Sequence[QueuedCall[object]]") -> None:
        for call in calls:
            self._answer(call)

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
