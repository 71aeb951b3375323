"""Closes what runs jobs: every step is taken, whatever became of those before it, and none is waited for for ever."""

import asyncio
from collections.abc import Coroutine

from headrace.telemetry.events import LOG, log_failure


async def end_within(seconds: float, *tasks: asyncio.Task[None]) -> None:
    """Wait for tasks that are about to end; cancel those that have not in time, and give them as long again."""
    waiting = set(tasks)
    for _ in range(2):
        if waiting:
            _, waiting = await asyncio.wait(waiting, timeout=seconds)
        for task in waiting:
            task.cancel()


async def go_through(what: str, step: Coroutine[object, object, None], seconds: float | None = None) -> None:
    """Take a step of an end, in `seconds` at most; one that fails is logged, for those behind it are taken too."""
    try:
        async with asyncio.timeout(seconds):
            await step
    except TimeoutError:
        LOG.error("%s takes longer than %g s, and is not waited for", what, seconds or 0.0)
    except Exception as error:  # noqa: BLE001 - the rest of the end is still to be done
        log_failure(error, "%s failed", what)
