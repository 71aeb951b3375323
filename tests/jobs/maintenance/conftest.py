"""What upkeep is done on: every kind of store, and a clock that tests move."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from headrace.jobs.stores.memory_store import MemoryStore
from headrace.jobs.stores.sqlite_store import SqliteStore
from headrace.jobs.stores.store import JobStore
from tests.fakes.job_clock import MovedClock


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest_asyncio.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path, clock: MovedClock) -> AsyncIterator[JobStore]:
    is_sqlite = request.param == "sqlite"
    store: JobStore = SqliteStore(tmp_path / "jobs.db", now=clock) if is_sqlite else MemoryStore(now=clock)
    await store.open()
    yield store
    await store.close()
