"""`run_sync`: runs the coroutines of `Jobs` for callers without an event loop: threads, WSGI, forked children."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import CancelledError, wait
from types import CoroutineType
from typing import Any, Final, TypeVar

from headrace.jobs.errors import LoopStopped, OnEventLoop

R = TypeVar("R")

LOOP_CHECK_SECONDS: Final = 0.5
"""How often a blocked caller checks that the loop still runs: a stopped loop would never answer."""


def run_sync(call: Coroutine[Any, Any, R], loop: asyncio.AbstractEventLoop | None) -> R:
    """Run `call` on `loop`, which another thread runs, or on a new loop in this thread for None; block until it ends.

    If the caller is interrupted, the coroutine is cancelled. Raises the errors of the coroutine; `OnEventLoop` in a
    thread that runs a loop; `LoopStopped` if `loop` stops meanwhile.
    """
    if _is_on_loop():
        call.close()
        raise OnEventLoop(_name(call))
    if loop is None:
        with asyncio.Runner() as runner:
            return runner.run(call)
    return _run_on(loop, call)


def _is_on_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _name(call: object) -> str:
    return call.__name__ if isinstance(call, CoroutineType) else "the coroutine"


def _run_on(loop: asyncio.AbstractEventLoop, call: Coroutine[Any, Any, R]) -> R:
    try:
        future = asyncio.run_coroutine_threadsafe(call, loop)
    except RuntimeError as error:  # it is closed
        call.close()
        raise LoopStopped(_name(call)) from error
    try:
        while not wait([future], LOOP_CHECK_SECONDS).done:
            if not loop.is_running():
                raise LoopStopped(_name(call))
        return future.result()
    except CancelledError as error:
        raise LoopStopped(_name(call)) from error
    finally:
        future.cancel()
