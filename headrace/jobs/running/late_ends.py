"""Jobs whose threads outlast the drain: their leases are kept, and their ends written, as long as the process lives."""

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from headrace.jobs.job import Acknowledgement, Failed, Job, Outcome
from headrace.jobs.running.failures import FailureReport
from headrace.jobs.stores.store import Claimant
from headrace.telemetry.events import LOG, log_failure

Tell = Callable[[Outcome], None]
"""Gets the outcome of an attempt, in whatever thread it ended."""


class WritesLate(Protocol):
    """What late ends need of a store; see `JobStore`."""

    def acknowledge_sync(self, claimant: Claimant, acknowledgements: Sequence[Acknowledgement]) -> None:
        """Write how attempts ended, from any thread, and wait."""


class LateEnds:
    """The jobs of one service that were left behind in threads; the store stays open until the last has ended."""

    def __init__(self, store: WritesLate, report: FailureReport) -> None:
        self._store = store
        self._report = report
        self._lock = threading.Lock()
        self._left: dict[int, tuple[Claimant, Job]] = {}
        self._close: Callable[[], None] | None = None

    @property
    def jobs(self) -> list[Job]:
        """The jobs that still run in threads."""
        with self._lock:
            return [job for _, job in self._left.values()]

    def has(self, claimant: Claimant) -> bool:
        """Return whether the claimant has left a job behind that still runs: its lease is needed."""
        with self._lock:
            return any(owner == claimant for owner, _ in self._left.values())

    def expect(self, claimant: Claimant, job: Job, leave: Callable[[Tell], bool]) -> bool:
        """Leave a job behind by `leave`, which gets what to tell its outcome; return whether it still runs."""
        with self._lock:
            self._left[job.id] = (claimant, job)
        if leave(lambda outcome: self._ended(claimant, job, outcome)):
            return True
        self._forget(job)
        return False

    def close_later(self, close: Callable[[], None]) -> bool:
        """Have the last end call `close`, in its thread; return False where no job is left behind."""
        with self._lock:
            self._close = close if self._left else None
            return bool(self._left)

    def _ended(self, claimant: Claimant, job: Job, outcome: Outcome) -> None:
        """Write the end of a job, in the thread in which it ran."""
        ended = Acknowledgement.of(job, outcome)
        try:
            if type(ended.outcome) is Failed:
                self._report(job, ended.outcome)
            self._store.acknowledge_sync(claimant, [ended])
            LOG.info("job %d of worker %r, which outlasted the drain, has ended", job.id, job.worker)
        except Exception as error:  # noqa: BLE001 - the other jobs that were left behind need the store
            text = "the end of job %d of worker %r could not be written; it runs again when its lease is out"
            log_failure(error, text, job.id, job.worker)
        close = self._forget(job)
        if close is not None:
            close()

    def _forget(self, job: Job) -> Callable[[], None] | None:
        """Return what is to be called where it was the last one."""
        with self._lock:
            del self._left[job.id]
            return None if self._left else self._close
