"""Runs a test whose stages wait for time on a loop whose clock jumps: nobody waits."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Final, TypeVar

from tests.fakes.machine_loop import JumpingLoop

T = TypeVar("T")

STEP_SECONDS: Final = 0.05
"""Of the clock that jumps."""


def jumped(work: Coroutine[object, object, T]) -> T:
    """Run `work` to its end on such a loop."""
    loop = JumpingLoop()
    try:
        return loop.run(work)
    finally:
        loop.close()


async def when(condition: Callable[[], bool]) -> None:
    """Return once something is so, while the clock moves: as `until`, for such a loop."""
    while not condition():  # noqa: ASYNC110 - what is waited for sets no event, and each step is one of the clock
        await asyncio.sleep(STEP_SECONDS)
