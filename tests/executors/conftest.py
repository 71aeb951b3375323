"""What holds for every test of the executors."""

import asyncio
import gc
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.house.tree import ROOT


@pytest_asyncio.fixture(autouse=True)
async def vanished() -> AsyncIterator[list[dict[str, object]]]:
    """Give what nobody heard of; a test that does not clear the list asserts that there is nothing."""
    loop = asyncio.get_running_loop()
    told: list[dict[str, object]] = []
    loop.set_exception_handler(lambda _, context: told.append(context))
    yield told
    gc.collect()
    await asyncio.sleep(0)
    assert told == []


@pytest.fixture
def reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let other OS processes find the fakes, which are on no path of theirs otherwise."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT)])


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    """Give a pipe by name, through which a function says that it runs."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path
