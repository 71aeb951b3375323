"""The enqueue pipeline: middleware, encryption, alignment of results."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from headrace.jobs.errors import BadAnswer, EncryptionError
from headrace.jobs.job import Inserted, Job, NewJob
from headrace.jobs.running.encryption import ArgsCipher
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.running_job import RunningJob
from headrace.telemetry.events import LOG

EnqueueMiddleware = Callable[[NewJob], NewJob | None]
"""Gets each new job, not encrypted yet, and returns it, returns another job in its place, or returns None to drop it.

It is a plain function, because jobs are enqueued from threads, too. Its errors reach the caller that enqueues, and
nothing is inserted.
"""

NextCall = Callable[[], Awaitable[object]]
"""Calls the next middleware, or the worker itself, and returns the worker's answer."""

RunMiddleware = Callable[[RunningJob, NextCall], Awaitable[object]]
"""Wraps the worker: it awaits the call, or answers in its place.

It returns the answer; None leaves the worker's answer unchanged. Its errors fail the attempt.
"""


def passed(job: NewJob, middleware: Sequence[EnqueueMiddleware]) -> NewJob | None:
    """Pass a new job through the functions, in order; return the last job, or None if one of them dropped it."""
    for one in middleware:
        found: object = one(job)
        if found is None:
            return None
        if not isinstance(found, NewJob):
            what = f"the middleware {_name(one)}"
            why = f"returned {type(found).__name__} for a new job, and must return a NewJob, or None to drop it"
            raise BadAnswer(what, why)
        job = found
    return job


def around(middleware: Sequence[RunMiddleware], running: RunningJob, call: NextCall) -> NextCall:
    """Return a call wrapped in the functions, the first outermost."""
    for one in reversed(middleware):
        call = _Around(one, running, call)
    return call


class _Around:
    """One middleware around a call. Raises `BadAnswer` if it neither calls nor answers: the job would seem done."""

    __slots__ = ("_answer", "_call", "_is_called", "_middleware", "_running")

    def __init__(self, middleware: RunMiddleware, running: RunningJob, call: NextCall) -> None:
        self._middleware = middleware
        self._running = running
        self._call = call
        self._is_called = False
        self._answer: object = None

    async def __call__(self) -> object:
        answer = await self._middleware(self._running, self._inner)
        if answer is not None:
            return answer
        if not self._is_called:
            what = f"the middleware {_name(self._middleware)}"
            why = f"neither ran job {self._running.id} nor answered for it: await the call, or return an answer"
            raise BadAnswer(what, why)
        return self._answer

    async def _inner(self) -> object:
        self._answer = await self._call()
        self._is_called = True
        return self._answer


def _name(function: object) -> str:
    return repr(getattr(function, "__qualname__", type(function).__qualname__))


@dataclass(frozen=True, slots=True)
class EnqueuePipeline:
    """Prepares the new jobs of one service: passes them through its middleware, and encrypts them."""

    catalogue: WorkerCatalogue
    middleware: Sequence[EnqueueMiddleware] = ()
    cipher: ArgsCipher | None = None

    def prepared(self, jobs: Sequence[NewJob]) -> list[NewJob | None]:
        """Return each new job as it will be inserted, in order; None for a job that a middleware dropped.

        Raises the errors of middleware, and `EncryptionError` if a worker's args are encrypted and there is no key.
        """
        encrypted = self.catalogue.encrypted
        if not self.middleware and (not encrypted or encrypted.isdisjoint([job.worker for job in jobs])):
            return list(jobs)
        return [self._prepared(job) for job in jobs]

    def open(self, job: Job) -> None:
        """Decrypt the args of a claimed job, in place. Raises `EncryptionError` if no key fits."""
        if job.args and self.cipher is not None:
            job.args = self.cipher.opened(job.args)

    def _prepared(self, job: NewJob) -> NewJob | None:
        prepared = passed(job, self.middleware) if self.middleware else job
        if prepared is None:
            return None
        if prepared.worker not in self.catalogue.encrypted:
            return prepared
        if self.cipher is None:
            missing = f"worker {prepared.worker!r} keeps its args encrypted, and there is no key"
            raise EncryptionError(missing, "give one, or take encrypted=True away")
        return self.cipher.sealed(prepared)


def without_dropped(prepared: Sequence[NewJob | None]) -> list[NewJob]:
    """Return the prepared jobs without the dropped ones."""
    return [job for job in prepared if job is not None]


def aligned(prepared: Sequence[NewJob | None], inserted: Sequence[Inserted]) -> list[Inserted | None]:
    """Align insert results with the input list; None where a middleware dropped the job."""
    if len(inserted) == len(prepared):
        return list(inserted)
    each = iter(inserted)
    return [None if job is None else next(each) for job in prepared]


class BlockedLoop:
    """Logs, once for each worker, that its `enqueue_sync` is called on an event loop."""

    def __init__(self) -> None:
        self._named: set[str] = set()

    def check(self, jobs: Sequence[NewJob]) -> None:
        """Check the caller, before it blocks."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return
        for worker in {job.worker for job in jobs} - self._named:
            self._named.add(worker)
            text = (
                "enqueue_sync of worker %r holds up the event loop until the disk has the job: await its enqueue there"
            )
            LOG.warning(text, worker)
