"""Stores to test: the same laws hold of every kind."""

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


@pytest.fixture
def announced() -> list[str]:
    """The queues of which the store has said that they have jobs."""
    return []


@pytest_asyncio.fixture(params=STORE_KINDS)
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, clock: MovedClock, announced: list[str]
) -> AsyncIterator[JobStore]:
    store = STORE_KINDS[request.param](tmp_path / "jobs.db", clock)
    await store.open(announced.append)
    yield store
    await store.close()
