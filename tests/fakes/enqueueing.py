"""A service that takes in new jobs and keeps them in a list, for tests of workers that need no store."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from headrace.jobs.job import Inserted, Job, NewJob
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.stores.sqlite_store import user_transaction
from tests.fakes.job_records import NOON

R = TypeVar("R")


class ListService:
    """Numbers jobs from 1 on, drops those of `dropped` workers, as a middleware may, and knows doubles."""

    def __init__(self, *, dropped: Sequence[str] = (), results: Mapping[int, object] | None = None) -> None:
        self.jobs: list[NewJob] = []
        self.connections: list[object] = []
        self._dropped = dropped
        self._results = results or {}

    def now(self) -> datetime:
        return NOON

    async def insert(self, jobs: Sequence[NewJob]) -> list[Inserted | None]:
        return self.insert_sync(jobs)

    def insert_sync(self, jobs: Sequence[NewJob]) -> list[Inserted | None]:
        return [self._insert(job) for job in jobs]

    def insert_in(self, connection: object, jobs: Sequence[NewJob]) -> list[Inserted | None]:
        with user_transaction(connection, jobs[0].worker):
            self.connections.append(connection)
            return self.insert_sync(jobs)

    async def get(self, job_id: int) -> Job | None:
        return None

    async def conflict_of(self, job: NewJob) -> Job | None:
        return None

    def conflict_of_sync(self, job: NewJob) -> Job | None:
        return None

    async def result(self, job_id: int, timeout_seconds: float | timedelta | None) -> object:
        return self._results[job_id]

    async def cancel(self, which: JobFilter | int) -> list[int]:
        return []

    def run_sync(self, call: Coroutine[Any, Any, R]) -> R:
        return asyncio.run(call)

    def _insert(self, job: NewJob) -> Inserted | None:
        if job.worker in self._dropped:
            return None
        if job.unique is not None and job in self.jobs:
            return Inserted(self.jobs.index(job) + 1, is_conflict=True)
        self.jobs.append(job)
        return Inserted(len(self.jobs))
