"""Workers whose results a registry keeps: they note what they were called with, wait at a gate, and fail when told."""

import asyncio
from collections import defaultdict

from headrace.jobs.running_job import current_job
from headrace.jobs.worker import worker


class Noted:
    """What the workers of one test were called with, the gates at which they wait, and which keys fail."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.gates: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.failing: set[str] = set()


NOTED = Noted()


def clear_notes() -> Noted:
    """Forget what other tests noted."""
    NOTED.__init__()  # type: ignore[misc] # the workers are functions of a module, and know this one only
    return NOTED


@worker(record=True, max_attempts=1)
async def look_up(key: str) -> tuple[str, int]:
    NOTED.calls.append(key)
    current_job().progress(0.25, "begun")
    await NOTED.gates[key].wait()
    if key in NOTED.failing:
        raise ValueError(key)
    return key, len(key)


@worker
async def forgetful(key: str) -> None:
    NOTED.calls.append(key)


@worker(record=True, encrypted=True)
async def secret(key: str) -> int:
    return len(key)
