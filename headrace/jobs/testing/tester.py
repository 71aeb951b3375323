"""`JobsTester`: keeps and runs the jobs of a test, in memory."""

import sqlite3
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, Literal, ParamSpec, Self, TypeVar, Unpack, cast, get_args

from typing_extensions import override

from headrace.jobs.errors import BadJobsTest, JobNotRun
from headrace.jobs.job import INCOMPLETE, AttemptCompleted, Inserted, Job, JobOutcome, NewJob
from headrace.jobs.jobs import Jobs
from headrace.jobs.running.outcomes import RESULT
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.settings import JobsSettings
from headrace.jobs.stores.memory_store import MemoryStore
from headrace.jobs.stores.sqlite_store import user_transaction
from headrace.jobs.testing.assertions import ALL, Inspection, JobWants, apart, at_once, missing, surplus
from headrace.jobs.testing.runs import Drained, DrainKeywords, DrainOptions, JobsClock, Runs
from headrace.jobs.worker import AnyWorker, Worker

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")

After = Callable[[Sequence[Inserted | None]], Awaitable[None]]
"""Called with the inserted jobs, before `insert` returns; in the mode inline it runs them."""


class TestedJobs(Jobs):
    """The service of a test: passes each enqueued job to `after`. It is bound but never opened, so it needs no loop."""

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
    def insert_in(self, connection: object, jobs: Sequence[NewJob]) -> list[Inserted | None]:
        if not isinstance(connection, sqlite3.Connection):
            return super().insert_sync(jobs)
        with user_transaction(connection, jobs[0].worker):
            return super().insert_sync(jobs)

    @override
    def run_sync(self, call: Coroutine[Any, Any, R]) -> R:
        async def run() -> R:
            return await call

        return apart(run)

    @override
    async def result(self, job_id: int, timeout_seconds: float | timedelta | None) -> object:
        job = await self.store.get(job_id)
        if job is not None and job.state in INCOMPLETE:
            raise JobNotRun(job_id, job.worker, job.state)
        return await super().result(job_id, timeout_seconds)


TesterMode = Literal["inline", "manual"]
"""Whether an enqueued job runs at once, before `enqueue` returns, or when the test runs it, as in Oban."""


class JobsTester:
    """Keeps the jobs of a test in memory, and runs them in the test's own thread and task.

    Functions that a queue would run in a thread or an OS process also run there. Only the jobs of one chunk have a task
    each. Methods that run jobs are coroutines; their `_sync` versions are for tests without a coroutine.
    """

    def __init__(
        self,
        catalogue: WorkerCatalogue,
        mode: TesterMode = "manual",
        settings: JobsSettings | None = None,
        clock: JobsClock | None = None,
    ) -> None:
        """The jobs use the middleware and the cipher of `settings`. Raises `BadJobsTest`."""
        if mode not in get_args(TesterMode):
            what = f"the mode of the jobs of a test is {mode!r}"
            raise BadJobsTest(what, "use inline or manual")
        self.mode: TesterMode = mode
        self.clock = JobsClock() if clock is None else clock
        self.store = MemoryStore(now=self.clock)
        settings = replace(settings or JobsSettings(), now=self.clock)
        self._service = TestedJobs(self.store, catalogue, settings, self._after)
        self._runs = Runs(self.store, self._service.enqueue_pipeline, settings.run_middleware)
        self._inspection = Inspection(self.store, self._service.enqueue_pipeline)
        self.clock.add_listener(self._stage)

    def __enter__(self) -> Self:
        """Bind the workers. Raises `NotBound` while another `Jobs` keeps their jobs."""
        self._service.catalogue.bind(self._service)
        return self

    def __exit__(self, *_: object) -> None:
        """Unbind the workers."""
        self._service.catalogue.unbind(self._service)

    @property
    def jobs(self) -> Jobs:
        """The service of the workers, for code that takes a `Jobs`; it runs no queue."""
        return self._service

    @contextmanager
    def inline(self) -> Iterator[None]:
        """Run jobs at once that are enqueued inside the block."""
        yield from self._in("inline")

    @contextmanager
    def manual(self) -> Iterator[None]:
        """Keep jobs that are enqueued inside the block."""
        yield from self._in("manual")

    def all_enqueued(self, worker: AnyWorker | str | None = None, **wants: Unpack[JobWants]) -> list[Job]:
        """Return the fitting jobs that are enqueued and have not run, oldest first. Raises `BadJobsTest`."""
        fits, _, _ = self._inspection.enqueued(self._inspection.wanted(worker, wants))
        return [kept.job for kept in fits]

    def assert_enqueued(
        self, worker: AnyWorker | str | None = None, *, count: int | None = None, **wants: Unpack[JobWants]
    ) -> Job:
        """Return the oldest fitting job that is enqueued and has not run; with a `count`, exactly so many must fit.

        Raises AssertionError, which shows the enqueued jobs, and `BadJobsTest` for an impossible expectation.
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
        """Raise AssertionError if a fitting job is enqueued and has not run."""
        __tracebackhide__ = True
        wanted = self._inspection.wanted(worker, wants)
        fits, _, _ = self._inspection.enqueued(wanted)
        if fits:
            raise AssertionError(surplus(wanted, fits))

    async def perform_job(self, worker: Worker[P, Any, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a job of the worker without keeping it, and return the worker's answer.

        Arguments and a recorded result are converted to JSON and back, as for each job. Raises `BadArguments`, the
        error of the worker, and `JobFailed` for another failure.
        """
        known = self._inspection.known(worker)
        attempt = await self._runs.perform(worker.new(*args, **kwargs), 1)
        attempt.check(known.name)
        if isinstance(attempt.outcome, AttemptCompleted) and known.options.record:
            return worker.restored((attempt.outcome.meta or {}).get(RESULT))
        return cast("T", attempt.answer)

    def perform_job_sync(self, worker: Worker[P, Any, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a job as `perform_job` does, in a test without a coroutine."""
        return apart(partial(self.perform_job, worker, *args, **kwargs))

    async def outcome_of(self, job: NewJob, *, attempt: int = 1) -> JobOutcome:
        """Run one attempt of a job, such as `worker.new(…)`, without keeping it; return its outcome.

        The outcome has the wait of a retry, or shows a discarded job. An error of the worker is not raised.
        """
        return (await self._runs.perform(job, attempt)).outcome

    async def drain_queue(self, queue: str = "default", **keywords: Unpack[DrainKeywords]) -> Drained:
        """Run the waiting jobs of a queue, most urgent first, each at most once; return the numbers by outcome.

        Jobs of a chunk worker run in one call, at most its `size`, without a wait for other jobs.

        `with_scheduled=True` also runs jobs before their time; a time does so for jobs that are due by then.
        `with_recursion=False` leaves jobs that are enqueued meanwhile. At most `with_limit` jobs run.
        `with_safety=False` raises the error of a worker.
        """
        return await self._runs.drain(DrainOptions(queue, **keywords))

    def drain_queue_sync(self, queue: str = "default", **keywords: Unpack[DrainKeywords]) -> Drained:
        """Drain a queue as `drain_queue` does, in a test without a coroutine."""
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
