"""A chunk worker that notes its calls, waits at a gate, and returns what the test says."""

import asyncio

from headrace.jobs.flows.chunk import chunk_worker
from headrace.jobs.job import Cancel


class Calls:
    """The items of each call, and what calls do with them."""

    def __init__(self) -> None:
        self.made: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.is_cancelled = False


CALLS = Calls()


def clear_calls() -> Calls:
    """Forget what other tests noted."""
    CALLS.__init__()  # type: ignore[misc] # the workers are functions of a module, and know this one only
    return CALLS


@chunk_worker(size=5, seconds=0.001, record=True, max_attempts=1)
async def square(numbers: list[int]) -> "list[int | Exception | Cancel]":
    """Square: 0 fails, 1 is called off, and 13 fails all."""
    CALLS.made.append(sorted(numbers))
    try:
        await CALLS.gate.wait()
    except asyncio.CancelledError:
        CALLS.is_cancelled = True
        raise
    if 13 in numbers:
        raise ValueError(13)
    return [ValueError(0) if one == 0 else Cancel("one is one") if one == 1 else one * one for one in numbers]


@chunk_worker(size=2, seconds=60.0)
async def nothing(items: list[dict[str, int]]) -> None:
    CALLS.made.append([item["n"] for item in items])


@chunk_worker(size=3, seconds=0.001, max_attempts=1)
async def short(numbers: list[int]) -> list[int]:
    return numbers[1:]
