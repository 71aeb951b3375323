"""What tests of workflows, batches and chains share: a store of each kind, a clock that stands still, a service."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.fakes.job_clock import MovedClock
from tests.fakes.job_groups import StoreService
from tests.fakes.store_kinds import STORE_KINDS


@pytest.fixture
def group_clock() -> MovedClock:
    return MovedClock()


@pytest_asyncio.fixture(params=STORE_KINDS)
async def service(
    request: pytest.FixtureRequest, tmp_path: Path, group_clock: MovedClock
) -> AsyncIterator[StoreService]:
    store = STORE_KINDS[request.param](tmp_path / "jobs.db", group_clock)
    await store.open()
    yield StoreService(store)
    await store.close()
