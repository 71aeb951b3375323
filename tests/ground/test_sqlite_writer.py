"""The writer of a SQLite file: what it accepted is committed, or said to have failed."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from headrace.ground.sqlite_writer import SqliteError, SqliteWriter


def _table(connection: sqlite3.Connection) -> None:
    connection.execute("create table if not exists numbers (number integer primary key)")


def _add(connection: sqlite3.Connection, number: int) -> int:
    connection.execute("insert into numbers values (?)", (number,))
    return number


def _numbers(path: Path) -> list[int]:
    connection = sqlite3.connect(path)
    try:
        return [number for (number,) in connection.execute("select number from numbers order by number")]
    finally:
        connection.close()


async def _adding(writer: SqliteWriter, number: int) -> int:
    return await writer.run(lambda connection: _add(connection, number))


@pytest.mark.asyncio
async def test_what_is_returned_is_committed(tmp_path: Path) -> None:
    writer = SqliteWriter(tmp_path / "a.db", opened=_table)
    writer.start()
    assert await _adding(writer, 7) == 7
    assert _numbers(tmp_path / "a.db") == [7]
    writer.close()


@pytest.mark.asyncio
async def test_a_work_that_fails_undoes_itself_alone(tmp_path: Path) -> None:
    writer = SqliteWriter(tmp_path / "a.db", opened=_table)
    writer.start()
    ended = await asyncio.gather(*(_adding(writer, n) for n in (1, 2, 2, 3)), return_exceptions=True)
    writer.close()
    assert [type(one) for one in ended] == [int, int, sqlite3.IntegrityError, int]
    assert _numbers(tmp_path / "a.db") == [1, 2, 3]


@pytest.mark.asyncio
async def test_what_was_accepted_is_written_before_it_closes(tmp_path: Path) -> None:
    writer = SqliteWriter(tmp_path / "a.db", opened=_table)
    writer.start()
    async with asyncio.TaskGroup() as tasks:
        for number in range(100):
            tasks.create_task(_adding(writer, number))
        await asyncio.sleep(0)
        writer.close()
    assert _numbers(tmp_path / "a.db") == list(range(100))


def test_a_thread_without_a_loop_writes_too(tmp_path: Path) -> None:
    writer = SqliteWriter(tmp_path / "a.db", opened=_table)
    writer.start()
    assert writer.run_sync(lambda connection: _add(connection, 5)) == 5
    writer.close()
    assert _numbers(tmp_path / "a.db") == [5]


def test_a_closed_writer_says_so(tmp_path: Path) -> None:
    writer = SqliteWriter(tmp_path / "a.db", opened=_table)
    writer.start()
    writer.close()
    with pytest.raises(SqliteError, match="it is closed"):
        writer.run_sync(lambda connection: _add(connection, 5))


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    writer = SqliteWriter(tmp_path / "none" / "a.db", opened=_table)
    with pytest.raises(SqliteError, match="see that its folder exists"):
        writer.start()
    writer.close()
