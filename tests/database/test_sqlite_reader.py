"""The reader of a SQLite file sees what was committed, and changes nothing."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from headrace.database.sqlite_file import SqliteError
from headrace.database.sqlite_threads import SqliteReader, SqliteWriter

pytestmark = pytest.mark.asyncio


def _table(connection: sqlite3.Connection) -> None:
    connection.execute("create table numbers (number integer primary key)")


def _numbers(connection: sqlite3.Connection) -> list[int]:
    return [number for (number,) in connection.execute("select number from numbers order by number")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.db"


@pytest_asyncio.fixture
async def writer(path: Path) -> AsyncIterator[SqliteWriter]:
    writer = SqliteWriter(path, opened=_table)
    await writer.start()
    yield writer
    await writer.aclose()


@pytest_asyncio.fixture
async def reader(writer: SqliteWriter) -> AsyncIterator[SqliteReader]:
    reader = SqliteReader(writer.path)
    await reader.start()
    yield reader
    await reader.aclose()


async def test_what_was_written_is_read_at_once(writer: SqliteWriter, reader: SqliteReader) -> None:
    for number in range(50):
        await writer.run(lambda connection, one=number: connection.execute("insert into numbers values (?)", (one,)))  # type: ignore[misc] # bound now
        assert await reader.run(_numbers) == list(range(number + 1))


async def test_one_work_sees_one_state_of_the_file(writer: SqliteWriter, reader: SqliteReader) -> None:
    def twice(connection: sqlite3.Connection) -> tuple[list[int], list[int]]:
        before = _numbers(connection)
        writer.run_sync(lambda writing: writing.execute("insert into numbers values (1)"))
        return before, _numbers(connection)

    assert await reader.run(twice) == ([], [])
    assert await reader.run(_numbers) == [1]


async def test_a_reader_writes_nothing(reader: SqliteReader) -> None:
    with pytest.raises(SqliteError, match="attempt to write a readonly database"):
        await reader.run(lambda connection: connection.execute("insert into numbers values (1)"))
    assert await reader.run(_numbers) == []


async def test_a_work_that_fails_keeps_no_other_from_its_answer(reader: SqliteReader) -> None:
    def fail(_: sqlite3.Connection) -> None:
        raise LookupError

    told = await asyncio.gather(reader.run(_numbers), reader.run(fail), reader.run(_numbers), return_exceptions=True)
    assert [type(one) for one in told] == [list, LookupError, list]


async def test_a_file_that_is_gone_is_said(reader: SqliteReader, path: Path) -> None:
    await asyncio.to_thread(path.rename, path.with_suffix(".gone"))
    with pytest.raises(SqliteError, match="deleted or replaced"):
        await reader.run(_numbers)


async def test_a_closed_reader_says_so(reader: SqliteReader) -> None:
    reading = asyncio.ensure_future(reader.run(_numbers))
    await asyncio.sleep(0)
    await reader.aclose()
    assert await reading == []
    with pytest.raises(SqliteError, match="it is closed"):
        await reader.run(_numbers)
