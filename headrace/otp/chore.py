"""Periodic chores: the one loop of all that is done every so often."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Never


async def every(
    seconds: float,
    chore: Callable[[float], None],
    *,
    clock: Callable[[], float] | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Never:
    """Call `chore` every `seconds`, first after one such time, until cancelled or until it raises.

    It is told by how many seconds its turn came late: a chore on a busy loop learns how busy it is. Turns that were
    missed are not made up for. Owners run this in their TaskGroup, or as a task of their scheduler, and cancel it with
    themselves.
    """
    now = asyncio.get_running_loop().time if clock is None else clock
    while True:
        due = now() + seconds
        await sleep(seconds)
        chore(max(0.0, now() - due))
