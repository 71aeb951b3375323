"""`PostgresWriter`, `PostgresReader` and `PostgresListener`: each owns a connection of psycopg, and its thread."""

import itertools
import json
import random
import re
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from inspect import iscoroutinefunction
from typing import Any, ClassVar, Final, NoReturn, Protocol, TypeVar, runtime_checkable
from urllib.parse import parse_qsl, urlsplit

import psycopg
from psycopg.abc import Buffer
from psycopg.conninfo import make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row
from psycopg.types.datetime import TimestampLoader
from psycopg.types.json import set_json_loads
from psycopg.types.numeric import Int8Dumper
from typing_extensions import override

from headrace.database.forking import Forkable, add_fork_hooks
from headrace.database.threads import CommitUnknown, DatabaseThread, QueuedCall
from headrace.database.urls import shown
from headrace.errors import HeadraceError
from headrace.telemetry.events import LOG

Connection = psycopg.Connection[tuple[Any, ...]]
Cursor = psycopg.RawCursor[tuple[Any, ...]]
"""A cursor whose statements have the placeholders $1, $2 and so on."""

R = TypeVar("R")

OPTIONS: Final[Mapping[str, int]] = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""Default options of libpq, in seconds and milliseconds, to notice a vanished server within a minute.

Linux alone waits for 15 minutes, or, for an idle connection, two hours.
"""

CONNECT_SECONDS: Final = 2.0
"""How long calls wait for a new connection before they fail: a server that restarts is back within that time."""

PAUSES_SECONDS: Final = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Between two attempts to connect, each with a jitter of half; the last one repeatedly."""

ATTEMPTS: Final = 5
"""How often a call runs that a deadlock or a lost connection undid."""

_RETRIED: Final = ("40P01", "40001")
"""A deadlock, and a transaction that could not be serialised: the server undid it, and it may run again."""

_WRAPPERS: Final = 4
"""A Session of SQLAlchemy has a Connection, which has one of a pool, which has psycopg's."""

_NOT_DURABLE: Final = b"begin; set local synchronous_commit = off; set local enable_sort = off"
"""Begins a transaction whose commit does not wait for the disk.

Without the sort the planner takes the index of a claim, even after an ANALYZE while no job was available.
"""


class PostgresError(HeadraceError):
    """A PostgreSQL database could not be used; `why` is the server's own text."""

    def __init__(self, database: str, why: str, advice: str) -> None:
        self.database = database
        self.why = why
        super().__init__(f"the database {database} cannot be used ({why}): {advice}")


@runtime_checkable
class MergedWork(Protocol):
    """Work that the writer runs together with others of its class by one statement."""

    def __call__(self, cursor: Cursor) -> object:
        """Run it alone."""

    def run_all(self, cursor: Cursor, works: Sequence[Any]) -> Sequence[object]:
        """Run all these works of its class; return the result of each."""


def options_of(url: str) -> str:
    """Return the connection string of a URL, with the default options that it does not set."""
    options = dict(parse_qsl(urlsplit(url).query))
    return make_conninfo(url, **{name: value for name, value in OPTIONS.items() if name not in options})


def why(error: Exception) -> str:
    """Return the error in one line, without PostgreSQL's detail, which shows values."""
    text = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return " ".join((text or str(error)).split()) or type(error).__name__


def driver_connection(connection: object) -> object:
    """Return psycopg's connection behind a Session or Connection of SQLAlchemy or of Django, any other as it is."""
    found = connection
    for _ in range(_WRAPPERS):
        if isinstance(found, psycopg.Connection):
            return found
        inner = getattr(found, "driver_connection", None) or getattr(found, "connection", None)
        if inner is None or iscoroutinefunction(inner):
            return connection
        found = inner() if callable(inner) else inner
    return found if isinstance(found, psycopg.Connection) else connection


def raw_cursor(connection: object) -> Cursor | None:
    """Return a cursor of a user's connection, None when it is no sync connection of psycopg."""
    if not isinstance(connection, psycopg.Connection):
        return None
    cursor: Cursor = psycopg.RawCursor(connection, row_factory=tuple_row)
    cursor.adapters.register_dumper(int, Int8Dumper)
    return cursor


def transaction_problem(connection: object) -> str | None:
    """Return why no job can be part of the connection's transaction; None when one can."""
    if not isinstance(connection, psycopg.Connection):
        return f"it is a {type(connection).__name__}: hand in a connection of psycopg to the store's database"
    if connection.closed:
        return "it is closed: connect again"
    status = connection.info.transaction_status
    if status is TransactionStatus.INERROR:
        return "its transaction has failed: roll it back, and begin anew"
    if status is TransactionStatus.IDLE and connection.autocommit:
        return "it commits each statement by itself; begin a transaction first"
    return None


def is_database_error(error: BaseException) -> bool:
    """Return whether the driver raised an error."""
    return isinstance(error, psycopg.Error)


def _loads(data: str | bytes) -> object:
    return {} if data == b"{}" else json.loads(data)


class _AnyTimestampLoader(TimestampLoader):
    """Reads infinite times, and times that Python cannot hold, as the last or the first one."""

    @override
    def load(self, data: Buffer) -> datetime:
        try:
            return super().load(data)
        except psycopg.DataError:
            is_past = bytes(data).startswith(b"-") or bytes(data).endswith(b"BC")
            return datetime.min if is_past else datetime.max  # noqa: DTZ901 - a column without a zone


class PostgresThread(DatabaseThread[Cursor]):
    """A connection to a database, and its thread. A lost connection is replaced before the next call.

    A forked child opens a connection of its own.
    """

    def __init__(self, url: str, *, opened: Callable[[Cursor], None] | None = None) -> None:
        """`opened` runs in the first transaction of each connection: it makes the tables if there are none."""
        self._url = url
        self._opened = opened
        self._connection: Connection | None = None
        self._cursor: Cursor | None = None
        self._inherited: list[object] = []
        """Connections of the parent, kept so that the child does not close them."""
        self.session_id: int | None = None
        """The number of the server's process for this connection, which its notifications carry."""
        self._down_since: float | None = None
        self._reads_any_time = False
        """Whether a time was found that Python cannot hold: from then on the slower loader is used."""
        super().__init__(shown(url))

    @override
    def after_fork_in_child(self) -> None:
        self._inherited += [self._connection, self._cursor]
        self._connection = self._cursor = None
        super().after_fork_in_child()

    @override
    def _refuse(self, why: str, advice: str) -> NoReturn:
        raise PostgresError(self._database, why, advice)

    @override
    def _disconnect(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error):  # it was lost before
                self._connection.close()
        self._connection = self._cursor = None

    def _ready(self) -> Cursor:
        """Return a cursor of the connection; connect if there is none, or if it was lost."""
        if self._connection is None or self._cursor is None or self._connection.closed:
            self._disconnect()
            self._connection, self._cursor = self._connect()
            self.session_id = self._connection.info.backend_pid
            if self._reads_any_time:
                self._cursor.adapters.register_loader("timestamp", _AnyTimestampLoader)
        return self._cursor

    def _may_repeat(self, error: BaseException) -> bool:
        """Return whether the same call may succeed now: it was not committed."""
        if isinstance(error, HeadraceError):
            return False
        if isinstance(error, psycopg.DataError) and error.sqlstate is None and not self._reads_any_time:
            self._reads_any_time = True  # another program wrote a time such as infinity
            self._disconnect()
            return True
        if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
            self._disconnect()  # it was the main server, and is a standby now: the next call looks for the new one
            return False
        return self._lost()

    def _connect(self) -> tuple[Connection, Cursor]:
        """Try to connect for CONNECT_SECONDS. Raises PostgresError."""
        began = time.monotonic()
        for pause in _pauses():
            try:
                connection, cursor = connected(self._url)
                self._prepare(connection, cursor)
            except psycopg.Error as error:
                self._down_since = self._down_since or began
                if self._is_closed or not _may_pass(error) or time.monotonic() - began >= CONNECT_SECONDS:
                    raise self._translated(error) from None  # psycopg's error may show the URL
                time.sleep(pause)
            else:
                break
        self._was_opened = True
        if self._down_since is not None:
            seconds = time.monotonic() - self._down_since
            self._down_since = None
            if self._opened is not None:
                LOG.warning("the database %s can be used again after %.1f s", self._database, seconds)
        return connection, cursor

    def _prepare(self, connection: Connection, cursor: Cursor) -> None:
        if self._opened is None:
            return
        try:
            with connection.transaction():
                self._opened(cursor)
        except BaseException:
            connection.close()
            raise

    def _lost(self) -> bool:
        """Return whether the connection was lost; record when."""
        is_lost = self._connection is not None and self._connection.closed
        if is_lost and self._down_since is None:
            self._down_since = time.monotonic()
        return is_lost

    def _translated(self, error: BaseException) -> BaseException:
        """Return an error of the driver as a PostgresError, any other as it is."""
        if not isinstance(error, psycopg.Error):
            return error
        translated = PostgresError(self._database, why(error), _advice(error))
        translated.__cause__ = error if error.sqlstate is not None else None
        return translated


class PostgresWriter(PostgresThread):
    """Owns the connection that writes.

    When the future of a call is done, it is committed, or the future holds an error. A call that raises undoes itself
    alone. The commit of calls that are not durable does not wait for the disk.
    """

    name: ClassVar[str] = "writes"

    @override
    def _run(self, calls: "Sequence[QueuedCall[object]]") -> None:
        """Run all calls in one transaction; if one fails, run each in its own, and keep the error of each."""
        for attempt in range(ATTEMPTS if calls else 0):
            try:
                return self._commit(self._ready(), calls)
            except BaseException as error:  # noqa: BLE001 - the callers get it
                if self._may_repeat(error) and attempt < ATTEMPTS - 1:
                    continue
                if len(calls) > 1 and not isinstance(error, HeadraceError):
                    for call in calls:
                        self._run([call])
                    return None
                if getattr(error, "sqlstate", None) in _RETRIED and attempt < ATTEMPTS - 1:
                    continue
                for call in calls:
                    call.error = self._translated(error)
                return None
        return None

    def _commit(self, cursor: Cursor, calls: "Sequence[QueuedCall[object]]") -> None:
        is_durable = any(call.is_durable for call in calls)
        try:
            cursor.execute(b"begin" if is_durable else _NOT_DURABLE)
            for kind, group in itertools.groupby(calls, lambda call: type(call.work)):
                _run_alike(cursor, kind, list(group))
        except BaseException:
            with suppress(psycopg.Error):  # the connection was lost
                cursor.execute(b"rollback")
            raise
        try:
            cursor.execute(b"commit")
        except psycopg.Error:
            if self._lost():
                raise CommitUnknown(self._database) from None
            raise


def _run_alike(cursor: Cursor, kind: type, calls: "Sequence[QueuedCall[object]]") -> None:
    """Run calls whose works are of one class: 100 concurrent inserts by one statement are 5 times as fast."""
    first = calls[0].work
    if len(calls) > 1 and issubclass(kind, MergedWork) and isinstance(first, MergedWork):
        results = first.run_all(cursor, [call.work for call in calls])
        for call, result in zip(calls, results, strict=True):
            call.result = result
        return
    for call in calls:
        call.result = call.work(cursor)


class PostgresReader(PostgresThread):
    """Owns a connection that reads, each statement by itself. Each call sees the commits that came before it."""

    name: ClassVar[str] = "reads"

    @override
    def _run(self, calls: "Sequence[QueuedCall[object]]") -> None:
        for call in calls:
            self._answer(call)

    def _answer(self, call: QueuedCall[object]) -> None:
        for attempt in range(ATTEMPTS):
            try:
                call.result = call.work(self._ready())
            except BaseException as error:  # noqa: BLE001 - the caller gets it
                if self._may_repeat(error) and attempt < ATTEMPTS - 1:
                    continue
                call.error = self._translated(error)
            return


class PostgresListener(Forkable):
    """Listens to channels on a connection and a thread of its own, and connects again after a loss.

    `notified` is called in that thread with the channel, the payload and the `session_id` of the sender; after each
    LISTEN also with two empty texts and 0, since notifications may have been lost before. A forked child does not
    listen.
    """

    def __init__(self, url: str, channels: Sequence[str], notified: Callable[[str, str, int], None]) -> None:
        """The names of the `channels` get the schema in front of them, as Oban's have."""
        self._url = url
        self._channels = channels
        self._notified = notified
        self._is_closed = False
        self.is_listening = False
        self._has_warned = False
        self._sockets: tuple[socket.socket, socket.socket] | None = None
        """A byte sent to the first wakes the thread, which waits for the second, too."""
        self._inherited: list[object] = []
        self._connection: Connection | None = None
        self._thread = threading.Thread(target=self._serve, name=f"headrace listens {shown(url)}", daemon=True)

    def start(self) -> None:
        """Begin to listen, without waiting for the connection."""
        add_fork_hooks(self)
        self._sockets = socket.socketpair()
        self._thread.start()

    @override
    def after_fork_in_child(self) -> None:
        self._inherited.append(self._connection)
        self._is_closed = True

    def close(self) -> None:
        """End the thread and close its connection."""
        if self._sockets is None or self._is_closed:
            return
        self._is_closed = True
        self._sockets[0].send(b"x")
        self._thread.join()
        for one in self._sockets:
            one.close()

    def _serve(self) -> None:
        assert self._sockets is not None  # noqa: S101 - `start` made them
        woken = self._sockets[1]
        pauses = _pauses()
        while not self._is_closed:
            try:
                self._connection, cursor = connected(self._url)
                try:
                    self._listen(self._connection, cursor, woken)
                    pauses = _pauses()
                finally:
                    self.is_listening = False
                    self._connection.close()
            except (psycopg.Error, OSError) as error:
                LOG.debug("the database %s cannot be listened to: %s", shown(self._url), why(error))
                select.select([woken], [], [], next(pauses))

    def _listen(self, connection: Connection, cursor: Cursor, woken: socket.socket) -> None:
        """Listen until closed. Raises psycopg.Error when the connection is lost."""
        if is_pooled(connection) and not self._has_warned:
            self._has_warned = True
            text = (
                "a pooler stands before %s, and notifications may not arrive: each process looks for jobs every second"
            )
            LOG.warning(text, shown(self._url))
        cursor.execute(b"select current_schema()")
        ((schema,),) = cursor.fetchall()
        for channel in self._channels:
            cursor.execute(f'listen "{schema}.{channel}"'.encode())
        self.is_listening = True
        self._notified("", "", 0)
        while not self._is_closed:
            select.select([connection.fileno(), woken.fileno()], [], [])
            connection.pgconn.consume_input()
            while notification := connection.pgconn.notifies():
                channel = notification.relname.decode().removeprefix(f"{schema}.")
                self._notified(channel, notification.extra.decode(errors="replace"), notification.be_pid)


def connected(url: str) -> tuple[Connection, Cursor]:
    """Return a new connection, which commits each statement by itself, and a cursor of it. Raises psycopg.Error."""
    connection = psycopg.connect(options_of(url), autocommit=True, fallback_application_name="headrace")
    if is_pooled(connection):
        connection.prepare_threshold = None  # a statement may run on another session than the one that prepared it
    set_json_loads(_loads, connection)
    connection.adapters.register_dumper(int, Int8Dumper)  # one prepared statement, whatever the numbers
    return connection, psycopg.RawCursor(connection)


def is_pooled(connection: Connection) -> bool:
    """Return whether a pooler such as PgBouncer stands between: the session's process is not the one that it named."""
    (found,) = connection.execute("select pg_backend_pid()").fetchall()
    return bool(found[0] != connection.info.backend_pid)


def _pauses() -> Iterator[float]:
    """Yield the seconds between attempts to connect."""
    for number in itertools.count():
        yield PAUSES_SECONDS[min(number, len(PAUSES_SECONDS) - 1)] * random.uniform(0.5, 1.0)  # noqa: S311 - a jitter


_REFUSED: Final = re.compile(r"password|authentication|no pg_hba|does not exist|invalid (connection|URI|percent)")
"""Messages of a server that refuses a connection and will refuse the next one."""


def _may_pass(error: psycopg.Error) -> bool:
    return isinstance(error, psycopg.OperationalError) and _REFUSED.search(why(error)) is None


def _advice(error: psycopg.Error) -> str:
    if isinstance(error, psycopg.OperationalError):
        return "see that it runs and can be reached, and that the URL has the right user, password and name"
    return "see that this user may use its tables, and that they are Oban's and headrace's"
