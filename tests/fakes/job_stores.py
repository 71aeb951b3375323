"""A store of jobs in plain lists, for tests of the engine: it notes what is asked, and waits or fails when told."""

import asyncio
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime

from headrace.errors import HeadraceError
from headrace.jobs.job import AttemptReleased, Job, JobAck
from headrace.jobs.stores.memory_store import MemoryStore
from headrace.jobs.stores.store import LeaseOwner

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


class StoreDown(HeadraceError):
    """What a store says that is told to fail."""


def a_job(job_id: int, args: dict[str, object] | None = None, worker: str = "work") -> Job:
    """Return a job that was claimed for the first time."""
    return Job(
        id=job_id,
        state="executing",
        queue="default",
        worker=worker,
        args=args or {},
        meta={},
        tags=[],
        errors=[],
        attempt=1,
        max_attempts=20,
        priority=0,
        inserted_at=LONG_AGO,
        scheduled_at=LONG_AGO,
    )


class ListStore(MemoryStore):
    """Jobs that wait, those that are claimed, and how each ended, in the order in which it was told."""

    def __init__(self, count: int = 0) -> None:
        super().__init__()
        self.waiting = deque(a_job(number) for number in range(1, count + 1))
        self.claims: list[int] = []
        self.acknowledged: list[list[JobAck]] = []
        self.failures: deque[str] = deque()
        self.cancelled: set[int] = set()
        self.gate = asyncio.Event()
        self.gate.set()

    async def claim(self, owner: LeaseOwner, count: int) -> list[Job]:
        """Hand out what waits, once the gate is open."""
        self.claims.append(count)
        await self._pass()
        return [self.waiting.popleft() for _ in range(min(count, len(self.waiting)))]

    async def lost(self, owner: LeaseOwner, job_ids: Sequence[int]) -> list[int]:
        """Return those that were cancelled elsewhere."""
        return [job_id for job_id in job_ids if job_id in self.cancelled]

    async def acknowledge(self, owner: LeaseOwner, acknowledgements: Sequence[JobAck]) -> None:
        """Note how attempts ended; what is put back waits again."""
        await self._pass()
        self.acknowledged.append(list(acknowledgements))
        self.waiting.extend(a_job(one.id) for one in acknowledgements if isinstance(one.outcome, AttemptReleased))

    def outcomes(self) -> dict[int, object]:
        """Return how each job ended, by its id."""
        return {one.id: one.outcome for batch in self.acknowledged for one in batch}

    async def _pass(self) -> None:
        await asyncio.sleep(0)
        if self.failures:
            raise StoreDown(self.failures.popleft())
        await self.gate.wait()
