"""Runs one attempt of a job: finds its worker, gives back its arguments, ends it in time, says what became of it."""

import asyncio
import inspect
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final, Protocol

from headrace.ground.telemetry import LOG
from headrace.jobs.catalogue import Catalogue
from headrace.jobs.errors import JobTimeout
from headrace.jobs.job import Failed, Job, Outcome
from headrace.jobs.middleware import RunMiddleware, around
from headrace.jobs.outcomes import is_given_up, outcome_of_answer, outcome_of_error, outcome_of_expiry, with_notes
from headrace.jobs.retry import Random
from headrace.jobs.running_job import RUNNING_JOB, RunningJob, Tell
from headrace.jobs.worker import AnyWorker

STRANGER_SECONDS: Final = 60.0
"""How long a job waits whose worker this process has lost since it claimed it."""


class Calls(Protocol):
    """Where functions run that would hold the loop: in threads, or in other OS processes."""

    async def run(self, function: Callable[..., object], args: Sequence[object], kwargs: dict[str, object]) -> object:
        """Run the function there, and return what it returns, or raise what it raises."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What attempts run in: the time, what goes around each run, where functions run that would hold the loop.

    `places` are by the name of an executor; `tell` hears of what a running job notes down.
    """

    now: Callable[[], datetime]
    middleware: Sequence[RunMiddleware] = ()
    places: Mapping[str, Calls] = field(default_factory=dict)
    tell: Tell | None = None
    opened: Callable[[Job], None] = lambda _: None
    """Puts the args of a claimed job in clear, in place."""
    random: Random = random.random


class Executor:
    """Runs jobs by the workers of a catalogue."""

    def __init__(self, catalogue: Catalogue, surroundings: Surroundings) -> None:
        self._catalogue = catalogue
        self._in = surroundings

    async def __call__(self, job: Job) -> Outcome:
        """Run one attempt to its end; cancelled, it raises that, once the worker has ended."""
        worker = self._catalogue.get(job.worker)
        if worker is None:
            return Failed(f"this process has no worker of the name {job.worker!r}", STRANGER_SECONDS)
        outcome = outcome_of_expiry(job, self._in.now())
        if outcome is None:
            running = RunningJob(job, self._in.tell)
            RUNNING_JOB.set(running)
            outcome = with_notes(await self._attempt(worker, running), running)
        if is_given_up(outcome) and isinstance(outcome, Failed) and worker.options.on_exhausted is not None:
            await self._tell_exhausted(worker, job, outcome.error)
        return outcome

    async def _attempt(self, worker: AnyWorker, running: RunningJob) -> Outcome:
        try:
            self._in.opened(running.job)
            answer = await self._answer(worker, running)
        except Exception as error:  # noqa: BLE001 - whatever the worker raises, it fails this attempt alone
            return outcome_of_error(worker, running.job, error, self._in.random)
        return outcome_of_answer(worker, answer)

    async def _answer(self, worker: AnyWorker, running: RunningJob) -> object:
        args, kwargs = worker.arguments.restored(running.args, running)
        call: Callable[[], Awaitable[object]] = partial(self._call, worker, args, kwargs)
        if self._in.middleware:
            call = around(self._in.middleware, running, call)
        seconds = worker.options.timeout_seconds
        if seconds is None:
            return await call()
        try:
            async with asyncio.timeout(seconds) as limit:
                return await call()
        except TimeoutError:
            if not limit.expired():
                raise
            raise JobTimeout(worker.name, seconds) from None

    async def _call(self, worker: AnyWorker, args: Sequence[object], kwargs: dict[str, object]) -> object:
        place = self._in.places.get(worker.options.executor)
        if place is not None:
            return await place.run(worker.function, args, kwargs)
        result = worker.function(*args, **kwargs)
        return await result if inspect.isawaitable(result) else result

    async def _tell_exhausted(self, worker: AnyWorker, job: Job, error: str) -> None:
        """Call the worker's `on_exhausted`; what that raises is logged, for the job is given up all the same."""
        on_exhausted = worker.options.on_exhausted
        try:
            told = on_exhausted(job, error) if on_exhausted else None
            if inspect.isawaitable(told):
                await told
        except Exception:  # noqa: BLE001 - whatever a user's function raises, the job has its outcome
            LOG.exception("on_exhausted of worker %r raised for job %d, which is given up", worker.name, job.id)
