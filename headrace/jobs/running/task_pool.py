"""The tasks in which jobs run, and steps of a close with deadlines."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass
from types import coroutine
from typing import Final, Protocol

from typing_extensions import override

from headrace.errors import describe
from headrace.jobs.job import AttemptFailed, AttemptReleased, Job, JobOutcome
from headrace.otp.scheduler import SLICE_SECONDS, SLOW_CALLBACK_ADVICE, SLOW_CALLBACK_SECONDS, Scheduler
from headrace.telemetry.events import LOG, log_failure

Execute = Callable[[Job], Coroutine[object, object, JobOutcome]]
"""Runs one attempt of a job and returns its outcome."""

RETRY_SECONDS: Final = 1.0
"""How long a job without a worker waits for its next attempt."""


class Attempts(Protocol):
    """Runs attempts of jobs."""

    def __call__(self, job: Job) -> Coroutine[object, object, JobOutcome]:
        """Run one attempt and return its outcome. A BaseException that it raises goes to `failed`."""

    def failed(self, job: Job, error: BaseException) -> Coroutine[object, object, JobOutcome]:
        """Return the outcome of an attempt that `error` ended."""

    def progress_of(self, job_id: int) -> Mapping[str, object] | None:
        """Return, once, the progress and checkpoint of a job whose attempt was cancelled."""

    def ask_to_end(self, job_id: int) -> bool:
        """Ask a job in a thread to end, because the process stops; return False if a cancellation ends the job."""

    def leave(self, job_id: int, report: Callable[[JobOutcome], None]) -> bool:
        """Leave a job behind in its thread: `report` gets its outcome there, and its task may be cancelled.

        Return False if the job does not run in a thread, or has ended.
        """


class PlainAttempts(Attempts):
    """Attempts by one function for all jobs, whatever their worker."""

    def __init__(self, execute: Execute) -> None:
        self._execute = execute

    @override
    def __call__(self, job: Job) -> Coroutine[object, object, JobOutcome]:
        return self._execute(job)

    @override
    async def failed(self, job: Job, error: BaseException) -> JobOutcome:
        return AttemptFailed(describe(error), RETRY_SECONDS, cause=error)

    @override
    def progress_of(self, job_id: int) -> None:
        return None

    @override
    def ask_to_end(self, job_id: int) -> bool:
        return False

    @override
    def leave(self, job_id: int, report: Callable[[JobOutcome], None]) -> bool:
        return False


@dataclass(slots=True, eq=False)
class QueueSlot:
    """A job that runs or is about to run: its task, its start, and the outcome if it is ended early."""

    job: Job
    task: asyncio.Task[None] | None = None
    began_at: float = 0.0
    early_outcome: JobOutcome | None = None
    has_failed: bool = False
    """Whether `Attempts.failed` was called for it."""


Ended = Callable[[QueueSlot, JobOutcome | None, float | None], None]
"""Frees the slot of an ended job. It gets the outcome, None for an interrupted job, and the duration of the attempt in
seconds, None if it did not begin.
"""


class TaskPool:
    """Runs jobs in tasks. Jobs begin in the order of `begin`.

    A job has one task from its first step to its last, and a context of its own, as `asyncio.timeout`, TaskGroup and
    context variables need. A task runs one job after the other until a job waits for something: that job keeps the
    task, and new tasks run the jobs behind it. So a job that never waits, as many small ones do not, costs no task and
    no turn of the loop.

    A cancelled task runs no other job.
    """

    def __init__(self, scheduler: Scheduler, name: str, attempts: Attempts, ended: Ended) -> None:
        self._scheduler = scheduler
        self._name = name
        self._attempts = attempts
        self._ended = ended
        self._context = copy_context()
        self._waiting: deque[QueueSlot] = deque()
        self._free: set[asyncio.Task[None]] = set()
        """Tasks whose current job, if any, has not waited yet: they run the next jobs, too."""
        self._named: set[str] = set()

    def begin(self, slots: Sequence[QueueSlot]) -> None:
        """Run jobs soon, after the jobs of earlier calls."""
        self._waiting.extend(slots)
        if self._waiting and not self._free:
            self._start_task()

    def _start_task(self) -> None:
        task = self._scheduler.start_task(self._run(), self._context, self._name)
        self._free.add(task)
        task.add_done_callback(self._task_ended)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        """Release the waiting jobs if the task that should have run them was cancelled."""
        if task in self._free:
            self._free.discard(task)
            while self._waiting and not self._free:
                self._ended(self._waiting.popleft(), AttemptReleased(), None)

    def _leave(self, task: asyncio.Task[None]) -> None:
        """Start up to two tasks for the waiting jobs, so that more and more begin at each turn."""
        self._free.discard(task)
        for _ in range(min(2, len(self._waiting) - len(self._free))):
            self._start_task()

    async def _run(self) -> None:
        task = asyncio.current_task()
        if task is not None:
            await self._run_jobs(task)

    @coroutine
    def _run_jobs(self, task: asyncio.Task[None]) -> Generator[object, object, None]:
        """Run one job after the other. It is the hot path, so it is one function."""
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
                failing = self._interrupted(slot, error)
                if failing is not None:
                    yield from self._run_waiting(slot, failing, context, None)
                    return
            else:
                yield from self._run_waiting(slot, work, context, awaited)
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

    def _run_waiting(
        self, slot: QueueSlot, work: Coroutine[object, object, JobOutcome], context: Context, awaited: object
    ) -> Generator[object, object, None]:
        """Run a job that waits for something to its end, step by step, in its own task."""
        clock, began = self._scheduler.clock, slot.began_at
        if slot.task is not None:
            slot.task.set_name(slot.job.worker)
            self._leave(slot.task)
        while True:
            self._measure_step(slot, clock() - began)
            thrown: BaseException | None = None
            try:
                yield awaited  # a task always sends None
            except BaseException as error:  # noqa: BLE001 - the job gets any error that is thrown in
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
                failing = self._interrupted(slot, error)
                if failing is not None:
                    work, awaited = failing, None
                    continue
            else:
                continue
            self._measure_step(slot, now - began)
            return

    def _interrupted(self, slot: QueueSlot, error: BaseException) -> Coroutine[object, object, JobOutcome] | None:
        """Return a coroutine that returns the outcome of an attempt that `error` ended; None if the slot has ended.

        Only a KeyboardInterrupt is raised again: a SystemExit of a worker does not end the program.
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
        """Report a worker whose step held the loop for long; log it once."""
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
    """Wait for tasks to end; cancel the remaining ones after `seconds`, and wait as long again."""
    waiting = set(tasks)
    for _ in range(2):
        if waiting:
            _, waiting = await asyncio.wait(waiting, timeout=seconds)
        for task in waiting:
            task.cancel()


async def run_close_step(what: str, step: Coroutine[object, object, None], seconds: float | None = None) -> None:
    """Run a step of a close in at most `seconds`; log an error, since the other steps must follow."""
    try:
        async with asyncio.timeout(seconds):
            await step
    except TimeoutError:
        LOG.error("%s takes longer than %g s, and is not waited for", what, seconds or 0.0)
    except Exception as error:  # noqa: BLE001 - the other steps must follow
        log_failure(error, "%s failed", what)
