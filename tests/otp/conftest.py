"""What holds for every test of the process runtime."""

import asyncio
import gc
from collections.abc import AsyncIterator

import pytest_asyncio


@pytest_asyncio.fixture
async def vanished() -> AsyncIterator[list[dict[str, object]]]:
    """Give what nobody heard of: tasks' and futures' exceptions, and whatever else the loop complains of.

    A test that does not clear the list asserts that there is nothing.
    """
    loop = asyncio.get_running_loop()
    told: list[dict[str, object]] = []
    loop.set_exception_handler(lambda _, context: told.append(context))
    yield told
    gc.collect()
    await asyncio.sleep(0)
    assert told == []
