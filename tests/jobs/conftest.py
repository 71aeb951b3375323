"""What tests of workflows, batches and chains share: a store of each kind, a clock that stands still, a service."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from headrace.jobs.stores.memory_store import MemoryStore
from headrace.jobs.stores.sqlite_store import SqliteStore
from headrace.jobs.stores.store import JobStore
from tests.fakes.job_clock import MovedClock
from tests.fakes.job_groups import StoreService


@pytest.fixture
def group_clock() -> MovedClock:
    return MovedClock()


@pytest_asyncio.fixture(params=["memory", "sqlite"])
async def service(
    request: pytest.FixtureRequest, tmp_path: Path, group_clock: MovedClock
) -> AsyncIterator[StoreService]:
    is_sqlite = request.param == "sqlite"
    store: JobStore = SqliteStore(tmp_path / "jobs.db", now=group_clock) if is_sqlite else MemoryStore(now=group_clock)
    await store.open()
    yield StoreService(store)
    await store.close()
