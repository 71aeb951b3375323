"""Reports failed attempts of jobs: in the log, and to the function that `on_error` names."""

from collections.abc import Callable
from dataclasses import dataclass

from headrace.errors import HeadraceError, describe
from headrace.jobs.job import Failed, Job
from headrace.jobs.running.outcomes import EXPIRED
from headrace.telemetry.events import LOG


@dataclass(frozen=True, slots=True)
class JobFailure:
    """One failed attempt of a job.

    `error` is what the worker raised, or None where it raised nothing: it returned `Discard`, the job expired, or each
    process that ran it died. `retry_seconds` is the wait for the next attempt; None is that the job is discarded.
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
"""Gets each failed attempt, on the event loop: it must not block. What it raises is logged."""


class FailureReport:
    """Logs failed attempts unless it is told not to, and hands them to `on_error`.

    A failure that is tried again is a WARNING of one line; a discarded job is an ERROR with the traceback.
    """

    def __init__(self, on_error: OnError | None = None, *, is_logged: bool = True) -> None:
        self._on_error = on_error
        self._is_logged = is_logged

    def __call__(self, job: Job, outcome: Failed) -> None:
        """Report the failure of the present attempt of a job."""
        if self._is_logged:
            _log(job, outcome)
        if self._on_error is None:
            return
        try:
            self._on_error(JobFailure(job, outcome.error, outcome.cause, outcome.retry_seconds))
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001 - whatever the user's function raises, the job has its outcome
            LOG.exception("on_error raised for job %d of worker %r", job.id, job.worker)


def _log(job: Job, outcome: Failed) -> None:
    """Log a failure; the attempt of a row that a hand wrote may be any text."""
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
