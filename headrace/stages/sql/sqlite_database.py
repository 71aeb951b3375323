"""A SQLite file as a database of a stage: one thread writes it, several batches in one transaction."""

import sqlite3
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from typing_extensions import override

from headrace.database.sqlite_file import SqliteError
from headrace.database.sqlite_threads import SqliteWriter
from headrace.stages.sql.database import Database, DatabaseFailed, Insert, SqlRow
from headrace.values import json_value, to_json

_LIMITS = (sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.DataError, OverflowError, TypeError, ValueError)
"""Errors of a row and not of the file. A type that SQLite does not know raises ProgrammingError."""


_NATIVE: Final = (str, int, float, bytes, bytearray, memoryview, type(None))

_OWN: Final = frozenset(_NATIVE)

_NO_FILE: Final = "check the path, which begins where the run was started, or make the file with its tables first"


class SqliteDatabase(Database):
    """The file at `path`, in WAL mode; commits wait for the disk."""

    def __init__(self, path: Path, setup: str | None = None, *, is_made: bool = True) -> None:
        """`setup` has statements to run once the file is open, such as `create table if not exists`.

        Unless `is_made`, the file must exist.
        """
        self._path = path
        self._is_made = is_made
        self._setup = setup
        self._writer: SqliteWriter | None = None

    @property
    @override
    def called(self) -> str:
        return f"sqlite:///{self._path}"

    @override
    async def open(self) -> None:
        if not self._is_made and not self._path.exists():
            raise DatabaseFailed(self.called, f"there is no file {self._path.absolute()}", _NO_FILE)
        writer = SqliteWriter(self._path, opened=self._prepare)
        try:
            await writer.start()
        except BaseException as error:
            await writer.aclose()
            if isinstance(error, SqliteError | sqlite3.Error):
                raise self._failed(error) from error
            raise
        self._writer = writer

    @override
    async def write(self, insert: Insert, rows: Sequence[Sequence[object]]) -> dict[int, str]:
        try:
            return await self._open.run(partial(_write, insert.text("?"), rows))
        except (SqliteError, sqlite3.Error) as error:
            raise self._failed(error) from error

    @override
    async def read(self, query: str, values: SqlRow) -> list[dict[str, object]]:
        try:
            return await self._open.run(partial(_read, query, values), is_durable=False)
        except (SqliteError, sqlite3.Error) as error:
            raise self._failed(error) from error

    @override
    async def close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            await writer.aclose()

    @property
    def _open(self) -> SqliteWriter:
        if self._writer is None:
            raise DatabaseFailed(self.called, "it is not open", "open it first")
        return self._writer

    def _prepare(self, connection: sqlite3.Connection) -> None:
        for statement in _statements(self._setup or ""):
            connection.execute(statement)

    def _failed(self, error: BaseException) -> DatabaseFailed:
        if isinstance(error, SqliteError):
            return DatabaseFailed(self.called, error.why, str(error).rpartition(": ")[2])
        return DatabaseFailed(self.called, str(error), "see that its tables and columns are there, and what locks it")


def _statements(text: str) -> list[str]:
    found, statement = list[str](), ""
    for part in text.split(";"):
        statement += part
        if sqlite3.complete_statement(f"{statement};"):
            found += [statement] if statement.strip() else []
            statement = ""
        else:
            statement += ";"
    return found


def _fit(row: Sequence[object]) -> list[object]:
    """Return the values as SQLite types: dicts and lists as JSON, dates and similar types as their JSON text."""
    return [value if type(value) in _OWN else _value(value) for value in row]


def _value(value: object) -> object:
    if isinstance(value, _NATIVE):
        return value
    if isinstance(value, dict | list | tuple | set | frozenset):
        return to_json(value)
    return json_value(value)


def _write(text: str, rows: Sequence[Sequence[object]], connection: sqlite3.Connection) -> dict[int, str]:
    connection.execute("savepoint rows")
    try:
        connection.executemany(text, map(_fit, rows))
    except (*_LIMITS, sqlite3.ProgrammingError):
        connection.execute("rollback to rows")
        return _write_each(text, rows, connection)
    finally:
        connection.execute("release rows")
    return {}


def _write_each(text: str, rows: Sequence[Sequence[object]], connection: sqlite3.Connection) -> dict[int, str]:
    refused: dict[int, str] = {}
    for position, row in enumerate(rows):
        try:
            connection.execute(text, _fit(row))
        except (*_LIMITS, sqlite3.ProgrammingError) as error:
            refused[position] = str(error)
    return refused


def _read(query: str, values: SqlRow, connection: sqlite3.Connection) -> list[dict[str, object]]:
    cursor = connection.execute(query, dict(values))
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor]
