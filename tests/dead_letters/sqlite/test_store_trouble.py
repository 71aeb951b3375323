"""A store in trouble: full disks, newer tables, files that are gone, and many at once."""

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest

from headrace.database.sqlite_file import SqliteError
from headrace.dead_letters.errors import NewerDeadLetters
from headrace.dead_letters.sqlite_store import SqliteDeadLetterStore
from tests.fakes.dead_letters import events_in, put_events, small_store

pytestmark = pytest.mark.asyncio


async def test_tables_of_a_newer_headrace_are_refused_and_left_alone(path: Path, store: SqliteDeadLetterStore) -> None:
    await put_events(store, "a")
    await store.writer.run(lambda c: c.execute("insert into headrace_dead_letter_schema values (7)"))
    await store.close()
    newer = small_store(path)
    with pytest.raises(NewerDeadLetters, match=r"dead\.db are of version 7, and this headrace knows up to 1: install"):
        await newer.open()
    with sqlite3.connect(path) as connection:
        assert connection.execute("select count(*) from headrace_dead_letters").fetchone() == (1,)
    connection.close()


async def test_a_full_disk_refuses_letters_and_takes_them_again_once_there_is_room(
    store: SqliteDeadLetterStore,
) -> None:
    await put_events(store, "a")
    pages = await store.writer.run(lambda c: c.execute("pragma page_count").fetchone()[0])
    await store.writer.run(lambda c: c.execute(f"pragma max_page_count = {pages + 2}").fetchall())
    with pytest.raises(SqliteError, match="make room on the disk"):
        await put_events(store, *("x" * 10_000 for _ in range(20)))
    assert await events_in(store) == ['"a"']
    await store.writer.run(lambda c: c.execute("pragma max_page_count = 1000000").fetchall())
    await put_events(store, "b")
    assert await events_in(store) == ['"a"', '"b"']
    assert store.counts().put == 2


async def test_a_file_that_was_taken_away_refuses_letters(path: Path, store: SqliteDeadLetterStore) -> None:
    _take_away(path)
    with pytest.raises(SqliteError, match="deleted or replaced"):
        await put_events(store, "a")


async def test_a_folder_that_is_a_file_is_said(tmp_path: Path) -> None:
    _block(tmp_path / "var")
    store = small_store(tmp_path / "var" / "dead.db")
    with pytest.raises(SqliteError, match="see that its folder exists"):
        await store.open()


async def test_stores_of_one_file_put_at_once_and_lose_nothing(
    store: SqliteDeadLetterStore, other: SqliteDeadLetterStore
) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(50):
            group.create_task(put_events(store, f"a{number}"))
            group.create_task(put_events(other, f"b{number}"))
    assert len(await events_in(store)) == 100
    assert other.counts().put == 50


async def test_letters_that_wait_together_share_a_commit(store: SqliteDeadLetterStore) -> None:
    commits: list[str] = []
    gate = threading.Event()
    await store.writer.run(
        lambda c: c.set_trace_callback(lambda text: commits.append(text) if text == "COMMIT" else None)
    )
    store.writer.post(lambda _: gate.wait())
    async with asyncio.TaskGroup() as group:
        for number in range(100):
            group.create_task(put_events(store, number))
        group.create_task(_open(gate))
    assert len(await events_in(store)) == 100
    assert len(commits) <= 3  # the one before, the one that was held up, and that of the letters


async def _open(gate: threading.Event) -> None:
    gate.set()


def _take_away(path: Path) -> None:
    path.unlink()


def _block(folder: Path) -> None:
    folder.write_text("")
