"""What upkeep is done on: every kind of store, and a clock that tests move."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from headrace.jobs.stores.store import JobStore
from tests.fakes.job_clock import MovedClock
from tests.fakes.store_kinds import STORE_KINDS


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest_asyncio.fixture(params=STORE_KINDS)
async def store(request: pytest.FixtureRequest, tmp_path: Path, clock: MovedClock) -> AsyncIterator[JobStore]:
    store = STORE_KINDS[request.param](tmp_path / "jobs.db", clock)
    await store.open()
    yield store
    await store.close()
