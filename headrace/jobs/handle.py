"""Who takes in new jobs on behalf of workers, and what an enqueuer holds in its hand afterwards."""

import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from typing_extensions import override

from headrace.jobs.errors import JobDropped, NoJob
from headrace.jobs.job import Inserted, Job, NewJob
from headrace.jobs.rules.job_filter import JobFilter

T_co = TypeVar("T_co", covariant=True)


class Enqueues(Protocol):
    """What a worker needs of the service that keeps its jobs (`Jobs` is one).

    What is inserted stands for each new job, in order: None is what a middleware dropped.
    """

    def now(self) -> datetime:
        """Return the time, aware UTC."""

    async def insert(self, jobs: Sequence[NewJob]) -> list[Inserted | None]:
        """Insert jobs in one transaction; they are durable at return."""

    def insert_sync(self, jobs: Sequence[NewJob]) -> list[Inserted | None]:
        """Do the same from any thread but the loop's, or with no loop at all, and wait."""

    def insert_in(self, connection: sqlite3.Connection, jobs: Sequence[NewJob]) -> list[Inserted | None]:
        """Insert jobs through somebody's own connection to the store's file, and leave the commit to them."""

    async def get(self, job_id: int) -> Job | None:
        """Return a job, or None when there is none of that id."""

    async def conflict_of(self, job: NewJob) -> Job | None:
        """Return the job that came in last among those that have what makes `job` unique, in whatever state it is."""

    def conflict_of_sync(self, job: NewJob) -> Job | None:
        """Do the same from any thread, and wait."""

    async def result(self, job_id: int, timeout_seconds: float | None) -> object:
        """Wait until a job has ended, at most so long; return its recorded result as JSON.

        Raises `ResultTimeout`, or another `JobsError` for a job that is gone, did not complete, or recorded nothing.
        """

    async def cancel(self, which: JobFilter | int) -> list[int]:
        """Call off jobs that have not ended, or one by its id; return the ids of those that were."""


class Handle(Generic[T_co]):
    """A job that was enqueued."""

    __slots__ = ("_inserted", "_restore", "_service", "worker")

    def __init__(
        self, worker: str, inserted: Inserted | None, service: Enqueues, restore: Callable[[object], T_co]
    ) -> None:
        """`restore` makes the result of what JSON kept."""
        self.worker = worker
        self._inserted = inserted
        self._service = service
        self._restore = restore

    @override
    def __repr__(self) -> str:
        number = "dropped" if self._inserted is None else self._inserted.id
        return f"<Handle of {self.worker} {number}{' (conflict)' if self.is_conflict else ''}>"

    @property
    def id(self) -> int:
        """The job's number; on a conflict that of the job that was there. Raises `JobDropped` for one that has none."""
        if self._inserted is None:
            raise JobDropped(self.worker)
        return self._inserted.id

    @property
    def is_conflict(self) -> bool:
        """Whether nothing was inserted, for a unique job like it was there."""
        return self._inserted is not None and self._inserted.is_conflict

    @property
    def is_dropped(self) -> bool:
        """Whether nothing was inserted, for a middleware decided so."""
        return self._inserted is None

    async def job(self) -> Job:
        """Return the job as it is now: its state, its errors, how far it is. Raises `JobDropped`, and `NoJob`."""
        job = await self._service.get(self.id)
        if job is None:
            raise NoJob(self.id)
        return job

    async def cancel(self) -> bool:
        """Call the job off, also one that runs; return False where it had ended. Raises `JobDropped`.

        On a conflict it is the job that was there.
        """
        return bool(await self._service.cancel(self.id))

    async def result(self, timeout_seconds: float | None = None) -> T_co:
        """Wait for the job's end and return what it returned, as its annotation has it: of a worker with `record=True`.

        Raises `ResultTimeout`, which is a TimeoutError, when it takes longer; `BadTime` for what is no timeout;
        `JobDropped`, `JobDiscarded` (its subclass `JobExpired` for a job that was not run in time), `JobCancelled`,
        `NoJob` when it was deleted, and `NotRecorded`.
        On cancellation nothing but the waiting ends.
        """
        return self._restore(await self._service.result(self.id, timeout_seconds))
