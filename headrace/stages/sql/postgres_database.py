"""A PostgreSQL database of a stage: a connection for each batch under way, made again once it is lost."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import JsonDumper
from typing_extensions import override

from headrace.database.urls import shown
from headrace.stages.sql.database import DatabaseFailed, DatabaseUnreachable, Insert, SqlRow, parameters
from headrace.values import to_json

_OPTIONS: Final[Mapping[str, int]] = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""Options of libpq, in seconds and milliseconds, unless the URL has them: a vanished server is noticed in a minute.

By itself Linux waits for 15 minutes, or, where nothing was to be sent, for two hours.
"""

_SETUP_LOCK: Final = 0x6865_6164
"""Held while tables are made: PostgreSQL fails two who make the same one at once, `if not exists` or not."""

_ROW_STATES: Final = ("22", "23", "44", "42804", "P0001")
"""What is wrong with a row: its data, a constraint, a view's check, a type, or what a trigger raises."""

_UNREACHABLE: Final = re.compile(
    r"connection refused|time(d )?out|(resolve|translate) host|no route to host|unreachable|host is down"
    r"|connection reset|broken pipe|closed the connection|could not (receive|send) data|no such file or directory"
    r"|starting up|shutting down|in recovery mode|not yet accepting connections|too many clients|connection slots"
    r"|terminating connection",
    re.IGNORECASE,
)
"""How psycopg, libpq and a server describe a server that may serve soon: no code comes before a connection."""

_UNFIT: Final = (TypeError, ValueError, RecursionError)
"""What has no text or JSON that could be sent."""

_ADVICE: Final = "see that it can be reached, and that its tables and columns are there"


class _EventDumper(JsonDumper):
    """Writes dicts and lists as all sinks write events."""

    @override
    def dump(self, obj: object) -> bytes:
        return to_json(obj).encode()


class PostgresDatabase:
    """The database at a URL, as libpq reads it. Dicts, lists and tuples are written as JSON."""

    def __init__(self, url: str, setup: str | None = None) -> None:
        """`setup` are statements that are run, in one transaction, whenever it has connected."""
        self._url = url
        self._setup = setup
        self._idle: list[psycopg.AsyncConnection[DictRow]] = []
        self._is_open = False

    @property
    def called(self) -> str:
        """What sentences call it: its URL without password and options."""
        return shown(self._url)

    async def open(self) -> None:
        """Connect. When cancelled it is not connected."""
        self._is_open = True
        async with self._lent():
            pass

    async def write(self, insert: Insert, rows: Sequence[Sequence[object]]) -> dict[int, str]:
        """Write all rows in one transaction; return why some were refused, by their place.

        Several may write at a time, each by a connection of its own. Cancelled, or when the connection is lost, it has
        written all or none: which of them, nobody knows if that was while it committed.
        """
        text = insert.text("%s").encode()
        async with self._lent() as connection:
            try:
                return await _write(connection, text, rows)
            except (psycopg.Error, *_UNFIT) as error:
                if not _is_of_row(error):
                    raise
            return await _write_each(connection, text, rows)

    async def read(self, query: str, values: SqlRow) -> list[dict[str, object]]:
        """Return the rows of a query."""
        text, _ = parameters(query.replace("%", "%%"), lambda name: f"%({name})s")
        async with self._lent() as connection:
            cursor = await connection.execute(text.encode(), values)
            return await cursor.fetchall() if cursor.description else []

    async def close(self) -> None:
        """Disconnect; a connection that is in use is closed by whoever uses it."""
        self._is_open = False
        await self._disconnect()

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[psycopg.AsyncConnection[DictRow]]:
        """Lend a connection that nobody uses, or a new one; one that is lost, or was left at its work, is closed.

        Raises `DatabaseFailed` for all of psycopg's own errors.
        """
        if not self._is_open:
            raise DatabaseFailed(self.called, "it is not open", "open it first")
        try:
            connection = self._idle.pop() if self._idle else await self._connect()
        except psycopg.Error as error:
            raise self._not_connected(error) from None  # psycopg's own error may show the URL
        try:
            yield connection
        except psycopg.Error as error:
            is_lost = connection.closed
            await self._give_back(connection)
            if is_lost:
                raise DatabaseUnreachable(self.called, _why(error)) from error
            raise DatabaseFailed(self.called, _why(error), _ADVICE) from error
        except BaseException:
            await _closed(connection)
            raise
        await self._give_back(connection)

    async def _give_back(self, connection: psycopg.AsyncConnection[DictRow]) -> None:
        """Keep a connection for the next; of one that was lost, the idle ones are taken for lost, too."""
        self._idle.append(connection)
        if connection.closed or not self._is_open:
            await self._disconnect()

    async def _disconnect(self) -> None:
        while self._idle:
            await _closed(self._idle.pop())

    async def _connect(self) -> psycopg.AsyncConnection[DictRow]:
        options = dict(parse_qsl(urlsplit(self._url).query))
        unsaid = {name: value for name, value in _OPTIONS.items() if name not in options}
        connection = await psycopg.AsyncConnection.connect(
            make_conninfo(self._url, **unsaid),
            autocommit=True,
            row_factory=dict_row,
            fallback_application_name="headrace",
        )
        try:
            for kind in (dict, list, tuple):
                connection.adapters.register_dumper(kind, _EventDumper)
            if self._setup is not None:
                async with connection.transaction():
                    await connection.execute("select pg_advisory_xact_lock(%s)", [_SETUP_LOCK])
                    await connection.execute(self._setup.encode())
        except BaseException:
            await connection.close()
            raise
        return connection

    def _not_connected(self, error: psycopg.Error) -> DatabaseFailed:
        if isinstance(error, psycopg.ProgrammingError) and error.sqlstate is None:
            return DatabaseFailed(self.called, "its URL says what libpq does not know", "see the options behind its ?")
        why = _why(error)
        if isinstance(error, psycopg.OperationalError) and _UNREACHABLE.search(why):
            return DatabaseUnreachable(self.called, why)
        return DatabaseFailed(self.called, why, _ADVICE)


async def _closed(connection: psycopg.AsyncConnection[DictRow]) -> None:
    with suppress(psycopg.Error):  # it is lost already
        await connection.close()


async def _write(
    connection: psycopg.AsyncConnection[DictRow], text: bytes, rows: Sequence[Sequence[object]]
) -> dict[int, str]:
    async with connection.transaction(), connection.cursor() as cursor:
        await cursor.executemany(text, rows)
    return {}


async def _write_each(
    connection: psycopg.AsyncConnection[DictRow], text: bytes, rows: Sequence[Sequence[object]]
) -> dict[int, str]:
    refused: dict[int, str] = {}
    async with connection.transaction():
        # Else a constraint that is deferred would refuse, at the end, all rows or none.
        await connection.execute("set constraints all immediate")
        for position, row in enumerate(rows):
            try:
                async with connection.transaction():
                    await connection.execute(text, row)
            except (psycopg.Error, *_UNFIT) as error:
                if not _is_of_row(error):
                    raise
                refused[position] = _why(error)
    return refused


def _is_of_row(error: Exception) -> bool:
    if not isinstance(error, psycopg.Error):
        return True
    if error.sqlstate is not None:
        return error.sqlstate.startswith(_ROW_STATES)
    return isinstance(error, psycopg.DataError | psycopg.ProgrammingError)  # psycopg has no text for a value


def _why(error: Exception) -> str:
    """Return the error in one line, without the detail in which PostgreSQL shows values."""
    options = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return " ".join((options or str(error)).split()) or type(error).__name__
