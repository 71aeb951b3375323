"""Runs attempts in the task of the test itself, and keeps what the worker answered or raised."""

from dataclasses import dataclass, replace

from headrace.jobs.errors import JobFailed
from headrace.jobs.flows.chunk import PARTY, Party
from headrace.jobs.job import Discard, Failed, Job, Outcome
from headrace.jobs.running.attempt import Executor, Surroundings
from headrace.jobs.running.enqueue import Call
from headrace.jobs.running.worker_catalogue import Catalogue
from headrace.jobs.running_job import RUNNING_JOB, RunningJob


@dataclass(slots=True)
class Attempt:
    """One attempt that has ended: what became of it, and what the worker answered or raised."""

    outcome: Outcome
    answer: object = None
    error: Exception | None = None

    def check(self, worker: str) -> None:
        """Raise what the worker raised, or `JobFailed` for what failed otherwise; an answer is no failure."""
        if self.error is not None:
            raise self.error
        if isinstance(self.outcome, Failed) and not isinstance(self.answer, Discard):
            raise JobFailed(worker, self.outcome.error)


@dataclass(slots=True)
class _Seen:
    answer: object = None
    error: Exception | None = None


class Attempts:
    """Runs jobs as a queue does, but for the place: every function runs in the thread and the task of the test."""

    def __init__(self, catalogue: Catalogue, surroundings: Surroundings) -> None:
        """`surroundings` are those without threads and OS processes."""
        self._seen: dict[int, _Seen] = {}
        middleware = (self._see, *surroundings.middleware)
        self._execute = Executor(catalogue, replace(surroundings, middleware=middleware))

    async def run(self, job: Job, party: Party | None = None) -> Attempt:
        """Run one attempt to its end; whoever enqueued it, itself a job perhaps, is the running one again after it.

        A chunk worker is called once all jobs of the `party` have begun, and at once for a single one.
        """
        seen = self._seen[id(job)] = _Seen()
        party = Party([job.id]) if party is None else party
        before, with_whom = RUNNING_JOB.set(RunningJob(job)), PARTY.set(party)
        try:
            outcome = await self._execute(job)
        finally:
            party.came(job.id)
            PARTY.reset(with_whom)
            RUNNING_JOB.reset(before)
            del self._seen[id(job)]
        return Attempt(outcome, seen.answer, seen.error)

    async def _see(self, running: RunningJob, call: Call) -> object:
        seen = self._seen[id(running.job)]
        try:
            seen.answer = await call()
        except Exception as error:
            seen.error = error
            raise
        return seen.answer
