"""Waits for the ends of jobs: told at once of those that end here, and looking now and then for the others."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from headrace.jobs.errors import JobCalledOff, JobExpired, JobGivenUp, NoJob, NotRecorded, ResultTimeout
from headrace.jobs.job import ENDED, INCOMPLETE, Acknowledgement, Job
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.rules.spans import check_timeout
from headrace.jobs.running.outcomes import EXPIRED, RECORDED, RESULT

LOOK_SECONDS: Final = 1.0
"""How often each caller asks for its job, where nothing else tells that it has ended."""


class Gets(Protocol):
    """What waiting needs of a store; see `JobStore`."""

    async def find(self, which: JobFilter, limit: int) -> list[Job]:
        """Return at most `limit` jobs that fit."""

    async def get(self, job_id: int) -> Job | None:
        """Return a job, or None when there is none of that id."""


class Endings:
    """Those who wait for jobs, by the jobs' ids."""

    def __init__(self, store: Gets) -> None:
        self._store = store
        self._waiting: dict[int, set[asyncio.Future[None]]] = {}
        self.awaited: Callable[[], None] = lambda: None
        """Called when a caller begins to wait."""

    @property
    def is_awaited(self) -> bool:
        """Whether any caller waits."""
        return bool(self._waiting)

    def told(self, acknowledgements: Sequence[Acknowledgement]) -> None:
        """Wake those who wait for jobs whose attempts ended here."""
        if self._waiting:
            for one in acknowledgements:
                self._wake(one.id)

    async def look(self) -> None:
        """Wake those who wait for jobs that have ended, wherever they ran. Raises what the store raises."""
        if ids := frozenset(self._waiting):
            for job in await self._store.find(JobFilter(ids=ids, states=ENDED), len(ids)):
                self._wake(job.id)

    def _wake(self, job_id: int) -> None:
        for waiter in self._waiting.get(job_id, ()):
            if not waiter.done():
                waiter.set_result(None)

    async def result(self, job_id: int, timeout_seconds: float | None) -> object:
        """Wait until a job has ended; return its recorded result as JSON.

        Raises `ResultTimeout`, `NoJob` when it is gone, `JobGivenUp`, `JobCalledOff`, `NotRecorded`, and `BadTime` for
        what is no timeout. On cancellation nothing but the waiting ends.
        """
        check_timeout(timeout_seconds)
        seen: list[Job] = []
        try:
            async with asyncio.timeout(timeout_seconds) as limit:
                return result_of(job_id, await self._ended(job_id, seen))
        except TimeoutError:
            if timeout_seconds is None or not limit.expired():
                raise
            worker, state = (seen[-1].worker, seen[-1].state) if seen else (None, None)
            late = ResultTimeout(job_id, timeout_seconds, worker, state)
        raise late

    async def _ended(self, job_id: int, seen: list[Job]) -> Job | None:
        """Return a job once it has ended, or None when it is gone; `seen` holds it as it was last found before."""
        while True:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.setdefault(job_id, set()).add(waiter)
            self.awaited()
            try:
                job = await self._store.get(job_id)
                if job is None or job.state not in INCOMPLETE:
                    return job
                seen[:] = [job]
                await asyncio.wait({waiter}, timeout=LOOK_SECONDS)
            finally:
                self._leave(job_id, waiter)

    def _leave(self, job_id: int, waiter: "asyncio.Future[None]") -> None:
        waiters = self._waiting[job_id]
        waiters.discard(waiter)
        if not waiters:
            del self._waiting[job_id]


def result_of(job_id: int, job: Job | None) -> object:
    """Return the recorded result of a job that has ended. Raises what it ended with."""
    if job is None:
        raise NoJob(job_id)
    error = job.errors[-1].error if job.errors else ""
    if job.state == "discarded":
        raise (JobExpired if job.meta.get(EXPIRED) else JobGivenUp)(job_id, job.worker, error)
    if job.state == "cancelled":
        raise JobCalledOff(job_id, job.worker, error)
    if not job.meta.get(RECORDED):
        raise NotRecorded(job_id, job.worker)
    return job.meta.get(RESULT)
