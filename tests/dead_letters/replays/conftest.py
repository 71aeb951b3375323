"""A shop, and its store as another OS process has it open."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from headrace.dead_letters.sqlite_store import SqliteDeadLetterStore
from tests.fakes.dead_letter_shop import Shop
from tests.fakes.dead_letters import letter


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "dead.db")


@pytest_asyncio.fixture
async def aside(shop: Shop) -> AsyncIterator[SqliteDeadLetterStore]:
    """The store as another OS process has it open, with three letters of `price`."""
    store = shop.store()
    await store.open()
    await store.put([letter(number) for number in (1, 2, 3)])
    yield store
    await store.close()
