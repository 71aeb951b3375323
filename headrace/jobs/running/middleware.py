"""What a user puts around every job: functions that see each new one before it is inserted, and around each run."""

from collections.abc import Awaitable, Callable, Sequence

from headrace.jobs.errors import BadAnswer
from headrace.jobs.job import NewJob
from headrace.jobs.running_job import RunningJob

EnqueueMiddleware = Callable[[NewJob], NewJob | None]
"""Gets each new job, in clear, and returns it, another one in its place, or None to drop it.

It is a plain function, for jobs are enqueued from threads, too. What it raises reaches whoever enqueues, and nothing
is inserted.
"""

Call = Callable[[], Awaitable[object]]
"""Runs the rest: the next middleware, or the worker itself. What it returns is the worker's answer."""

RunMiddleware = Callable[[RunningJob, Call], Awaitable[object]]
"""Runs around the worker: it awaits the call, or answers itself.

What it returns is the answer; None leaves the answer as it was. What it raises fails the attempt.
"""


def passed(job: NewJob, middleware: Sequence[EnqueueMiddleware]) -> NewJob | None:
    """Return what the functions make of a new job, each of what the one before returned; None when one drops it."""
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


def around(middleware: Sequence[RunMiddleware], running: RunningJob, call: Call) -> Call:
    """Return a call with the functions around it, the first of them outermost."""
    for one in reversed(middleware):
        call = _Around(one, running, call)
    return call


class _Around:
    """One middleware around a call. Raises `BadAnswer` when it neither calls nor answers, so that no job seems done."""

    __slots__ = ("_answer", "_call", "_is_called", "_middleware", "_running")

    def __init__(self, middleware: RunMiddleware, running: RunningJob, call: Call) -> None:
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
