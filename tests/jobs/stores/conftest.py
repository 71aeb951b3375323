"""Stores to test: the same laws hold of every kind."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from headrace.jobs.stores.memory_store import MemoryStore
from headrace.jobs.stores.sqlite_store import SqliteStore
from headrace.jobs.stores.store import JobStore
from tests.fakes.async_sql_store import AsyncSqlStore
from tests.fakes.job_clock import MovedClock

KINDS: dict[str, Callable[[Path, MovedClock], JobStore]] = {
    "memory": lambda _, clock: MemoryStore(now=clock),
    "sqlite": lambda path, clock: SqliteStore(path, now=clock),
    "async": lambda path, clock: AsyncSqlStore(path, now=clock),
}


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def announced() -> list[str]:
    """The queues of which the store has said that they have jobs."""
    return []


@pytest_asyncio.fixture(params=KINDS)
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, clock: MovedClock, announced: list[str]
) -> AsyncIterator[JobStore]:
    store = KINDS[request.param](tmp_path / "jobs.db", clock)
    await store.open(announced.append)
    yield store
    await store.close()
