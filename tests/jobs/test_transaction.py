import sqlite3
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import pytest
import pytest_asyncio

from headrace.jobs.errors import BadTransaction
from headrace.jobs.job import Inserted, NewJob
from headrace.jobs.stores.sqlite_store import SqliteStore
from headrace.jobs.worker import worker
from tests.fakes.enqueueing import ListService
from tests.fakes.job_records import NOON


class FileService(ListService):
    """Inserts through the connection that it is given, as a service on a SQLite store does."""

    def __init__(self) -> None:
        super().__init__()
        self._store = SqliteStore("jobs.db", now=self.now)

    def insert_in(self, connection: object, jobs: Sequence[NewJob]) -> list[Inserted | None]:
        return [*self._store.insert_in(connection, jobs)]


@worker(unique=True, name="shop.build")
async def build(sku: int) -> None: ...


@pytest.fixture
def service() -> Iterator[FileService]:
    service = FileService()
    build.binding.bind(service)
    yield service
    build.binding.unbind(service)


@pytest_asyncio.fixture
async def path(tmp_path: Path) -> Path:
    def now() -> datetime:
        return NOON

    store = SqliteStore(tmp_path / "jobs.db", now=now)
    await store.open()
    await store.close()
    return store.path


def count(path: Path) -> int:
    connection = sqlite3.connect(path)
    found: int = connection.execute("select count(*) from oban_jobs").fetchone()[0]
    connection.close()
    return found


def test_a_job_is_there_once_the_transaction_commits(service: FileService, path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("create table orders (sku integer)")
    with connection:
        connection.execute("insert into orders values (7)")
        handle = build.enqueue_in(connection, 7)
        assert count(path) == 0
    assert (handle.id, handle.is_conflict, count(path)) == (1, False, 1)
    connection.close()


def test_a_job_goes_with_the_transaction_that_is_rolled_back(service: FileService, path: Path) -> None:
    connection = sqlite3.connect(path)
    assert build.enqueue_in(connection, 7).id == 1
    connection.rollback()
    assert count(path) == 0
    connection.close()


def test_what_is_unique_is_so_among_transactions(service: FileService, path: Path) -> None:
    first, second = sqlite3.connect(path), sqlite3.connect(path, timeout=0)
    with first:
        build.enqueue_in(first, 7)
        with pytest.raises(BadTransaction, match="database is locked; connect to the file of the store, begin anew"):
            build.enqueue_in(second, 7)
        assert build.enqueue_in(first, 7).is_conflict
    with second:
        assert build.enqueue_in(second, 7).is_conflict
    assert count(path) == 1
    for connection in (first, second):
        connection.close()


def test_a_connection_that_commits_by_itself_is_refused_until_it_begins(service: FileService, path: Path) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    with pytest.raises(BadTransaction, match="it commits each statement by itself; begin a transaction first"):
        build.enqueue_in(connection, 7)
    connection.execute("begin")
    assert build.enqueue_in(connection, 7).id == 1
    connection.execute("commit")
    assert count(path) == 1
    connection.close()


def test_an_object_that_is_no_connection_is_refused(service: FileService) -> None:
    with pytest.raises(BadTransaction, match="it is a str: connect by sqlite3 to the store's file"):
        build.enqueue_in("jobs.db", 7)


def test_a_connection_to_another_file_is_refused(service: FileService, tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "other.db")
    with pytest.raises(BadTransaction, match=r"no such table: .*; connect to the file of the store"):
        build.enqueue_in(connection, 7)
    connection.close()
