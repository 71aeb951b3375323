"""Failed attempts: their report to the log and to `on_error`, `on_exhausted`, and jobs that outlast the stop."""

import asyncio
import inspect
import threading
from collections.abc import Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from typing import Final

from headrace.errors import HeadraceError, describe
from headrace.jobs.job import AttemptFailed, Job, JobAck, JobOutcome
from headrace.jobs.running.outcomes import EXPIRED
from headrace.jobs.running.task_pool import close_within, run_close_step
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.stores.store import Claims, Finds, LeaseOwner
from headrace.jobs.worker import AnyWorker
from headrace.otp.scheduler import Scheduler
from headrace.telemetry.events import LOG, log_failure


@dataclass(frozen=True, slots=True)
class JobFailure:
    """One failed attempt of a job.

    `error` is the exception of the worker. It is None for a worker that returned `Discard`, an expired job, and a job
    whose processes all died. `retry_seconds` is the wait for the next attempt; None means that the job is discarded.
    """

    job: Job
    error_text: str
    error: BaseException | None
    retry_seconds: float | None

    @property
    def is_discarded(self) -> bool:
        """Whether there is no next attempt."""
        return self.retry_seconds is None


OnError = Callable[[JobFailure], object]
"""Gets each failed attempt, on the event loop, so it must not block. Its errors are logged."""


class FailureReport:
    """Logs failed attempts unless `is_logged` is False, and passes them to `on_error`.

    A failure that is tried again is logged as a WARNING of one line, a discarded job as an ERROR with its traceback.
    """

    def __init__(self, on_error: OnError | None = None, *, is_logged: bool = True) -> None:
        self._on_error = on_error
        self._is_logged = is_logged

    def __call__(self, job: Job, outcome: AttemptFailed) -> None:
        """Report the failure of the current attempt of a job."""
        if self._is_logged:
            _log(job, outcome)
        if self._on_error is None:
            return
        try:
            self._on_error(JobFailure(job, outcome.error, outcome.cause, outcome.retry_seconds))
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001 - an error of the user's function must not change the outcome
            LOG.exception("on_error raised for job %d of worker %r", job.id, job.worker)


def _log(job: Job, outcome: AttemptFailed) -> None:
    """Log a failure. The attempt number is formatted as text, since a row of another program may hold any value."""
    cause = outcome.cause
    if outcome.retry_seconds is not None:
        text = "job %d of worker %r failed in attempt %s of %s, and is tried again in %.0f s: %s"
        why = outcome.error if cause is None else describe(cause)
        LOG.warning(text, job.id, job.worker, job.attempt, job.max_attempts, outcome.retry_seconds, why)
    elif (outcome.meta or {}).get(EXPIRED):
        LOG.warning("job %d of worker %r is discarded: %s", job.id, job.worker, outcome.error)
    else:
        is_sentence = cause is None or isinstance(cause, HeadraceError)
        why = outcome.error if is_sentence or cause is None else describe(cause)
        text = "job %d of worker %r is discarded after attempt %s of %s: %s"
        values = (job.id, job.worker, job.attempt, job.max_attempts, why)
        LOG.error(text, *values, exc_info=None if is_sentence else cause)


_UNKNOWN: Final = "it was discarded"


class Exhausted:
    """Reports the jobs that the maintenance discarded, and calls their `on_exhausted`."""

    def __init__(
        self, store: Finds, catalogue: WorkerCatalogue, decrypt: Callable[[Job], None], report: FailureReport
    ) -> None:
        """`decrypt` decrypts the args of a job, in place."""
        self._store = store
        self._catalogue = catalogue
        self._decrypt = decrypt
        self._report = report
        self._tasks: set[asyncio.Task[None]] = set()

    async def follow_up(self, job_ids: Sequence[int]) -> None:
        """Handle discarded jobs in a task, so that an `on_exhausted` that hangs does not block the maintenance."""
        if job_ids:
            work = run_close_step("the follow-up of discarded jobs", self._follow_up_all(job_ids))
            task = Scheduler().start_task(work, copy_context(), "on_exhausted of discarded jobs")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close_within(self, seconds: float) -> None:
        """Wait for the tasks; cancel and log tasks that take longer."""
        tasks = list(self._tasks)
        await close_within(seconds, *tasks)
        if any(task.cancelled() or not task.done() for task in tasks):
            LOG.error("on_exhausted of discarded jobs took longer than %g s, and was cancelled", seconds)

    async def _follow_up_all(self, job_ids: Sequence[int]) -> None:
        for job_id in job_ids:
            job = await self._store.get(job_id)
            if job is not None:
                await self._follow_up(job, job.errors[-1].error if job.errors else _UNKNOWN)

    async def _follow_up(self, job: Job, error: str) -> None:
        self._report(job, AttemptFailed(error, None))
        worker = self._catalogue.get(job.worker)
        if worker is None:
            text = "no on_exhausted is called for job %d: this process does not list the module of its worker %r"
            LOG.warning(text, job.id, job.worker)
        elif worker.options.on_exhausted is not None:
            try:
                self._decrypt(job)
            except HeadraceError as decrypt_error:
                LOG.error(
                    "on_exhausted of worker %r gets job %d as it is stored: %s", worker.name, job.id, decrypt_error
                )
            await call_on_exhausted(worker, job, error)


async def call_on_exhausted(worker: AnyWorker, job: Job, error: str) -> None:
    """Call the `on_exhausted` of a worker for a discarded job, with the error of its last attempt.

    Its errors are logged, and the job stays discarded. On cancellation it is cancelled.
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


AttemptReport = Callable[[JobOutcome], None]
"""Gets the outcome of an attempt, in the thread in which it ended."""


class LateEnds:
    """The jobs of one service that still run in threads after its stop; the last one closes the store."""

    def __init__(self, store: Claims, report: FailureReport) -> None:
        self._store = store
        self._report = report
        self._lock = threading.Lock()
        self._left: dict[int, tuple[LeaseOwner, Job]] = {}
        self._close: Callable[[], None] | None = None

    @property
    def jobs(self) -> list[Job]:
        """The jobs that still run."""
        with self._lock:
            return [job for _, job in self._left.values()]

    def has(self, owner: LeaseOwner) -> bool:
        """Return whether the lease owner still has a running job, and so must keep its lease."""
        with self._lock:
            return any(other == owner for other, _ in self._left.values())

    def expect(self, owner: LeaseOwner, job: Job, leave: Callable[[AttemptReport], bool]) -> bool:
        """Call `leave` with the callback for the outcome of a job; return whether the job still runs."""
        with self._lock:
            self._left[job.id] = (owner, job)
        if leave(lambda outcome: self._ended(owner, job, outcome)):
            return True
        self._forget(job)
        return False

    def close_later(self, close: Callable[[], None]) -> bool:
        """Let the last job call `close` in its thread; return False if no job is left."""
        with self._lock:
            self._close = close if self._left else None
            return bool(self._left)

    def _ended(self, owner: LeaseOwner, job: Job, outcome: JobOutcome) -> None:
        """Acknowledge a job, in the thread in which it ran."""
        ended = JobAck.of(job, outcome)
        try:
            if type(ended.outcome) is AttemptFailed:
                self._report(job, ended.outcome)
            self._store.acknowledge_sync(owner, [ended])
            LOG.info("job %d of worker %r, which outlasted the drain, has ended", job.id, job.worker)
        except Exception as error:  # noqa: BLE001 - the other jobs still need the store
            text = "the end of job %d of worker %r could not be written; it runs again when its lease is out"
            log_failure(error, text, job.id, job.worker)
        close = self._forget(job)
        if close is not None:
            close()

    def _forget(self, job: Job) -> Callable[[], None] | None:
        """Remove a job; return the function that closes the store if it was the last job."""
        with self._lock:
            del self._left[job.id]
            return None if self._left else self._close
