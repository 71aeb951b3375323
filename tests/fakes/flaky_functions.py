"""Functions for configs that fail on purpose."""

import asyncio
from collections import Counter
from typing import Any

TRIES: Counter[int] = Counter()
"""How often each number was tried; a test clears it."""


class Busy(Exception):
    """A peer that is busy."""


async def flaky(event: Any) -> int:
    """Fail in the first try of every third number, and in all of 7."""
    TRIES[event] += 1
    await asyncio.sleep(0)
    if event == 7 or (event % 3 == 0 and TRIES[event] == 1):
        raise Busy(event)
    return int(event)


def square(event: Any) -> int:
    """Return the square."""
    return int(event) ** 2
