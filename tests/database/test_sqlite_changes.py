"""Changes of a SQLite file are noticed, whoever commits them, and however coarse the clock of the file system is."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.database.sqlite_file import FileChanges


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.db"


@pytest.fixture
def other(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("create table numbers (number integer)")
    yield connection
    connection.close()


def test_a_commit_is_reported_twice_and_then_no_more(path: Path, other: sqlite3.Connection) -> None:
    changes = FileChanges(path)
    assert [changes.has_changed() for _ in range(3)] == [True, True, False]
    other.execute("insert into numbers values (1)")
    assert [changes.has_changed() for _ in range(3)] == [True, True, False]


def test_a_transaction_that_changes_nothing_is_no_change(path: Path, other: sqlite3.Connection) -> None:
    changes = FileChanges(path)
    while changes.has_changed():
        pass
    other.execute("BEGIN IMMEDIATE")
    other.execute("delete from numbers where number = 7")
    other.execute("COMMIT")
    assert not changes.has_changed()


def test_a_file_without_a_log_has_not_changed(path: Path) -> None:
    changes = FileChanges(path)
    assert [changes.has_changed() for _ in range(3)] == [True, True, False]
