"""Runs one attempt of a job: finds its worker, gives back its arguments, ends it in time, says what became of it."""

import asyncio
import inspect
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Final

from headrace.jobs.catalogue import Catalogue
from headrace.jobs.child import run_job
from headrace.jobs.errors import JobTimeout
from headrace.jobs.exhausted import call_on_exhausted
from headrace.jobs.job import Failed, Job, Outcome, final
from headrace.jobs.middleware import RunMiddleware, around
from headrace.jobs.outcomes import is_given_up, outcome_of_answer, outcome_of_error, outcome_of_expiry, with_notes
from headrace.jobs.retry import Random
from headrace.jobs.running_job import RUNNING_JOB, RunningJob, Tell
from headrace.jobs.worker import AnyWorker
from headrace.jobs.workflow_rules import DEPS
from headrace.pipeline.executor.call import Call
from headrace.pipeline.executor.process_executor import ProcessExecutor
from headrace.pipeline.executor.thread_executor import ThreadExecutor

_FROM_INSIDE: Final = "nobody cancelled the job itself: a task that its worker awaited was cancelled"

STRANGER_SECONDS: Final = 60.0
"""How long a job waits whose worker this process has lost since it claimed it."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What attempts run in: the time, what goes around each run, where functions run that would hold the loop.

    `tell` hears of what a running job notes down.
    """

    now: Callable[[], datetime]
    middleware: Sequence[RunMiddleware] = ()
    threads: ThreadExecutor | None = None
    processes: ProcessExecutor | None = None
    tell: Tell | None = None
    opened: Callable[[Job], None] = lambda _: None
    """Puts the args of a claimed job in clear, in place."""
    random: Random = random.random
    hand_on: Callable[[Job], Awaitable[None]] | None = None
    """Gives a step of a workflow the results of those that it came after."""


class Executor:
    """Runs jobs by the workers of a catalogue."""

    def __init__(self, catalogue: Catalogue, surroundings: Surroundings) -> None:
        self._catalogue = catalogue
        self._in = surroundings
        self._left: dict[int, Mapping[str, object]] = {}

    def notes_of(self, job_id: int) -> Mapping[str, object] | None:
        """Return, once, what a job had noted down when its attempt was cancelled."""
        return self._left.pop(job_id, None) or None

    async def __call__(self, job: Job) -> Outcome:
        """Run one attempt to its end; cancelled, it raises that, once the worker has ended."""
        worker = self._catalogue.get(job.worker)
        if worker is None:
            return _without_worker(job)
        outcome = outcome_of_expiry(job, self._in.now()) if job.meta else None
        if outcome is None:
            running = RunningJob(job, self._in.tell)
            RUNNING_JOB.set(running)
            outcome = with_notes(await self._attempt(worker, running), running)
        if type(outcome) is Failed:
            await self._tell_exhausted(worker, job, outcome)
        return outcome

    async def failed(self, job: Job, error: BaseException) -> Outcome:
        """Return the outcome of an attempt that `error` ended: SystemExit, CancelledError from inside, and their like.

        They fail the attempt as an Exception does.
        """
        worker, notes = self._catalogue.get(job.worker), self.notes_of(job.id)
        if worker is None:
            return _without_worker(job)
        outcome = outcome_of_error(worker, job, error, self._in.random)
        if isinstance(error, asyncio.CancelledError):
            outcome = replace(outcome, error=f"{outcome.error}\n{_FROM_INSIDE}")
        if notes is not None:
            outcome = replace(outcome, meta=notes)
        await self._tell_exhausted(worker, job, outcome)
        return outcome

    async def _attempt(self, worker: AnyWorker, running: RunningJob) -> Outcome:
        job = running.job
        try:
            self._in.opened(job)
            if DEPS in job.meta and self._in.hand_on is not None:
                await self._in.hand_on(job)
            if worker.is_plain and not self._in.middleware:  # most are: what lies between costs more than they do
                args, kwargs = worker.arguments.restored(job.args, running)
                answer = await worker.function(*args, **kwargs)  # type: ignore[misc] # an async function
            else:
                answer = await self._answer(worker, running)
        except Exception as error:  # noqa: BLE001 - whatever the worker raises, it fails this attempt alone
            return outcome_of_error(worker, job, error, self._in.random)
        except BaseException:
            self._left[running.id] = running.take_changes()
            raise
        return outcome_of_answer(worker, answer)

    async def _answer(self, worker: AnyWorker, running: RunningJob) -> object:
        seconds = worker.options.timeout_seconds
        if seconds is None and not self._in.middleware:
            return await self._call(worker, running)
        call: Callable[[], Awaitable[object]] = partial(self._call, worker, running)
        if self._in.middleware:
            call = around(self._in.middleware, running, call)
        if seconds is None:
            return await call()
        try:
            async with asyncio.timeout(seconds) as limit:
                return await call()
        except TimeoutError:
            if not limit.expired():
                raise
            raise JobTimeout(worker.name, seconds) from None

    async def _call(self, worker: AnyWorker, running: RunningJob) -> object:
        """Run the function where its worker says.

        An OS process is ended by a cancellation. A thread cannot be: the job is marked, and keeps its slot until the
        function returns.
        """
        place = worker.options.executor
        if place == "subprocess" and self._in.processes is not None:
            brought = await self._in.processes.run(run_job, worker.reference, running.job)
            running.take_in(brought.notes)
            if brought.error is not None:
                raise brought.error
            return brought.answer
        args, kwargs = worker.arguments.restored(running.args, running)
        if place == "thread" and self._in.threads is not None:
            call = await self._in.threads.start(partial(worker.function, *args, **kwargs))
            return await _result(call, running)
        result = worker.function(*args, **kwargs)
        return await result if worker.is_async or inspect.isawaitable(result) else result  # type: ignore[misc] # it is

    async def _tell_exhausted(self, worker: AnyWorker, job: Job, outcome: Failed) -> None:
        """Call the worker's `on_exhausted` if the job is discarded."""
        if worker.options.on_exhausted is not None and is_given_up(final(job, outcome)):
            await call_on_exhausted(worker, job, outcome.error)


def _without_worker(job: Job) -> Failed:
    return Failed(f"this process has no worker of the name {job.worker!r}", STRANGER_SECONDS)


async def _result(call: Call[object], running: RunningJob) -> object:
    """Return what a thread's function returned; cancelled, wait for it all the same, and then raise that."""
    try:
        return await call.result()
    except asyncio.CancelledError:
        running.cancel("its time is over")
        while call.outcome is None:
            with suppress(asyncio.CancelledError):
                await call.ended()
        raise
