"""`Jobs`: the service of one OS process that inserts jobs, runs its queues, and takes part in the maintenance."""

import asyncio
import os
import uuid
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextvars import copy_context
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Final, Self, TypeVar

from headrace.executors.process_executor import ProcessExecutor
from headrace.executors.thread_executor import ThreadExecutor
from headrace.jobs.errors import AlreadyOpen, NoQueue, QueueTaken
from headrace.jobs.flows.advance import Advancer, groups_to_advance
from headrace.jobs.flows.workflow import pass_results, retry_flow
from headrace.jobs.job import Inserted, Job, JobState, NewJob
from headrace.jobs.maintenance.maintenance import Leader, Maintenance, PeriodicTask
from headrace.jobs.metrics import JobMetrics
from headrace.jobs.results import BRIEF_CHECK_SECONDS, ChangeWatch, ResultWaiter
from headrace.jobs.rules.flows import groups_of
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.rules.limits import check_limit
from headrace.jobs.running.attempt import AttemptRunner, ExecutionContext
from headrace.jobs.running.enqueue import BlockedLoop, EnqueuePipeline, aligned, without_dropped
from headrace.jobs.running.failures import Exhausted, FailureReport, LateEnds
from headrace.jobs.running.queue import (
    ACKNOWLEDGE_SECONDS,
    IDLE_POLL_SECONDS,
    JobQueue,
    QueueContext,
    QueueStatistics,
)
from headrace.jobs.running.sync import Lifeline, QueueSettingsSync, QueueSync
from headrace.jobs.running.task_pool import Attempts, Execute, PlainAttempts, close_within, run_close_step
from headrace.jobs.running.worker_catalogue import Modules, WorkerCatalogue
from headrace.jobs.settings import JobsSettings, QueueOptions, checked_queues, periodic_tasks_of
from headrace.jobs.stores.store import CHANGE_BATCH, JobStore, LeaseOwner, store_or_of
from headrace.jobs.sync_calls import run_sync
from headrace.jobs.worker import AnyWorker
from headrace.lazy import loaded
from headrace.otp.scheduler import Scheduler
from headrace.telemetry.events import LOG, Telemetry

R = TypeVar("R")

_RUNNABLE: Final[frozenset[JobState]] = frozenset({"available", "executing"})


class Jobs:
    """Keeps the jobs of its workers in a store, and runs the jobs of its queues.

    A process that only enqueues has no queues: it opens the store and nothing else. `async with jobs:` opens and
    closes it. Until it is closed its workers can be enqueued, from any thread.

    While a `JobsTester` has its workers, it opens no store and runs no queue: the tester's service stands in for it.
    """

    is_stand_in: ClassVar[bool] = False
    """Whether this service replaces any other that is opened for its workers, as the service of a test does."""

    def __init__(
        self,
        store: JobStore | str,
        workers: WorkerCatalogue | Modules,
        queues: Mapping[str, int | QueueOptions] | None = None,
        settings: JobsSettings | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        """`store` is a store or its URL, such as `sqlite:///shop.db`; `workers` are modules, their names, or workers.

        `queues` maps the name of each queue to the number of jobs that run at a time; None runs no queue. `telemetry`
        receives the events of the jobs. Raises `BadStore`, `BadJobs`, `BadQueue`, and the errors of
        `WorkerCatalogue.of_modules`.
        """
        self.store = self._own_store = store = store_or_of(store)
        self.stand_in: Jobs | None = None
        self._lent: list[AnyWorker] = []
        """Workers of this service that the stand-in does not list, but also serves."""
        self.catalogue = catalogue = (
            workers if isinstance(workers, WorkerCatalogue) else WorkerCatalogue.of_modules(workers)
        )
        self.settings = JobsSettings() if settings is None else settings
        self.queues: dict[str, JobQueue] = {}
        self._options = checked_queues({} if queues is None else queues)
        self.telemetry = telemetry = Telemetry() if telemetry is None else telemetry
        self.metrics = JobMetrics(catalogue, self.settings.now, telemetry)
        self._settings_sync = settings_sync = QueueSettingsSync(
            store, {name: one.limit for name, one in self._options.items()}, self._fit_threads
        )
        self._taken: set[str] = set()
        self._former: list[JobQueue] = []
        self._scheduler: Scheduler | None = None
        self.enqueue_pipeline = EnqueuePipeline(catalogue, self.settings.enqueue_middleware, self.settings.cipher)
        self._blocked_loop = BlockedLoop()
        self._result_waiter = ResultWaiter(store, telemetry)
        self._report = FailureReport(self.settings.on_error, is_logged=self.settings.logs_failures)
        self.late = LateEnds(store, self._report)
        self._advancer = Advancer(store, telemetry)
        self._exhausted = Exhausted(store, catalogue, self.enqueue_pipeline.open, self._report)
        self._changes = ChangeWatch(store, self.queues, self._result_waiter)
        self._sync = QueueSync(store, catalogue, self.queues, settings_sync, Lifeline(store, self._exhausted.follow_up))
        self._threads: ThreadExecutor | None = None
        self._executors: list[ThreadExecutor | ProcessExecutor] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._has_maintenance = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_open = False
        self._pid = os.getpid()

    @classmethod
    def from_config(cls, path: Path | str, *, runs_queues: bool = False) -> "Jobs":
        """Make the service of the block `jobs:` of a config file; unless `runs_queues`, it only enqueues.

        It imports the workers as a run does. Raises `ConfigError` with all findings, and `BadJobs` without that block.
        """
        make: Callable[..., Jobs] = loaded("config.jobs", "jobs_from_file")  # the layer above reads configs
        return make(Path(path), runs_queues=runs_queues)

    async def __aenter__(self) -> Self:
        """Open it, as `open` does."""
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close it, as `close` does."""
        await self.close()

    async def open(self) -> None:
        """Open the store, bind the workers, and run the queues.

        Raises the errors of the store and of the workers, and `AlreadyOpen`, which leaves an open service as it is.
        """
        if self._is_open:
            raise AlreadyOpen
        self._is_open, self._pid = True, os.getpid()
        if self._take_stand_in():
            return
        try:
            await self.store.open(self._has_work)
            self.catalogue.bind(self)
            await self._start()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Claim no more jobs, give running jobs their grace, put back the rest, and close the store.

        All queues stop at the same time. A step that fails is logged, and the others follow; an error of the store as
        it closes is raised. After a cancellation, call it again. A function in a thread that outlasts the grace by
        5 s is left behind (`late`), and the last such function closes the store.

        A forked child closes its own use of the store alone: the running jobs are the parent's.
        """
        if os.getpid() != self._pid:
            self._forget_running()
        async with asyncio.TaskGroup() as together:
            for queue in (*self.queues.values(), *self._former):
                together.create_task(self._stop(queue))
        self.queues.clear()
        self._taken.clear()
        self._former.clear()
        for executor in self._executors:
            await run_close_step("the end of the threads and processes of jobs", executor.aclose())
        self._executors.clear()
        for task in self._tasks:
            task.cancel()
        await close_within(ACKNOWLEDGE_SECONDS, *self._tasks)
        await self._exhausted.close_within(ACKNOWLEDGE_SECONDS)
        self._tasks.clear()
        self._has_maintenance = self._is_open = False
        if self.late.close_later(self._close_late):
            self.catalogue.loosen(self)
            return
        self.catalogue.unbind(self)
        if self.stand_in is None:
            await self.store.close()
        else:
            self._leave_stand_in(self.stand_in)

    def _forget_running(self) -> None:
        """Forget the parent's tasks and threads: they do not exist in this process."""
        for running in (self.queues, self._former, self._executors, self._tasks):
            running.clear()

    def _close_late(self) -> None:
        """Close the store in the thread of the last job that outlasted the drain."""
        self.catalogue.unbind(self)
        self.store.close_sync()

    def _take_stand_in(self) -> bool:
        """Use the service of a test if it has any of the workers; return whether there is one."""
        services = {one.binding.service for one in self.catalogue}
        stand_in = next((one for one in services if isinstance(one, Jobs) and one.is_stand_in), None)
        if stand_in is not None:
            self.stand_in, self.store = stand_in, stand_in.store
            self._lent = [one for one in self.catalogue if one.binding.service is None]
            for one in self._lent:
                one.binding.bind(stand_in)
        return stand_in is not None

    def _leave_stand_in(self, stand_in: "Jobs") -> None:
        for one in self._lent:
            one.binding.unbind(stand_in)
        self.store, self.stand_in = self._own_store, None

    async def _stop(self, queue: JobQueue) -> None:
        """Stop a queue; the caller of `take` has given the jobs of a taken queue their grace already."""
        name = queue.owner.queue
        grace_seconds = self.settings.grace_seconds if name in self._options else 0.0
        await self._begin_stop(queue)
        await run_close_step(f"the stop of queue {name!r}", queue.stop(grace_seconds))
        if not self.late.has(queue.owner):
            leave = self.store.leave(queue.owner)
            await run_close_step(f"the release of the lease of queue {name!r}", leave, ACKNOWLEDGE_SECONDS)

    async def _begin_stop(self, *queues: JobQueue) -> None:
        """Record in the store that this process was asked to stop: its death is then no crash of its jobs."""
        for queue in queues:
            what = f"the stop of queue {queue.owner.queue!r}, as its store records it,"
            await run_close_step(what, self.store.begin_stop(queue.owner), ACKNOWLEDGE_SECONDS)

    def pause_claiming(self) -> None:
        """Claim no more jobs until it is closed; running jobs continue."""
        self._sync.is_claiming_paused = True
        for queue in self.queues.values():
            queue.pause()
        if self._scheduler is not None and self.queues:
            self._begin(self._scheduler, self._begin_stop(*self.queues.values()), "begin of the stop of queues")

    def stop_grace(self) -> None:
        """End the running jobs and put them back, also while `close` gives them their grace."""
        for queue in self.queues.values():
            queue.stop_grace()

    async def is_idle(self) -> bool:
        """Return whether no job of its queues runs or could run now.

        Jobs of paused queues do not count, nor do jobs without an attempt left.
        """
        claimed = self._claimed()
        if not self._is_at_rest():
            return False
        names = frozenset(name for name, queue in self.queues.items() if not queue.is_paused)
        workers = frozenset(self.catalogue.names)
        which = JobFilter(states=_RUNNABLE, queues=names, workers=workers, leaves_out_exhausted=True)
        if names and await self.store.has(which):
            return False
        return self._claimed() == claimed and self._is_at_rest()  # a job that ran meanwhile may have enqueued others

    def _claimed(self) -> int:
        return sum(one.claimed for one in self.statistics().values())

    def _is_at_rest(self) -> bool:
        statistics = self.statistics().values()
        return not any(one.running or one.unacknowledged for one in statistics) and self._advancer.is_at_rest

    def now(self) -> datetime:
        """Return the time, aware UTC."""
        return (self.stand_in or self).settings.now()

    async def insert(self, jobs: Sequence[NewJob]) -> list[Inserted | None]:
        """Insert jobs in one transaction, durable at return; None stands for a job that a middleware dropped."""
        if self.stand_in is not None:
            return await self.stand_in.insert(jobs)
        prepared = self.enqueue_pipeline.prepared(jobs)
        inserted = await self.store.insert(without_dropped(prepared))
        if groups := groups_to_advance(prepared):
            self._advancer.changed(groups)
        return aligned(prepared, inserted)

    def insert_sync(self, jobs: Sequence[NewJob]) -> list[Inserted | None]:
        """Insert jobs as `insert` does, and block: for any thread but the loop's, or without a loop."""
        if self.stand_in is not None:
            return self.stand_in.insert_sync(jobs)
        if not self.is_stand_in:
            self._blocked_loop.check(jobs)
        prepared = self.enqueue_pipeline.prepared(jobs)
        inserted = self.store.insert_sync(without_dropped(prepared))
        if groups := groups_to_advance(prepared):
            self._on_loop(partial(self._advancer.changed, groups))
        return aligned(prepared, inserted)

    def insert_in(self, connection: object, jobs: Sequence[NewJob]) -> list[Inserted | None]:
        """Insert jobs through the user's own connection to the store's database; the user commits."""
        if self.stand_in is not None:
            return self.stand_in.insert_in(connection, jobs)
        prepared = self.enqueue_pipeline.prepared(jobs)
        return aligned(prepared, self.store.insert_in(connection, without_dropped(prepared)))

    async def get(self, job_id: int) -> Job | None:
        """Return a job, or None when there is none of that id."""
        return await self.store.get(job_id)

    def get_sync(self, job_id: int) -> Job | None:
        """Return what `get` returns, from any thread without an event loop."""
        return self.run_sync(self.get(job_id))

    async def conflict_of(self, job: NewJob) -> Job | None:
        """Return the newest job with the unique key of `job`, in whatever state it is."""
        (prepared,) = (self.stand_in or self).enqueue_pipeline.prepared([job])
        return None if prepared is None else await self.store.conflict_of(prepared)

    def conflict_of_sync(self, job: NewJob) -> Job | None:
        """Thread-safe version of `conflict_of` that blocks."""
        (prepared,) = (self.stand_in or self).enqueue_pipeline.prepared([job])
        return None if prepared is None else self.store.conflict_of_sync(prepared)

    async def result(self, job_id: int, timeout_seconds: float | timedelta | None) -> object:
        """Wait for a job to end, and return its recorded result as JSON.

        Raises `ResultTimeout`, or another `JobsError` for a job that did not complete, or that recorded no result.
        """
        if self.stand_in is not None:
            return await self.stand_in.result(job_id, timeout_seconds)
        waiter = self._result_waiter
        if asyncio.get_running_loop() is not self._loop:  # events of the queues and of the watch reach another loop
            waiter = ResultWaiter(self.store, Telemetry(), BRIEF_CHECK_SECONDS)
        return await waiter.result(job_id, timeout_seconds)

    def run_sync(self, call: Coroutine[Any, Any, R]) -> R:
        """Run a coroutine of this service or of its store from any thread; block until it ends.

        While another thread runs the event loop of this service, the coroutine runs there. Otherwise, also in a forked
        child, it runs on a new loop in this thread. Raises `OnEventLoop` in a thread that runs a loop, and
        `LoopStopped`.
        """
        if self.stand_in is not None:
            return self.stand_in.run_sync(call)
        has_loop = self._loop is not None and self._loop.is_running() and os.getpid() == self._pid
        return run_sync(call, self._loop if has_loop else None)

    def statistics(self) -> dict[str, QueueStatistics]:
        """Return the statistics of the queues of this process."""
        return {name: queue.statistics() for name, queue in self.queues.items()}

    async def pause(self, name: str) -> None:
        """Claim no more jobs of a queue, also after a restart, until `resume`. Raises `NoQueue`."""
        self._queue(name).pause()
        await self.store.change_queue(name, is_paused=True)

    async def resume(self, name: str) -> None:
        """Claim jobs of a paused queue again. Raises `NoQueue`."""
        self._queue(name).resume()
        await self.store.change_queue(name, is_paused=False)

    async def scale(self, name: str, limit: int) -> None:
        """Run at most `limit` jobs of a queue at a time, also after a restart. Raises `NoQueue`, `BadQueue`."""
        queue = self._queue(name)
        check_limit(name, limit)
        queue.scale(limit)
        self._fit_threads()
        await self.store.change_queue(name, limit=limit)

    async def cancel(self, which: JobFilter | int) -> list[int]:
        """Cancel jobs that have not ended, or one job by its id; return the ids of the cancelled jobs.

        Jobs that run in this process end at once, others within seconds. Raises `BadFilter`.
        """
        ids = await self.store.cancel(JobFilter.of(which))
        for job_id in ids:
            for queue in self.queues.values():
                queue.cancel(job_id, "it was cancelled while it ran")
        if 0 < len(ids) <= CHANGE_BATCH:  # the maintenance advances the groups of more jobs
            for job in await self.store.find(JobFilter(ids=frozenset(ids)), CHANGE_BATCH):
                self._advancer.changed(groups_of(job.meta))
        return ids

    def cancel_sync(self, which: JobFilter | int) -> list[int]:
        """Cancel jobs as `cancel` does, from any thread without an event loop."""
        return self.run_sync(self.cancel(which))

    async def retry(self, which: JobFilter | int) -> list[int]:
        """Run ended and waiting jobs again, or one job by its id; return the ids of the jobs that will run.

        Steps of a workflow run in its order: steps that were cancelled after one of them wait for it again. Raises
        `BadFilter`.
        """
        return await retry_flow(self.store, JobFilter.of(which))

    def retry_sync(self, which: JobFilter | int) -> list[int]:
        """Run jobs again as `retry` does, from any thread without an event loop."""
        return self.run_sync(self.retry(which))

    def take(self, name: str, execute: Execute) -> JobQueue:
        """Return a queue that runs each of its jobs by `execute`, whatever its worker.

        The queue claims nothing until it is scaled. A second call, after the first caller failed, makes a new queue;
        running jobs end in the old one. Raises `QueueTaken`.
        """
        if name in self._options:
            raise QueueTaken(name)
        if name in self._taken:
            self.queues[name].pause()
            self._former.append(self.queues[name])
        self._taken.add(name)
        queue = self._new_queue(LeaseOwner(self.settings.node, uuid.uuid4().hex, name), 0, PlainAttempts(execute))
        queue.start()
        self._start_maintenance()
        return queue

    def _queue(self, name: str) -> JobQueue:
        if name not in self.queues:
            raise NoQueue(name, self.queues)
        return self.queues[name]

    async def _start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._scheduler = Scheduler(telemetry=self.telemetry)
        advancing = "advance of workflows, batches and chains"
        for name, work in ((advancing, self._advancer.run()), ("watch for changes", self._changes.run())):
            self._begin(self._scheduler, work, name)
        if not self._options:
            return
        execute = self._executor()
        settings = await self.store.queue_settings()
        self._settings_sync.refresh(settings)
        stored_settings = {one.queue: one for one in settings}
        for name, options in self._options.items():
            stored = stored_settings.get(name)
            owner = LeaseOwner(self.settings.node, uuid.uuid4().hex, name, self.catalogue.names, options.limits)
            queue = self._new_queue(owner, options.limit, execute)
            if stored is not None:
                queue.limit, queue.is_paused = stored.limit or options.limit, stored.is_paused
            queue.start()
        self._fit_threads()
        self._start_maintenance()

    def _new_queue(self, owner: LeaseOwner, limit: int, attempts: Attempts) -> JobQueue:
        """Return a queue that is not started yet."""
        scheduler = Scheduler(telemetry=self.telemetry) if self._scheduler is None else self._scheduler
        context = QueueContext(self.store, scheduler, self.telemetry, self._report, self.late)
        shows_changes = self.store.change_seconds is not None and owner.limits is None
        queue = JobQueue(owner, limit, attempts, context, IDLE_POLL_SECONDS if shows_changes else None)
        self.queues[owner.queue] = queue
        self.metrics.begin(owner.queue)
        self._changes.wake()
        return queue

    def _start_maintenance(self) -> None:
        """Start the sync with other OS processes, and the maintenance, once."""
        if not self._has_maintenance and self._scheduler is not None:
            self._has_maintenance = True
            self._begin(self._scheduler, self._sync.run(frozenset(self._options)), "sync of queues")
            self._begin(
                self._scheduler,
                Maintenance(Leader(self.store, self.settings.node), self.periodic_tasks()).run(),
                "maintenance of jobs",
            )

    def periodic_tasks(self) -> list[PeriodicTask]:
        """Return new periodic tasks, as the leader runs them for all processes."""
        return periodic_tasks_of(self.store, self.settings, self._has_work, self._exhausted)

    def _executor(self) -> AttemptRunner:
        settings, kinds = self.settings, {worker.options.executor for worker in self.catalogue}
        threads = ThreadExecutor(1) if "thread" in kinds else None
        processes = ProcessExecutor(settings.processes or os.cpu_count() or 1) if "subprocess" in kinds else None
        self._threads = threads
        self._executors = [executor for executor in (threads, processes) if executor is not None]
        context = ExecutionContext(
            settings.now,
            settings.run_middleware,
            threads,
            processes,
            self._sync.note,
            None if settings.cipher is None else self.enqueue_pipeline.open,
            pass_results=partial(pass_results, self.store),
            redact=settings.redact,
        )
        return AttemptRunner(self.catalogue, context)

    def _fit_threads(self) -> None:
        """Keep as many threads as the queues have slots."""
        if self._threads is not None:
            self._threads.resize(max(1, sum(queue.limit for queue in self.queues.values())))

    def _begin(self, scheduler: Scheduler, work: Coroutine[object, object, None], name: str) -> None:
        self._tasks.append(scheduler.start_task(work, copy_context(), name))

    def _has_work(self, name: str) -> None:
        """Wake a queue that may have jobs. Thread-safe."""
        queue = self.queues.get(name)
        if queue is not None:
            self._on_loop(queue.has_work)

    def _on_loop(self, call: Callable[[], None]) -> None:
        """Call `call` on the loop soon. Thread-safe."""
        try:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(call)
        except RuntimeError:  # the loop is closed: the next start finds inserted jobs
            LOG.debug("this process runs no jobs any more")
