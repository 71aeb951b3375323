"""Stage: scheduled and retryable jobs become available when their time has come."""

from collections.abc import Callable
from datetime import datetime
from typing import Final, Protocol

STAGE_LIMIT: Final = 500
"""Jobs that one transaction makes available at most, so that no claim waits for long."""

STAGE_SECONDS: Final = 0.9
"""How long it is not looked at most: what another OS process schedules, a clock that was set.

Jobs of this process start at most so late, those of others one look of their queues later.
"""


class Stages(Protocol):
    """What staging needs of a store; see `JobStore`."""

    async def stage(self, limit: int) -> set[str]:
        """Make available what is due, at most `limit`; return the queues that have got any."""

    async def due_at(self) -> datetime | None:
        """Return when the next job that waits for its time is due, be it past already; None when none waits."""


class Stage:
    """Makes available what is due, and tells the queue of each: `available` gets its name."""

    name = "stage"

    def __init__(self, store: Stages, now: Callable[[], datetime], available: Callable[[str], None]) -> None:
        self._store = store
        self._now = now
        self._available = available

    async def run(self) -> float:
        """Do it; return in how many seconds it is due again: when the next job is, or after a while."""
        for queue in await self._store.stage(STAGE_LIMIT):
            self._available(queue)
        due_at = await self._store.due_at()
        if due_at is None:
            return STAGE_SECONDS
        return min(max((due_at - self._now()).total_seconds(), 0.0), STAGE_SECONDS)
