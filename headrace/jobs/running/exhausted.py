"""Follows up jobs that are discarded: calls the `on_exhausted` of their workers."""

import asyncio
import inspect
from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import Final, Protocol

from headrace.errors import HeadraceError
from headrace.jobs.job import Failed, Job
from headrace.jobs.running.catalogue import Catalogue
from headrace.jobs.running.closing import end_within, go_through
from headrace.jobs.running.failures import FailureReport
from headrace.jobs.worker import AnyWorker
from headrace.otp.scheduler import Scheduler
from headrace.telemetry.events import LOG

_UNKNOWN: Final = "it was discarded"


class Gets(Protocol):
    """What following up needs of a store; see `JobStore`."""

    async def get(self, job_id: int) -> Job | None:
        """Return a job, or None when there is none of that id."""


class Exhausted:
    """Follows up jobs that maintenance discarded: no attempt of theirs could."""

    def __init__(
        self, store: Gets, catalogue: Catalogue, decrypt: Callable[[Job], None], report: FailureReport
    ) -> None:
        """`decrypt` puts the args of a job in clear, in place."""
        self._store = store
        self._catalogue = catalogue
        self._decrypt = decrypt
        self._report = report
        self._tasks: set[asyncio.Task[None]] = set()

    async def follow_up(self, job_ids: Sequence[int]) -> None:
        """Report discarded jobs and call `on_exhausted` for each, in a task: one that hangs holds up no maintenance."""
        if job_ids:
            work = go_through("the follow-up of discarded jobs", self._follow_up_all(job_ids))
            task = Scheduler().start_task(work, copy_context(), "on_exhausted of discarded jobs")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def end_within(self, seconds: float) -> None:
        """Wait for what is being followed up; cancel what takes longer, and log that."""
        tasks = list(self._tasks)
        await end_within(seconds, *tasks)
        if any(task.cancelled() or not task.done() for task in tasks):
            LOG.error("on_exhausted of discarded jobs took longer than %g s, and was cancelled", seconds)

    async def _follow_up_all(self, job_ids: Sequence[int]) -> None:
        for job_id in job_ids:
            job = await self._store.get(job_id)
            if job is not None:
                await self._follow_up(job, job.errors[-1].error if job.errors else _UNKNOWN)

    async def _follow_up(self, job: Job, error: str) -> None:
        self._report(job, Failed(error, None))
        worker = self._catalogue.get(job.worker)
        if worker is None:
            text = "no on_exhausted is called for job %d: this process does not list the module of its worker %r"
            LOG.warning(text, job.id, job.worker)
        elif worker.options.on_exhausted is not None:
            try:
                self._decrypt(job)
            except HeadraceError as refusal:
                LOG.error("on_exhausted of worker %r gets job %d as it is stored: %s", worker.name, job.id, refusal)
            await call_on_exhausted(worker, job, error)


async def call_on_exhausted(worker: AnyWorker, job: Job, error: str) -> None:
    """Call the `on_exhausted` of a worker for a discarded job, with the error of its last attempt.

    What it raises is logged: the job is discarded all the same. On cancellation it is cancelled.
    """
    on_exhausted = worker.options.on_exhausted
    try:
        answer = None if on_exhausted is None else on_exhausted(job, error)
        if inspect.isawaitable(answer):
            await answer
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as raised:
        task = asyncio.current_task()
        if isinstance(raised, asyncio.CancelledError) and task is not None and task.cancelling():
            raise
        LOG.exception("on_exhausted of worker %r raised for job %d, which is discarded", worker.name, job.id)
