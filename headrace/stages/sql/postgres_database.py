"""A PostgreSQL database of a stage: one connection for each batch in flight, and a new one after a loss."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import JsonDumper
from typing_extensions import override

from headrace.database.postgres import options_of, why
from headrace.database.urls import shown
from headrace.stages.sql.database import Database, DatabaseFailed, DatabaseUnreachable, Insert, SqlRow, parameters
from headrace.values import to_json

_SETUP_LOCK: Final = 0x6865_6164
"""The lock around `setup`: PostgreSQL fails two connections that create a table at once, even with `if not exists`."""

_ROW_STATES: Final = ("22", "23", "44", "42804", "P0001")
"""SQLSTATE classes of errors of a row: its data, a constraint, a view's check, a type, or a trigger's exception."""

_UNREACHABLE: Final = re.compile(
    r"connection refused|time(d )?out|(resolve|translate) host|no route to host|unreachable|host is down"
    r"|connection reset|broken pipe|closed the connection|could not (receive|send) data|no such file or directory"
    r"|starting up|shutting down|in recovery mode|not yet accepting connections|too many clients|connection slots"
    r"|terminating connection",
    re.IGNORECASE,
)
"""Messages of psycopg, libpq and servers about a server that may serve soon; these errors have no SQLSTATE code."""

_UNFIT: Final = (TypeError, ValueError, RecursionError)
"""Errors of values that have no text or JSON."""

_ADVICE: Final = "see that it can be reached, and that its tables and columns are there"


class _EventDumper(JsonDumper):
    """Writes dicts and lists as JSON, as other sinks do."""

    @override
    def dump(self, obj: object) -> bytes:
        return to_json(obj).encode()


class PostgresDatabase(Database):
    """The database at a URL of libpq. Dicts, lists and tuples are written as JSON.

    Several calls of `write` may run at a time, each on its own connection. When one is cancelled or loses its
    connection, all its rows are written or none; which of the two is unknown if it was committing.
    """

    def __init__(self, url: str, setup: str | None = None) -> None:
        """`setup` has statements to run in one transaction after each connect."""
        self._url = url
        self._setup = setup
        self._idle: list[psycopg.AsyncConnection[DictRow]] = []
        self._is_open = False

    @property
    @override
    def called(self) -> str:
        return shown(self._url)

    @override
    async def open(self) -> None:
        self._is_open = True
        async with self._lent():
            pass

    @override
    async def write(self, insert: Insert, rows: Sequence[Sequence[object]]) -> dict[int, str]:
        text = insert.text("%s").encode()
        async with self._lent() as connection:
            try:
                return await _write(connection, text, rows)
            except (psycopg.Error, *_UNFIT) as error:
                if not _is_of_row(error):
                    raise
            return await _write_each(connection, text, rows)

    @override
    async def read(self, query: str, values: SqlRow) -> list[dict[str, object]]:
        text, _ = parameters(query.replace("%", "%%"), lambda name: f"%({name})s")
        async with self._lent() as connection:
            cursor = await connection.execute(text.encode(), values)
            return await cursor.fetchall() if cursor.description else []

    @override
    async def close(self) -> None:
        self._is_open = False
        await self._disconnect()

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[psycopg.AsyncConnection[DictRow]]:
        """Lend an idle connection or a new one; close a lost one, and one whose work was cancelled.

        Raises `DatabaseFailed` for all errors of psycopg.
        """
        if not self._is_open:
            raise DatabaseFailed(self.called, "it is not open", "open it first")
        try:
            connection = self._idle.pop() if self._idle else await self._connect()
        except psycopg.Error as error:
            raise self._not_connected(error) from None  # psycopg's error may show the URL
        try:
            yield connection
        except psycopg.Error as error:
            is_lost = connection.closed
            await self._give_back(connection)
            if is_lost:
                raise DatabaseUnreachable(self.called, why(error)) from error
            raise DatabaseFailed(self.called, why(error), _ADVICE) from error
        except BaseException:
            await _closed(connection)
            raise
        await self._give_back(connection)

    async def _give_back(self, connection: psycopg.AsyncConnection[DictRow]) -> None:
        """Make a connection idle; when it was lost, close all idle ones, too."""
        self._idle.append(connection)
        if connection.closed or not self._is_open:
            await self._disconnect()

    async def _disconnect(self) -> None:
        while self._idle:
            await _closed(self._idle.pop())

    async def _connect(self) -> psycopg.AsyncConnection[DictRow]:
        connection = await psycopg.AsyncConnection.connect(
            options_of(self._url),
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
        reason = why(error)
        if isinstance(error, psycopg.OperationalError) and _UNREACHABLE.search(reason):
            return DatabaseUnreachable(self.called, reason)
        return DatabaseFailed(self.called, reason, _ADVICE)


async def _closed(connection: psycopg.AsyncConnection[DictRow]) -> None:
    with suppress(psycopg.Error):  # it was lost before
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
        # Otherwise a deferred constraint would refuse all rows at the end.
        await connection.execute("set constraints all immediate")
        for position, row in enumerate(rows):
            try:
                async with connection.transaction():
                    await connection.execute(text, row)
            except (psycopg.Error, *_UNFIT) as error:
                if not _is_of_row(error):
                    raise
                refused[position] = why(error)
    return refused


def _is_of_row(error: Exception) -> bool:
    if not isinstance(error, psycopg.Error):
        return True
    if error.sqlstate is not None:
        return error.sqlstate.startswith(_ROW_STATES)
    return isinstance(error, psycopg.DataError | psycopg.ProgrammingError)  # psycopg cannot write a value
