"""`AttemptRunner`: finds the worker of a job, runs it within its timeout, and returns the outcome."""

import asyncio
import inspect
import random
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Final

from typing_extensions import override

from headrace.executors.call import Call
from headrace.executors.errors import RemoteError, WorkerDied
from headrace.executors.process_executor import ProcessExecutor
from headrace.executors.thread_executor import ThreadExecutor
from headrace.jobs.errors import JobTimeout, torn_args
from headrace.jobs.job import AttemptCompleted, AttemptFailed, AttemptReleased, Job, JobOutcome, TornArgs, final
from headrace.jobs.rules.flows import DEPS
from headrace.jobs.rules.retry import Random
from headrace.jobs.running.child_attempt import ChildResult, run_in_child
from headrace.jobs.running.enqueue import RunMiddleware, around
from headrace.jobs.running.failures import call_on_exhausted
from headrace.jobs.running.outcomes import (
    error_text,
    is_discarded,
    outcome_of_answer,
    outcome_of_error,
    outcome_of_expiry,
    with_notes,
)
from headrace.jobs.running.task_pool import Attempts
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.running_job import RUNNING_JOB, ProgressWriter, RunningJob
from headrace.jobs.worker import AnyWorker
from headrace.telemetry.events import LOG

Late = Callable[[object, BaseException | None], None]
"""Called with the result or the error of a function, in the thread that ran the function."""


class ThreadAttempt:
    """Runs a function in a thread. After `leave`, a callback gets its end.

    Call its methods on the event loop, but for `__call__`, which the thread calls.
    """

    def __init__(self, function: Callable[..., object], call: Callable[[], object], running: RunningJob) -> None:
        """`call` calls `function` with its arguments; `func` names the attempt in errors."""
        self.func = function
        self.running = running
        self._call = call
        self._lock = threading.Lock()
        self._has_ended = False
        self._late: Late | None = None

    def __call__(self) -> object:
        """Call the function."""
        try:
            answer = self._call()
        except BaseException as error:
            self._end(None, error)
            raise
        self._end(answer, None)
        return answer

    def leave(self, late: Late) -> bool:
        """Pass the end of the function to `late`; return False if it has ended."""
        with self._lock:
            if not self._has_ended:
                self._late = late
            return not self._has_ended

    async def result(self, call: Call[object]) -> object:
        """Return the result. On cancellation, wait until the function ends or is left behind."""
        try:
            return await call.result()
        except asyncio.CancelledError:
            self.running.cancel("its time is over")
            while call.outcome is None and self._late is None:
                with suppress(asyncio.CancelledError):
                    await call.ended()
            raise

    def _end(self, answer: object, error: BaseException | None) -> None:
        with self._lock:
            self._has_ended = True
            late = self._late
        if late is not None:
            late(answer, error)


_FROM_INSIDE: Final = "the job itself was not cancelled: a task that its worker awaited was"

OVERDUE_SECONDS: Final = 5.0
"""How long after its timeout an attempt that still runs is logged."""

UNKNOWN_WORKER_SECONDS: Final = 60.0
"""How long a job waits for its next attempt if this process has no worker of its name."""


@dataclass(frozen=True, slots=True)
class ExecutionContext:
    """The parts that the attempts of one service share: clock, middleware, threads and OS processes.

    `write_progress` is called when a running job has progress to write.
    """

    now: Callable[[], datetime]
    middleware: Sequence[RunMiddleware] = ()
    threads: ThreadExecutor | None = None
    processes: ProcessExecutor | None = None
    write_progress: ProgressWriter | None = None
    decrypt: Callable[[Job], None] | None = None
    """Decrypts the args of a claimed job, in place."""
    random: Random = random.random
    pass_results: Callable[[Job], Awaitable[None]] | None = None
    """Passes a step of a workflow the results of the steps before it."""
    redact: Callable[[str], str] = str
    """Removes secrets from the text of an error."""


class AttemptRunner(Attempts):
    """Runs attempts by the workers of a catalogue."""

    def __init__(self, catalogue: WorkerCatalogue, context: ExecutionContext) -> None:
        self._catalogue = catalogue
        self._in = context
        self._left: dict[int, Mapping[str, object]] = {}
        self._threaded: dict[int, tuple[AnyWorker, ThreadAttempt]] = {}
        """Jobs whose functions run in threads, by their ids."""

    @override
    def progress_of(self, job_id: int) -> Mapping[str, object] | None:
        return self._left.pop(job_id, None) or None

    @override
    async def __call__(self, job: Job) -> JobOutcome:
        worker = self._catalogue.get(job.worker)
        if worker is None:
            return _without_worker(job)
        outcome = outcome_of_expiry(job, self._in.now()) if job.meta else None
        if outcome is None:
            running = RunningJob(job, self._in.write_progress)
            RUNNING_JOB.set(running)
            outcome = _or_released(with_notes(await self._attempt(worker, running), running), running)
        if type(outcome) is AttemptFailed:
            await self._handle_exhausted(worker, job, outcome)
        return outcome

    @override
    async def failed(self, job: Job, error: BaseException) -> JobOutcome:
        worker, notes = self._catalogue.get(job.worker), self.progress_of(job.id)
        if worker is None:
            return _without_worker(job)
        outcome = outcome_of_error(worker, job, error, self._in.random, self._in.redact)
        if isinstance(error, asyncio.CancelledError):
            outcome = replace(outcome, error=f"{outcome.error}\n{_FROM_INSIDE}")
        if notes is not None:
            outcome = replace(outcome, meta=notes)
        await self._handle_exhausted(worker, job, outcome)
        return outcome

    async def _attempt(self, worker: AnyWorker, running: RunningJob) -> JobOutcome:
        job = running.job
        try:
            if type(job.args) is TornArgs:
                raise torn_args(job.worker)  # noqa: TRY301 - like any other failure of the attempt
            if self._in.decrypt is not None:
                self._in.decrypt(job)
            if DEPS in job.meta and self._in.pass_results is not None:
                await self._in.pass_results(job)
            if worker.is_plain and not self._in.middleware:  # most are plain: the calls between cost more than they do
                args, kwargs = worker.arguments.restored(job.args, running)
                answer = await worker.function(*args, **kwargs)  # type: ignore[misc] # an async function
            else:
                answer = await self._answer(worker, running)
        except Exception as error:  # noqa: BLE001 - an error of the worker fails this attempt alone
            return outcome_of_error(worker, job, error, self._in.random, self._in.redact)
        except BaseException:
            self._left[running.id] = running.take_changes()
            raise
        return outcome_of_answer(worker, answer, self._in.redact)

    async def _answer(self, worker: AnyWorker, running: RunningJob) -> object:
        seconds = worker.options.timeout_seconds
        if seconds is None and not self._in.middleware:
            return await self._call(worker, running)
        call: Callable[[], Awaitable[object]] = partial(self._call, worker, running)
        if self._in.middleware:
            call = around(self._in.middleware, running, call)
        if seconds is None:
            return await call()
        late = asyncio.get_running_loop().call_later(seconds + OVERDUE_SECONDS, _name_overdue, worker, running)
        try:
            async with asyncio.timeout(seconds) as limit:
                return await call()
        except TimeoutError:
            if not limit.expired():
                raise
            raise JobTimeout(worker.name, seconds) from None
        finally:
            late.cancel()

    async def _call(self, worker: AnyWorker, running: RunningJob) -> object:
        """Run the function on the loop, in a thread or in an OS process, as the worker's options require.

        A cancellation ends an OS process. It cannot end a thread: the job is marked as cancelled, and keeps its slot
        until the function returns.
        """
        executor = worker.options.executor
        if executor == "subprocess" and self._in.processes is not None:
            child_result = await _run_in_process(self._in.processes, worker, running.job)
            running.take_in(child_result.notes)
            if child_result.error is not None:
                raise child_result.error
            return child_result.answer
        args, kwargs = worker.arguments.restored(running.args, running)
        if executor == "thread" and self._in.threads is not None:
            return await self._in_thread(self._in.threads, worker, partial(worker.function, *args, **kwargs), running)
        result = worker.function(*args, **kwargs)
        return await result if worker.is_async or inspect.isawaitable(result) else result  # type: ignore[misc] # awaitable

    async def _in_thread(
        self, threads: ThreadExecutor, worker: AnyWorker, work: Callable[[], object], running: RunningJob
    ) -> object:
        attempt = ThreadAttempt(worker.function, work, running)
        call = await threads.start(attempt)
        self._threaded[running.id] = (worker, attempt)
        try:
            return await attempt.result(call)
        finally:
            del self._threaded[running.id]

    @override
    def ask_to_end(self, job_id: int) -> bool:
        if job_id not in self._threaded:
            return False
        _, attempt = self._threaded[job_id]
        attempt.running.cancel("its process stops", is_stop=True)
        return True

    @override
    def leave(self, job_id: int, report: Callable[[JobOutcome], None]) -> bool:
        if job_id not in self._threaded:
            return False
        worker, attempt = self._threaded[job_id]

        def late(answer: object, error: BaseException | None) -> None:
            try:
                outcome = self._late_outcome(worker, attempt.running, answer, error)
            except BaseException as bug:  # noqa: BLE001 - without an outcome its store would stay open
                outcome = AttemptFailed(error_text(bug, self._in.redact), UNKNOWN_WORKER_SECONDS, cause=bug)
            report(outcome)

        return attempt.leave(late)

    def _late_outcome(
        self, worker: AnyWorker, running: RunningJob, answer: object, error: BaseException | None
    ) -> JobOutcome:
        """Return the outcome of an attempt that outlasted the drain.

        No loop runs that could call `on_exhausted`, so a job that needs it is released.
        """
        if error is None:
            outcome = outcome_of_answer(worker, answer, self._in.redact)
        else:
            outcome = outcome_of_error(worker, running.job, error, self._in.random, self._in.redact)
        outcome = _or_released(with_notes(outcome, running), running)
        is_exhausted = worker.options.on_exhausted is not None and is_discarded(final(running.job, outcome))
        return AttemptReleased(outcome.meta) if is_exhausted else outcome

    async def _handle_exhausted(self, worker: AnyWorker, job: Job, outcome: AttemptFailed) -> None:
        if worker.options.on_exhausted is not None and is_discarded(final(job, outcome)):
            await call_on_exhausted(worker, job, outcome.error)


async def _run_in_process(processes: ProcessExecutor, worker: AnyWorker, job: Job) -> ChildResult:
    """Run an attempt in an OS process. Its errors name the worker instead of our own function."""
    try:
        return await processes.run(run_in_child, worker.reference, job)
    except WorkerDied as error:
        raise WorkerDied(worker.reference, error.exit_code, error.pid) from None
    except RemoteError as error:
        named = RemoteError(worker.reference, error.class_name, error.message, error.traceback_text)
        raise named from error.__cause__


def _name_overdue(worker: AnyWorker, running: RunningJob) -> None:
    """Log an attempt that continues after its timeout."""
    if worker.options.executor == "thread":
        why = "a thread cannot be ended: have it ask current_job().is_cancelled, or set executor='subprocess'"
    else:
        why = "it goes on after the CancelledError that was raised in it: let that pass"
    text = "job %d of worker %r still runs %g s after its timeout_seconds of %g, and keeps its slot: %s"
    LOG.warning(text, running.id, worker.name, OVERDUE_SECONDS, worker.options.timeout_seconds, why)


def _without_worker(job: Job) -> AttemptFailed:
    return AttemptFailed(f"this process has no worker of the name {job.worker!r}", UNKNOWN_WORKER_SECONDS)


def _or_released(outcome: JobOutcome, running: RunningJob) -> JobOutcome:
    """Return the outcome. A job that ended because its process stops may be unfinished, and is released."""
    return (
        AttemptReleased(outcome.meta)
        if running.gives_way and isinstance(outcome, AttemptCompleted | AttemptFailed)
        else outcome
    )
