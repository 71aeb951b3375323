"""Drives coroutines for tests that are no coroutines themselves."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

T = TypeVar("T")


def at_once(work: Coroutine[object, object, T]) -> T:
    """Return what a coroutine returns that never waits, such as those of a store in memory."""
    try:
        work.send(None)
    except StopIteration as end:
        found: T = end.value
        return found
    work.close()
    raise RuntimeError(repr(work))


def apart(work: Callable[[], Coroutine[object, object, T]]) -> T:
    """Run work on an event loop of its own and return what it returns; where a loop runs, in a thread beside it.

    The caller waits, and the loop that runs here with it.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work())
    context = copy_context()
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(context.run, lambda: asyncio.run(work())).result()
