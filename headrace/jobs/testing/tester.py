"""`JobsTester` and the service it runs."""

import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, Literal, ParamSpec, Self, TypeVar, Unpack, cast, get_args

from typing_extensions import override

from headrace.jobs.errors import BadJobsTest, JobNotRun
from headrace.jobs.job import INCOMPLETE, AttemptCompleted, Inserted, Job, JobOutcome, NewJob
from headrace.jobs.jobs import Jobs
from headrace.jobs.running.enqueue import EnqueuePipeline
from headrace.jobs.running.outcomes import RESULT
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.settings import JobsSettings
from headrace.jobs.stores.memory_store import MemoryStore
from headrace.jobs.stores.sqlite_store import user_transaction
from headrace.jobs.testing.assertions import ALL, Inspection, JobWants, apart, at_once, missing, surplus
from headrace.jobs.testing.runs import Drained, DrainKeywords, DrainOptions, JobsClock, Runs
from headrace.jobs.worker import AnyWorker, Worker

After = Callable[[Sequence[Inserted | None]], Awaitable[None]]
"""Called with the inserted jobs; in the mode inline it runs them before the caller that enqueued goes on."""


class TestedJobs(Jobs):
    """Keeps every enqueued job, and passes it to `after`. It is bound, not opened: no event loop is needed."""

    __test__ = False
    is_stand_in = True

    def __init__(self, store: MemoryStore, catalogue: WorkerCatalogue, settings: JobsSettings, after: After) -> None:
        super().__init__(store, catalogue, None, settings)
        self._after = after

    @override
    async def insert(self, jobs: Sequence[NewJob]) -> list[Inserted | None]:
        inserted = await super().insert(jobs)
        await self._after(inserted)
        return inserted

    @override
    def insert_sync(self, jobs: Sequence[NewJob]) -> list[Inserted | None]:
        inserted = super().insert_sync(jobs)

        async def after() -> None:
            await self._after(inserted)

        apart(after)
        return inserted

    @override
    def insert_in(self, connection: sqlite3.Connection, jobs: Sequence[NewJob]) -> list[Inserted | None]:
        with user_transaction(connection, jobs[0].worker):
            return super().insert_sync(jobs)

    @override
    async def result(self, job_id: int, timeout_seconds: float | None) -> object:
        job = await self.store.get(job_id)
        if job is not None and job.state in INCOMPLETE:
            raise JobNotRun(job_id, job.worker, job.state)
        return await super().result(job_id, timeout_seconds)


P = ParamSpec("P")
T = TypeVar("T")

TesterMode = Literal["inline", "manual"]
"""Whether what is enqueued runs at once, before the enqueuer goes on, or is kept until the test runs it (Oban's)."""


class JobsTester:
    """Has the jobs of a test, in memory, and runs them only in the test's own thread and task.

    Functions run where the test is, also those that a queue would run in a thread or an OS process; only jobs that are
    one chunk have a task each. What is asserted
    is asserted at once; the words that run jobs are coroutines, and end in `_sync` for tests that are none.
    """

    def __init__(
        self,
        catalogue: WorkerCatalogue,
        mode: TesterMode = "manual",
        settings: JobsSettings | None = None,
        clock: JobsClock | None = None,
    ) -> None:
        """`settings` are those whose middleware and cipher the jobs are to have. Raises `BadJobsTest`."""
        if mode not in get_args(TesterMode):
            what = f"the mode of the jobs of a test is {mode!r}"
            raise BadJobsTest(what, "say inline or manual")
        self.mode: TesterMode = mode
        self.clock = JobsClock() if clock is None else clock
        self.store = MemoryStore(now=self.clock)
        settings = replace(settings or JobsSettings(), now=self.clock)
        self._service = TestedJobs(self.store, catalogue, settings, self._after)
        self._runs = Runs(self.store, catalogue, settings)
        enqueue_pipeline = EnqueuePipeline(catalogue, settings.enqueue_middleware, settings.cipher)
        self._inspection = Inspection(self.store, catalogue, enqueue_pipeline)
        self.clock.add_listener(self._stage)

    def __enter__(self) -> Self:
        """Take in what the workers enqueue. Raises `NotBound` while another `Jobs` has them."""
        self._service.catalogue.bind(self._service)
        return self

    def __exit__(self, *_: object) -> None:
        """Take in nothing more."""
        self._service.catalogue.unbind(self._service)

    @property
    def jobs(self) -> Jobs:
        """The service that the workers enqueue to, for code that is handed one; it runs no queue."""
        return self._service

    @contextmanager
    def inline(self) -> Iterator[None]:
        """Run at once what is enqueued inside the block."""
        yield from self._in("inline")

    @contextmanager
    def manual(self) -> Iterator[None]:
        """Keep what is enqueued inside the block."""
        yield from self._in("manual")

    # What was enqueued

    def all_enqueued(self, worker: AnyWorker | str | None = None, **wants: Unpack[JobWants]) -> list[Job]:
        """Return the jobs that were enqueued and have not run, oldest first. Raises `BadJobsTest`."""
        fits, _, _ = self._inspection.enqueued(self._inspection.wanted(worker, wants))
        return [kept.job for kept in fits]

    def assert_enqueued(
        self, worker: AnyWorker | str | None = None, *, count: int | None = None, **wants: Unpack[JobWants]
    ) -> Job:
        """Return the oldest job that was enqueued, has not run, and fits; with a `count`, so many must.

        Raises AssertionError, which shows what is enqueued instead, and `BadJobsTest` for what no job could be.
        """
        __tracebackhide__ = True
        wanted = self._inspection.wanted(worker, wants)
        fits, near, others = self._inspection.enqueued(wanted)
        if not fits:
            raise AssertionError(missing(wanted, near, others))
        if count is not None and len(fits) != count:
            raise AssertionError(surplus(wanted, fits, count))
        return fits[0].job

    def refute_enqueued(self, worker: AnyWorker | str | None = None, **wants: Unpack[JobWants]) -> None:
        """Raise AssertionError, which shows them, if any jobs were enqueued, have not run, and fit."""
        __tracebackhide__ = True
        wanted = self._inspection.wanted(worker, wants)
        fits, _, _ = self._inspection.enqueued(wanted)
        if fits:
            raise AssertionError(surplus(wanted, fits))

    # Running

    async def perform_job(self, worker: Worker[P, Any, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a job of the worker without keeping it, and return what it answers.

        Its arguments go through JSON, as those of every job do, and so does a recorded result. Raises `BadArguments`,
        what the worker raises, and `JobFailed` for an attempt that failed otherwise.
        """
        known = self._inspection.known(worker)
        attempt = await self._runs.perform(worker.new(*args, **kwargs), 1)
        attempt.check(known.name)
        if isinstance(attempt.outcome, AttemptCompleted) and known.options.record:
            return worker.restored((attempt.outcome.meta or {}).get(RESULT))
        return cast("T", attempt.answer)

    def perform_job_sync(self, worker: Worker[P, Any, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Do the same where no coroutine is."""
        return apart(partial(self.perform_job, worker, *args, **kwargs))

    async def outcome_of(self, job: NewJob, *, attempt: int = 1) -> JobOutcome:
        """Run one attempt of a job, as `worker.new(…)` makes it, without keeping it; return what becomes of it.

        So is seen when a job is tried again, and what its last attempt leads to. A worker that raises raises nothing.
        """
        return (await self._runs.perform(job, attempt)).outcome

    async def drain_queue(self, queue: str = "default", **keywords: Unpack[DrainKeywords]) -> Drained:
        """Run what waits in a queue, most urgent first, each job once at most; return how many ended how.

        Jobs of a chunk worker are one call, as many as its `size`, and wait for no others.

        `with_scheduled=True` runs also what waits for its time; a time does so for what waits until then.
        `with_recursion=False` leaves alone what is enqueued meanwhile. At most `with_limit` jobs are run.
        `with_safety=False` raises what a worker raises.
        """
        return await self._runs.drain(DrainOptions(queue, **keywords))

    def drain_queue_sync(self, queue: str = "default", **keywords: Unpack[DrainKeywords]) -> Drained:
        """Do the same where no coroutine is."""
        return apart(partial(self.drain_queue, queue, **keywords))

    async def _after(self, inserted: Sequence[Inserted | None]) -> None:
        ids = [one.id for one in inserted if one is not None and not one.is_conflict]
        await self._runs.advance(ids)
        if self.mode == "inline":
            await self._runs.run_inline(ids)

    def _stage(self) -> None:
        at_once(self.store.stage(ALL))

    def _in(self, mode: TesterMode) -> Iterator[None]:
        before, self.mode = self.mode, mode
        try:
            yield
        finally:
            self.mode = before
