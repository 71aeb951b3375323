"""The writer of a SQLite file: what it accepted is committed, or said to have failed."""

import asyncio
import logging
import os
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from headrace.database.sqlite_file import DiskFull, SqliteError
from headrace.database.sqlite_threads import SqliteWriter
from tests.fakes.forking import in_fork
from tests.fakes.no_room import no_room


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


def _synchronous(connection: sqlite3.Connection) -> int:
    (level,) = connection.execute("PRAGMA synchronous").fetchone()
    assert isinstance(level, int)
    return level


class NotYet(Exception):
    """A chore fails."""


class _Heard(logging.Filter):
    """Lets all records pass, and tells of the first."""

    def __init__(self) -> None:
        super().__init__()
        self.said = threading.Event()

    def filter(self, record: logging.LogRecord) -> bool:
        self.said.set()
        return True


def _take_away(path: Path) -> None:
    path.rename(path.with_suffix(".gone"))


def _replace(path: Path) -> None:
    _take_away(path)
    path.touch()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.db"


@pytest_asyncio.fixture
async def writer(path: Path) -> AsyncIterator[SqliteWriter]:
    writer = SqliteWriter(path, opened=_table)
    await writer.start()
    yield writer
    await writer.aclose()


async def _adding(writer: SqliteWriter, number: int) -> int:
    return await writer.run(lambda connection: _add(connection, number))


@pytest.mark.asyncio
async def test_what_is_returned_is_committed(writer: SqliteWriter, path: Path) -> None:
    assert await _adding(writer, 7) == 7
    assert _numbers(path) == [7]


@pytest.mark.asyncio
async def test_a_work_that_fails_undoes_itself_alone(writer: SqliteWriter, path: Path) -> None:
    ended = await asyncio.gather(*(_adding(writer, n) for n in (1, 2, 2, 3)), return_exceptions=True)
    assert [type(one) for one in ended] == [int, int, sqlite3.IntegrityError, int]
    assert _numbers(path) == [1, 2, 3]


@pytest.mark.asyncio
async def test_what_was_accepted_is_written_before_it_closes(writer: SqliteWriter, path: Path) -> None:
    async with asyncio.TaskGroup() as tasks:
        for number in range(100):
            tasks.create_task(_adding(writer, number))
        await asyncio.sleep(0)
        await writer.aclose()
    assert _numbers(path) == list(range(100))


@pytest.mark.asyncio
async def test_a_thread_without_a_loop_writes_too(writer: SqliteWriter, path: Path) -> None:
    assert await asyncio.to_thread(writer.run_sync, lambda connection: _add(connection, 5)) == 5
    assert _numbers(path) == [5]


@pytest.mark.asyncio
async def test_a_closed_writer_says_so_and_closes_twice(writer: SqliteWriter) -> None:
    await writer.aclose()
    await writer.aclose()
    writer.close()
    with pytest.raises(SqliteError, match="it is closed"):
        await _adding(writer, 5)


@pytest.mark.asyncio
async def test_a_missing_folder_is_named_and_the_file_opens_once_it_is_there(tmp_path: Path) -> None:
    writer = SqliteWriter(tmp_path / "none" / "a.db", opened=_table)
    with pytest.raises(SqliteError, match="see that its folder exists"):
        await writer.start()
    (tmp_path / "none").mkdir()
    assert await _adding(writer, 1) == 1
    await writer.aclose()


@pytest.mark.asyncio
async def test_only_durable_works_wait_for_the_disk(writer: SqliteWriter) -> None:
    assert await writer.run(_synchronous) == 2
    assert await writer.run(_synchronous, is_durable=False) == 1
    assert await asyncio.gather(*(writer.run(_synchronous, is_durable=one) for one in (False, True))) == [2, 2]


@pytest.mark.asyncio
async def test_normal_waits_for_no_disk_at_all(path: Path) -> None:
    writer = SqliteWriter(path, synchronous="normal")
    await writer.start()
    assert await writer.run(_synchronous) == 1
    await writer.aclose()


@pytest.mark.asyncio
async def test_a_file_that_another_program_locks_is_waited_for(
    writer: SqliteWriter, path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.database.sqlite_file.BUSY_SECONDS", 0.02)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    heard = _Heard()
    caplog.handler.addFilter(heard)
    adding = asyncio.ensure_future(_adding(writer, 3))
    await asyncio.to_thread(heard.said.wait)
    assert not adding.done()
    other.execute("COMMIT")
    assert await adding == 3
    assert "going on" in caplog.text
    other.close()


@pytest.mark.asyncio
async def test_a_file_that_stays_locked_keeps_nobody_from_closing(
    writer: SqliteWriter, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.database.sqlite_file.BUSY_SECONDS", 0.02)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    adding = asyncio.ensure_future(_adding(writer, 3))
    await asyncio.sleep(0)
    await writer.aclose()
    with pytest.raises(SqliteError, match="end the other program"):
        await adding
    other.close()


@pytest.mark.asyncio
async def test_a_full_disk_is_said_and_leaves_nothing_half_written(writer: SqliteWriter, path: Path) -> None:
    (pages,) = await writer.run(lambda connection: connection.execute("PRAGMA page_count").fetchone())
    await writer.run(lambda connection: connection.execute(f"PRAGMA max_page_count = {pages}").fetchall())
    await writer.run(lambda connection: connection.execute("insert into numbers values (1)"))

    def fill(connection: sqlite3.Connection) -> None:
        connection.executemany("insert into numbers values (?)", [(number,) for number in range(2, 10_000)])

    with pytest.raises(SqliteError, match="make room on the disk"):
        await writer.run(fill)
    assert await _adding(writer, 2) == 2
    assert _numbers(path) == [1, 2]


@pytest.mark.asyncio
async def test_after_a_full_disk_the_room_of_the_log_is_used_again(writer: SqliteWriter, path: Path) -> None:
    for number in range(20):
        await _adding(writer, number)
    log = path.with_name(f"{path.name}-wal")
    before = log.stat().st_size
    with no_room(), pytest.raises(DiskFull, match="nothing is half written"):
        await _adding(writer, 20)
    await _adding(writer, 21)
    assert log.stat().st_size < before / 5
    assert _numbers(path) == [*range(20), 21]


def _delete_log(path: Path) -> None:
    path.with_name(f"{path.name}-wal").unlink()


@pytest.mark.parametrize("lose", [_take_away, _replace, _delete_log], ids=["deleted", "replaced", "log deleted"])
@pytest.mark.asyncio
async def test_a_file_that_is_gone_is_said_rather_than_written_to(
    writer: SqliteWriter, path: Path, lose: Callable[[Path], None]
) -> None:
    lose(path)
    with pytest.raises(SqliteError, match="deleted or replaced"):
        await _adding(writer, 1)


@pytest.mark.asyncio
async def test_what_was_committed_before_the_log_was_deleted_is_in_the_file_at_the_end(
    writer: SqliteWriter, path: Path
) -> None:
    await _adding(writer, 1)
    _delete_log(path)
    with pytest.raises(SqliteError, match="with SIGTERM, not with SIGKILL"):
        await _adding(writer, 2)
    await writer.aclose()
    assert _numbers(path) == [1]


@pytest.fixture
def letter(path: Path) -> bytes:
    path.write_bytes(b"a letter to my aunt, long enough to have a header, which says nothing of SQLite" * 20)
    return path.read_bytes()


@pytest.mark.asyncio
async def test_a_file_that_is_no_database_is_said_and_left_as_it_is(path: Path, letter: bytes) -> None:
    writer = SqliteWriter(path, opened=_table)
    with pytest.raises(SqliteError, match="something else than a database"):
        await writer.start()
    await writer.aclose()
    assert await asyncio.to_thread(path.read_bytes) == letter


@pytest.mark.asyncio
async def test_a_sqlite_that_is_too_old_is_said(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    writer = SqliteWriter(path)
    with pytest.raises(SqliteError, match=r"run a Python that has 3\.35 or newer"):
        await writer.start()
    await writer.aclose()


@pytest.mark.asyncio
async def test_a_chore_is_done_when_nobody_writes_and_survives_its_failures(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    done = threading.Event()
    times = 0

    def chore(connection: sqlite3.Connection) -> None:
        nonlocal times
        times += 1
        if times == 1:
            raise NotYet
        _add(connection, times)
        if times > 3:
            done.set()

    writer = SqliteWriter(path, opened=_table)
    writer.every(0.001, chore)
    await writer.start()
    await asyncio.to_thread(done.wait)
    await writer.aclose()
    assert _numbers(path)[:2] == [2, 3]
    assert "runs again when it is due: NotYet()" in caplog.text


@pytest.mark.asyncio
async def test_a_forked_child_writes_with_a_thread_of_its_own(writer: SqliteWriter, path: Path) -> None:
    await _adding(writer, 1)
    assert in_fork(lambda: writer.run_sync(lambda connection: _add(connection, 2))) == "2"
    assert await _adding(writer, 3) == 3
    assert _numbers(path) == [1, 2, 3]


@pytest.mark.asyncio
async def test_a_fork_in_the_middle_of_a_write_is_told_to_the_child_and_hurts_no_write(
    writer: SqliteWriter, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.database.sqlite_threads.FORK_SECONDS", 0.01)
    is_writing, may_end = threading.Event(), threading.Event()

    def work(connection: sqlite3.Connection) -> int:
        is_writing.set()
        may_end.wait()
        return _add(connection, 1)

    adding = asyncio.ensure_future(writer.run(work))
    await asyncio.to_thread(is_writing.wait)
    told = in_fork(lambda: writer.run_sync(lambda connection: _add(connection, 2)))
    may_end.set()
    assert "was forked in the middle of a write" in told
    assert await adding == 1
    assert _numbers(path) == [1]


@pytest.mark.asyncio
async def test_a_forked_child_leaves_the_periodic_tasks_to_its_parent(path: Path) -> None:
    parent, done = os.getpid(), threading.Event()

    def chore(connection: sqlite3.Connection) -> None:
        done.set()
        _add(connection, os.getpid())
        connection.execute("delete from numbers where number = ?", (parent,))

    writer = SqliteWriter(path, opened=_table)
    writer.every(0.001, chore)
    await writer.start()

    def write_in_child() -> int:
        for _ in range(10):
            writer.run_sync(lambda connection: connection.execute("select 1").fetchall())
        return writer.run_sync(lambda connection: _add(connection, 1))

    assert in_fork(write_in_child) == "1"
    done.clear()
    assert await asyncio.to_thread(done.wait, 10)
    await writer.aclose()
    assert _numbers(path) == [1]
