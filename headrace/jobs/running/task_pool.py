"""The tasks in which jobs run; closing with deadlines."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass
from types import coroutine
from typing import Final, Protocol

from headrace.errors import describe
from headrace.jobs.job import AttemptFailed, AttemptReleased, Job, JobOutcome
from headrace.otp.scheduler import SLICE_SECONDS, SLOW_CALLBACK_ADVICE, SLOW_CALLBACK_SECONDS, Scheduler
from headrace.telemetry.events import LOG, log_failure

Execute = Callable[[Job], Coroutine[object, object, JobOutcome]]
"""Runs one attempt of a job and returns its outcome."""

RETRY_SECONDS: Final = 1.0
"""How long a job waits for its next attempt when no worker says how long."""


class Attempts(Protocol):
    """Runs attempts of jobs."""

    def __call__(self, job: Job) -> Coroutine[object, object, JobOutcome]:
        """Run one attempt and return its outcome. A BaseException that it raises goes to `failed`."""

    def failed(self, job: Job, error: BaseException) -> Coroutine[object, object, JobOutcome]:
        """Return the outcome of an attempt that `error` ended."""

    def progress_of(self, job_id: int) -> Mapping[str, object] | None:
        """Return, once, what a job noted down before its attempt was cancelled."""

    def ask_to_end(self, job_id: int) -> bool:
        """Ask a job in a thread to end, since the process stops; return False where a cancellation ends it."""

    def leave(self, job_id: int, report: Callable[[JobOutcome], None]) -> bool:
        """Leave a job behind that runs in a thread: `report` gets its outcome there, and its task may be cancelled.

        Return False where it runs in none, or has ended by now.
        """


class PlainAttempts:
    """Attempts of a function that knows no workers."""

    def __init__(self, execute: Execute) -> None:
        self._execute = execute

    def __call__(self, job: Job) -> Coroutine[object, object, JobOutcome]:
        """Run one attempt."""
        return self._execute(job)

    async def failed(self, _: Job, error: BaseException) -> JobOutcome:
        """Return a failure, to be tried again soon."""
        return AttemptFailed(describe(error), RETRY_SECONDS, cause=error)

    def progress_of(self, _: int) -> None:
        """Return None: the function notes nothing down."""

    def ask_to_end(self, _: int) -> bool:
        """Return False: the function runs on the loop."""
        return False

    def leave(self, _: int, __: Callable[[JobOutcome], None]) -> bool:
        """Return False: the function runs on the loop."""
        return False


@dataclass(slots=True, eq=False)
class QueueSlot:
    """A job that runs or is about to, since when, in which task, and why it is being ended early, if it is."""

    job: Job
    task: asyncio.Task[None] | None = None
    began_at: float = 0.0
    early_outcome: JobOutcome | None = None
    has_failed: bool = False
    """Whether `Attempts.failed` was asked about it."""


class Ended(Protocol):
    """Hears once of each job that it has ended; of one that was broken off without an outcome."""

    def __call__(self, slot: QueueSlot, outcome: JobOutcome | None, seconds: float | None) -> None:
        """Free the slot; the attempt took `seconds`, None when it never began."""


class TaskPool:
    """Runs jobs, begun in the order in which they are given.

    A job has one task from its first step to its last, and a context of its own, so that `asyncio.timeout`, TaskGroup
    and context variables behave. A task runs what there is, one after the other, up to the first job that waits for
    something: that one keeps the task for itself, and others are made for those behind it. So a job that never waits,
    as many small ones do not, costs no task, nor a turn of the loop.

    A task that is cancelled, by whomever, runs no other job.
    """

    def __init__(self, scheduler: Scheduler, name: str, attempts: Attempts, ended: Ended) -> None:
        self._scheduler = scheduler
        self._name = name
        self._attempts = attempts
        self._ended = ended
        self._context = copy_context()
        self._waiting: deque[QueueSlot] = deque()
        self._free: set[asyncio.Task[None]] = set()
        """Tasks whose present job, if any, has not waited yet: they go on with the next."""
        self._named: set[str] = set()

    def begin(self, slots: Sequence[QueueSlot]) -> None:
        """Run these soon, after those that were given before."""
        self._waiting.extend(slots)
        if self._waiting and not self._free:
            self._start_task()

    def _start_task(self) -> None:
        task = self._scheduler.start_task(self._run(), self._context, self._name)
        self._free.add(task)
        task.add_done_callback(self._task_ended)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        """Put back what waits when its task was cancelled before it could begin with it."""
        if task in self._free:
            self._free.discard(task)
            while self._waiting and not self._free:
                self._ended(self._waiting.popleft(), AttemptReleased(), None)

    def _leave(self, task: asyncio.Task[None]) -> None:
        """Have others go on with what waits; of jobs that wait for something, twice as many begin at each turn."""
        self._free.discard(task)
        for _ in range(min(2, len(self._waiting) - len(self._free))):
            self._start_task()

    async def _run(self) -> None:
        task = asyncio.current_task()
        if task is not None:
            await self._work_off(task)

    @coroutine
    def _work_off(self, task: asyncio.Task[None]) -> Generator[object, object, None]:
        """Run job after job: the hot path, which is why it is in one piece."""
        waiting, execute, ended, base = self._waiting, self._attempts, self._ended, self._context
        clock = self._scheduler.clock
        now = clock()
        until = now + SLICE_SECONDS
        while waiting:
            slot = waiting.popleft()
            if slot.early_outcome is not None:
                ended(slot, None, None)
                continue
            slot.task, slot.began_at = task, now
            context = base.copy()
            try:
                work = execute(slot.job)
                awaited = context.run(work.send, None)
            except StopIteration as end:
                now = clock()
                ended(slot, end.value, now - slot.began_at)
            except BaseException as error:  # noqa: BLE001 - its outcome is decided
                now = clock()
                failing = self._broke_off(slot, error)
                if failing is not None:
                    yield from self._accompany(slot, failing, context, None)
                    return
            else:
                yield from self._accompany(slot, work, context, awaited)
                return
            if now - slot.began_at > SLOW_CALLBACK_SECONDS:
                self._measure_step(slot, now - slot.began_at)
            if task.cancelling():
                break
            if now >= until and waiting:
                yield None
                now = clock()
                until = now + SLICE_SECONDS
        self._leave(task)

    def _accompany(
        self, slot: QueueSlot, work: Coroutine[object, object, JobOutcome], context: Context, awaited: object
    ) -> Generator[object, object, None]:
        """Run a job that waits for something to its end, step by step; it has the task for itself."""
        clock, began = self._scheduler.clock, slot.began_at
        if slot.task is not None:
            slot.task.set_name(slot.job.worker)
            self._leave(slot.task)
        while True:
            self._measure_step(slot, clock() - began)
            thrown: BaseException | None = None
            try:
                yield awaited  # a task answers with None, always
            except BaseException as error:  # noqa: BLE001 - whatever is thrown in is passed on
                thrown = error
            began = clock()
            try:
                awaited = context.run(work.send, None) if thrown is None else context.run(work.throw, thrown)
            except StopIteration as end:
                now = clock()
                self._ended(slot, end.value, now - slot.began_at)
            except BaseException as error:
                now = clock()
                if error is thrown and isinstance(error, GeneratorExit):  # nothing can be awaited any more
                    if _is_current(slot.task):  # or else its loop is gone
                        self._ended(slot, None, now - slot.began_at)
                    raise
                failing = self._broke_off(slot, error)
                if failing is not None:
                    work, awaited = failing, None
                    continue
            else:
                continue
            self._measure_step(slot, now - began)
            return

    def _broke_off(self, slot: QueueSlot, error: BaseException) -> Coroutine[object, object, JobOutcome] | None:
        """Return what decides the outcome of an attempt that `error` ended; None where the slot has ended by now.

        Raises KeyboardInterrupt on, and nothing else: no SystemExit of a worker ends the program.
        """
        is_interrupted = isinstance(error, KeyboardInterrupt)
        is_ended_early = slot.early_outcome is not None and isinstance(error, asyncio.CancelledError)
        if is_interrupted or is_ended_early or slot.has_failed:
            self._ended(slot, None, self._scheduler.clock() - slot.began_at)
            if is_interrupted:
                raise error
            return None
        slot.has_failed = True
        return self._attempts.failed(slot.job, error)

    def _measure_step(self, slot: QueueSlot, seconds: float) -> None:
        """Name a worker once whose step held the loop for long: timers, sockets and other jobs waited for it."""
        if seconds > SLOW_CALLBACK_SECONDS:
            worker = slot.job.worker
            is_logged = worker not in self._named
            self._named.add(worker)
            self._scheduler.report_slow_callback(f"worker {worker}", SLOW_CALLBACK_ADVICE, seconds, is_logged=is_logged)


def _is_current(task: asyncio.Task[None] | None) -> bool:
    """Return whether a loop runs this task now; no loop does when a coroutine is closed."""
    try:
        return asyncio.current_task() is task
    except RuntimeError:
        return False


async def close_within(seconds: float, *tasks: asyncio.Task[None]) -> None:
    """Wait for tasks that are about to end; cancel those that have not in time, and give them as long again."""
    waiting = set(tasks)
    for _ in range(2):
        if waiting:
            _, waiting = await asyncio.wait(waiting, timeout=seconds)
        for task in waiting:
            task.cancel()


async def run_close_step(what: str, step: Coroutine[object, object, None], seconds: float | None = None) -> None:
    """Take a step of an end, in `seconds` at most; one that fails is logged, for those behind it are taken too."""
    try:
        async with asyncio.timeout(seconds):
            await step
    except TimeoutError:
        LOG.error("%s takes longer than %g s, and is not waited for", what, seconds or 0.0)
    except Exception as error:  # noqa: BLE001 - the rest of the end is still to be done
        log_failure(error, "%s failed", what)
