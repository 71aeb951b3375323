"""Two stores of one file, and their clock."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from headrace.dead_letters.sqlite_store import SqliteDeadLetterStore
from tests.fakes.dead_letters import LetterClock, small_store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "dead.db"


@pytest.fixture
def clock() -> LetterClock:
    return LetterClock()


@pytest_asyncio.fixture
async def store(path: Path, clock: LetterClock) -> AsyncIterator[SqliteDeadLetterStore]:
    made = small_store(path, clock)
    await made.open()
    yield made
    await made.close()


@pytest_asyncio.fixture
async def other(path: Path, clock: LetterClock, store: SqliteDeadLetterStore) -> AsyncIterator[SqliteDeadLetterStore]:
    """Another store of the same file, as another OS process has it."""
    made = small_store(path, clock)
    await made.open()
    yield made
    await made.close()
