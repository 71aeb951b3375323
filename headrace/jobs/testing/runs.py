"""Runs the jobs of a test: single attempts, the drain of a queue, and the clock."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, TypedDict

from headrace.clock import utc_now
from headrace.jobs.errors import BadJobsTest, JobDropped, JobFailed
from headrace.jobs.flows.advance import advance_all, groups_of_all
from headrace.jobs.flows.chunk import CHUNK_BATCH, ChunkBatch, chunk_size
from headrace.jobs.flows.workflow import pass_results
from headrace.jobs.job import (
    AttemptFailed,
    AttemptReleased,
    Discard,
    Job,
    JobAck,
    JobOutcome,
    JobState,
    NewJob,
)
from headrace.jobs.metrics import outcome_name
from headrace.jobs.rules.flows import JobGroups, groups_of
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.running.attempt import AttemptRunner, ExecutionContext
from headrace.jobs.running.enqueue import EnqueuePipeline, NextCall, RunMiddleware
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.running_job import RUNNING_JOB, RunningJob
from headrace.jobs.stores.memory_store import MemoryStore
from headrace.jobs.stores.store import LeaseOwner
from headrace.jobs.testing.assertions import ALL


@dataclass(slots=True)
class Attempt:
    """An attempt: its outcome, and the answer or the error of its worker."""

    outcome: JobOutcome = field(default_factory=AttemptReleased)
    answer: object = None
    error: Exception | None = None

    def check(self, worker: str) -> None:
        """Raise the error of the worker, or `JobFailed` for another failure; a `Discard` is no failure."""
        if self.error is not None:
            raise self.error
        if isinstance(self.outcome, AttemptFailed) and not isinstance(self.answer, Discard):
            raise JobFailed(worker, self.outcome.error)


class TesterAttempts:
    """Runs attempts as a queue does, but each function in the thread and the task of the test."""

    def __init__(self, catalogue: WorkerCatalogue, context: ExecutionContext) -> None:
        """`context` has no threads and no OS processes."""
        self._attempts: dict[int, Attempt] = {}
        middleware = (self._see, *context.middleware)
        self._execute = AttemptRunner(catalogue, replace(context, middleware=middleware))

    async def run(self, job: Job, batch: ChunkBatch | None = None) -> Attempt:
        """Run one attempt. A job that enqueued it is the running job again afterwards.

        A chunk worker is called once all jobs of the `batch` have begun; a single job is a batch of its own.
        """
        attempt = self._attempts[id(job)] = Attempt()
        batch = ChunkBatch([job.id]) if batch is None else batch
        before, batch_before = RUNNING_JOB.set(RunningJob(job)), CHUNK_BATCH.set(batch)
        try:
            attempt.outcome = await self._execute(job)
        finally:
            batch.came(job.id)
            CHUNK_BATCH.reset(batch_before)
            RUNNING_JOB.reset(before)
            del self._attempts[id(job)]
        return attempt

    async def _see(self, running: RunningJob, call: NextCall) -> object:
        attempt = self._attempts[id(running.job)]
        try:
            attempt.answer = await call()
        except Exception as error:
            attempt.error = error
            raise
        return attempt.answer


@dataclass(frozen=True, slots=True)
class Drained:
    """The numbers of jobs that a drain has run, by outcome."""

    completed: int = 0
    retryable: int = 0
    discarded: int = 0
    cancelled: int = 0
    snoozed: int = 0

    @property
    def total(self) -> int:
        """The number of jobs that ran."""
        return sum(getattr(self, each.name) for each in fields(self))


_OWNER: Final = LeaseOwner("test", "test", "test")

_WAITING: Final[frozenset[JobState]] = frozenset({"available", "scheduled", "retryable"})


class DrainKeywords(TypedDict, total=False):
    """The options of `JobsTester.drain_queue`; all may be left out."""

    with_scheduled: bool | datetime
    with_recursion: bool
    with_limit: int | None
    with_safety: bool


@dataclass(frozen=True, slots=True)
class DrainOptions:
    """The queue to drain, and which of its jobs."""

    queue: str
    with_scheduled: bool | datetime = False
    with_recursion: bool = True
    with_limit: int | None = None
    with_safety: bool = True


class Runs:
    """Runs the jobs of one store, one at a time, in the task of the caller."""

    def __init__(
        self, store: MemoryStore, enqueue_pipeline: EnqueuePipeline, middleware: Sequence[RunMiddleware]
    ) -> None:
        self._store = store
        self._catalogue = catalogue = enqueue_pipeline.catalogue
        self._enqueue_pipeline = enqueue_pipeline
        context = ExecutionContext(
            store.now,
            middleware,
            decrypt=self._enqueue_pipeline.open,
            pass_results=partial(pass_results, store),
        )
        self._attempts = TesterAttempts(catalogue, context)

    async def perform(self, new: NewJob, attempt: int) -> Attempt:
        """Run a job without keeping it. Raises the errors of middleware, and `JobDropped` if one drops the job."""
        (prepared,) = self._enqueue_pipeline.prepared([new])
        if prepared is None:
            raise JobDropped(new.worker)
        other_store = MemoryStore(now=self._store.now)
        (inserted,) = await other_store.insert([replace(prepared, state="available", unique=None)])
        job = other_store.take(_OWNER, inserted.id)
        if job is None:
            raise JobDropped(new.worker)
        job.id, job.attempt = 0, attempt
        return await self._attempts.run(job)

    async def run(self, job_id: int) -> Attempt | None:
        """Run and acknowledge one attempt of a waiting job; return None for another job. Interrupted, put it back."""
        attempts = await self.run_together([job_id])
        return attempts.get(job_id)

    async def run_together(self, job_ids: Sequence[int]) -> dict[int, Attempt]:
        """Run and acknowledge one attempt of each waiting job, all at a time; return the attempts by job id.

        Interrupted, it puts all of them back.
        """
        jobs = [job for job_id in job_ids if (job := self._store.take(_OWNER, job_id)) is not None]
        groups = groups_of_all(jobs)
        try:
            attempts = await self._attempts_of(jobs)
        except BaseException:
            await self._store.acknowledge(_OWNER, [JobAck(job.id, job.attempt, AttemptReleased()) for job in jobs])
            raise
        ended = [JobAck.of(job, attempts[job.id].outcome) for job in jobs]
        await self._store.acknowledge(_OWNER, ended)
        await advance_all(self._store, groups)
        return attempts

    async def _attempts_of(self, jobs: Sequence[Job]) -> dict[int, Attempt]:
        if len(jobs) == 1:  # in the task of the test itself
            return {jobs[0].id: await self._attempts.run(jobs[0])}
        batch = ChunkBatch(job.id for job in jobs)
        async with asyncio.TaskGroup() as together:
            tasks = {job.id: together.create_task(self._attempts.run(job, batch)) for job in jobs}
        return {job_id: task.result() for job_id, task in tasks.items()}

    async def advance(self, ids: Iterable[int]) -> None:
        """Advance the groups of these jobs."""
        jobs = await self._store.find(JobFilter(ids=frozenset(ids)), ALL)
        await advance_all(self._store, groups_of_all(jobs))

    async def run_inline(self, ids: Iterable[int]) -> None:
        """Run jobs, and the jobs that waited for them, before their time, too; raise the error of a worker."""
        for job_id in ids:
            job = await self._store.get(job_id)
            groups = [] if job is None else groups_of(job.meta)
            attempt = await self.run(job_id)
            if attempt is not None and job is not None:
                attempt.check(job.worker)
            await self.run_inline(await self._released(groups, job_id))

    async def drain(self, options: DrainOptions) -> Drained:
        """Run the waiting jobs of a queue, each at most once."""
        ran: Counter[str] = Counter()
        done: set[int] = set()
        while waiting := [job for job in await self._waiting(options) if job.id not in done]:
            for job in waiting:
                room = None if options.with_limit is None else options.with_limit - ran.total()
                if room is not None and room <= 0:
                    return Drained(**ran)
                ids = [] if job.id in done else self._chunk(job, [one for one in waiting if one.id not in done], room)
                done.update(ids)
                attempts = (await self.run_together(ids)).values()
                names = (outcome_name(attempt.outcome) for attempt in attempts)
                ran.update("retryable" if name in {"failed", "returned"} else name for name in names)
                for attempt in () if options.with_safety else attempts:
                    attempt.check(job.worker)
            if not options.with_recursion:
                break
        return Drained(**ran)

    def _chunk(self, job: Job, waiting: Sequence[Job], room: int | None) -> list[int]:
        """Return the ids of the jobs in one call with `job`, its own first: other jobs of the same chunk worker."""
        worker = self._catalogue.get(job.worker)
        size = (None if worker is None else chunk_size(worker)) or 1
        alike = [one.id for one in waiting if self._catalogue.get(one.worker) is worker] if size > 1 else [job.id]
        return alike[: size if room is None else min(size, room)]

    async def _waiting(self, options: DrainOptions) -> list[Job]:
        """Return the due jobs, in the order in which a queue claims them, then later jobs, if wanted, by their time."""
        which = JobFilter(states=_WAITING, queues=frozenset({options.queue}), workers=frozenset(self._catalogue.names))
        now, until = self._store.now(), options.with_scheduled
        jobs = await self._store.find(which, ALL)
        due = [job for job in jobs if job.state == "available" or job.scheduled_at <= now]
        later = [job for job in jobs if job.state != "available" and job.scheduled_at > now]
        if isinstance(until, datetime):
            later = [job for job in later if job.scheduled_at <= until]
        due.sort(key=lambda job: (job.priority, job.scheduled_at, job.id))
        later.sort(key=lambda job: (job.scheduled_at, job.priority, job.id))
        return [*due, *later] if until else due

    async def _released(self, groups: Iterable[JobGroups], after_id: int) -> list[int]:
        """Return the ids of the available jobs of groups, without the job that has just run."""
        found: set[int] = set()
        for group in groups:
            which = JobFilter(states=frozenset({"available"}), meta=group.meta)
            found.update(job.id for job in await self._store.find(which, ALL))
        return sorted(found - {after_id})


class JobsClock:
    """A clock that stands still until it is moved; a call returns the time, aware UTC.

    After a move, jobs that are due are available, as they would be within a second in a service.
    """

    def __init__(self, now: datetime | None = None) -> None:
        self._now = utc_now() if now is None else now
        self._listeners: list[Callable[[], None]] = []

    def add_listener(self, listener: Callable[[], None]) -> None:
        """Call `listener` after each move of the clock."""
        self._listeners.append(listener)

    def __call__(self) -> datetime:
        """Return the time."""
        return self._now

    def move(self, seconds: float) -> None:
        """Move by `seconds`, which may be below 0."""
        self.move_to(self._now + timedelta(seconds=seconds))

    def move_to(self, time: datetime) -> None:
        """Move to a time. Raises `BadJobsTest` for a time without a time zone."""
        if time.tzinfo is None:
            what = f"the clock cannot go to {time}, which has no time zone"
            raise BadJobsTest(what, "add one, as in datetime.now(UTC)")
        self._now = time.astimezone(UTC)
        for listener in self._listeners:
            listener()
