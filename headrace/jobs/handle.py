"""`Handle` of an enqueued job, and `Enqueues`, the service that a worker needs."""

from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Any, Generic, Protocol, TypeVar

from typing_extensions import override

from headrace.jobs.errors import JobDropped, NoJob
from headrace.jobs.job import Inserted, Job, NewJob
from headrace.jobs.rules.job_filter import JobFilter

T_co = TypeVar("T_co", covariant=True)
R = TypeVar("R")


class Enqueues(Protocol):
    """The service that keeps the jobs of a worker: `Jobs`.

    An insert returns a result for each new job, in order; None stands for a job that a middleware dropped.
    """

    def now(self) -> datetime:
        """Return the time, aware UTC."""

    async def insert(self, jobs: Sequence[NewJob]) -> list[Inserted | None]:
        """Insert jobs in one transaction; they are durable at return."""

    def insert_sync(self, jobs: Sequence[NewJob]) -> list[Inserted | None]:
        """Insert jobs as `insert` does, and block: for any thread but the loop's, or without a loop."""

    def insert_in(self, connection: object, jobs: Sequence[NewJob]) -> list[Inserted | None]:
        """Insert jobs through the user's own connection to the store's database; the user commits."""

    async def get(self, job_id: int) -> Job | None:
        """Return a job, or None when there is none of that id."""

    async def conflict_of(self, job: NewJob) -> Job | None:
        """Return the newest job with the unique key of `job`, whatever its state."""

    def conflict_of_sync(self, job: NewJob) -> Job | None:
        """Thread-safe version of `conflict_of` that blocks."""

    async def result(self, job_id: int, timeout_seconds: float | timedelta | None) -> object:
        """Wait for a job to end, and return its recorded result as JSON.

        Raises `ResultTimeout`, or another `JobsError` for a job that did not complete, or that recorded no result.
        """

    async def cancel(self, which: JobFilter | int) -> list[int]:
        """Cancel jobs that have not ended, or one job by its id; return the ids of the cancelled jobs."""

    def run_sync(self, call: Coroutine[Any, Any, R]) -> R:
        """Run a coroutine of this service from any thread without a loop; block until it ends."""


class Handle(Generic[T_co]):
    """A job that was enqueued."""

    __slots__ = ("_inserted", "_restore", "_service", "worker")

    def __init__(
        self, worker: str, inserted: Inserted | None, service: Enqueues, restore: Callable[[object], T_co]
    ) -> None:
        """`restore` decodes a recorded result."""
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
        """The job's id; on a conflict, the id of the existing job. Raises `JobDropped` for a dropped job."""
        if self._inserted is None:
            raise JobDropped(self.worker)
        return self._inserted.id

    @property
    def is_conflict(self) -> bool:
        """Whether the job was not inserted because an equal unique job exists."""
        return self._inserted is not None and self._inserted.is_conflict

    @property
    def is_dropped(self) -> bool:
        """Whether the job was not inserted because a middleware dropped it."""
        return self._inserted is None

    async def job(self) -> Job:
        """Return the job as it is now, with its state, errors and progress. Raises `JobDropped`, and `NoJob`."""
        job = await self._service.get(self.id)
        if job is None:
            raise NoJob(self.id)
        return job

    def job_sync(self) -> Job:
        """Return what `job` returns, from any thread without an event loop."""
        return self._service.run_sync(self.job())

    async def cancel(self) -> bool:
        """Cancel the job, even if it runs; return False if it had ended. Raises `JobDropped`.

        On a conflict it cancels the existing job.
        """
        return bool(await self._service.cancel(self.id))

    def cancel_sync(self) -> bool:
        """Cancel the job as `cancel` does, from any thread without an event loop."""
        return self._service.run_sync(self.cancel())

    async def result(self, timeout_seconds: float | timedelta | None = None) -> T_co:
        """Wait for the job to end, and return its result, decoded by the worker's annotation; it needs `record=True`.

        Raises `ResultTimeout`, which is a TimeoutError; `BadTime` for a bad timeout; `JobDropped`; `JobDiscarded`, or
        its subclass `JobExpired`; `JobCancelled`; `NoJob` for a deleted job; and `NotRecorded`. On cancellation the job
        continues.
        """
        return self._restore(await self._service.result(self.id, timeout_seconds))

    def result_sync(self, timeout_seconds: float | timedelta | None = None) -> T_co:
        """Wait as `result` does, from any thread without an event loop; block until the job has ended."""
        return self._service.run_sync(self.result(timeout_seconds))
