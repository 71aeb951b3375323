"""The service under test: a `Jobs` on a store in memory that runs no queue of its own."""

import sqlite3
from collections.abc import Awaitable, Callable, Sequence

from headrace.jobs.errors import JobNotRun
from headrace.jobs.job import INCOMPLETE, Inserted, NewJob
from headrace.jobs.jobs import Jobs
from headrace.jobs.running.worker_catalogue import Catalogue
from headrace.jobs.settings import JobsSettings
from headrace.jobs.stores.memory_store import MemoryStore
from headrace.jobs.testing.driving import apart

After = Callable[[Sequence[Inserted | None]], Awaitable[None]]
"""Told what was inserted, where it was; in the mode inline it runs that before the enqueuer goes on."""


class TestedJobs(Jobs):
    """Whatever is enqueued is kept, and told to `after`. It is bound, not opened: no event loop is needed."""

    __test__ = False
    is_stand_in = True

    def __init__(self, store: MemoryStore, catalogue: Catalogue, settings: JobsSettings, after: After) -> None:
        super().__init__(store, catalogue, None, settings)
        self._after = after

    async def insert(self, jobs: Sequence[NewJob]) -> list[Inserted | None]:
        """Insert jobs, and do with them what the mode says."""
        inserted = await super().insert(jobs)
        await self._after(inserted)
        return inserted

    def insert_sync(self, jobs: Sequence[NewJob]) -> list[Inserted | None]:
        """Do the same from any thread, also from the loop's: what runs then does so in a thread beside it."""
        inserted = super().insert_sync(jobs)

        async def after() -> None:
            await self._after(inserted)

        apart(after)
        return inserted

    def insert_in(self, connection: sqlite3.Connection, jobs: Sequence[NewJob]) -> list[Inserted | None]:
        """Keep jobs as if the transaction had been committed, and run none: whatever it wrote is not there yet."""
        return super().insert_sync(jobs)

    async def result(self, job_id: int, timeout_seconds: float | None) -> object:
        """Return the recorded result of a job. Raises `JobNotRun` for one that has not ended, and what others raise."""
        job = await self.store.get(job_id)
        if job is not None and job.state in INCOMPLETE:
            raise JobNotRun(job_id, job.worker, job.state)
        return await super().result(job_id, timeout_seconds)
