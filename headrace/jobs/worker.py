"""`@worker`, `Worker`; enqueueing in the user's own transaction."""

import inspect
import os
import sqlite3
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import update_wrapper
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Final,
    Generic,
    ParamSpec,
    Protocol,
    TypeAlias,
    TypeVar,
    Unpack,
    cast,
    final,
    overload,
)

from typing_extensions import override

from headrace.clock import utc_now
from headrace.jobs.arguments import Arguments, Codec, CodecError
from headrace.jobs.errors import BadAnswer, BadArguments, NotBound
from headrace.jobs.handle import Enqueues, Handle
from headrace.jobs.job import KEEP_SECONDS, Inserted, Job, NewJob, after, to_text
from headrace.jobs.rules.flows import chained
from headrace.jobs.rules.retry import time_at, time_in
from headrace.jobs.running_job import DEADLINE, RunningJob
from headrace.jobs.worker_options import JobOptions, WorkerKeywords, WorkerOptions, options_of, variant_of

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
T_co = TypeVar("T_co", covariant=True)
R = TypeVar("R")
T = TypeVar("T")


@dataclass(slots=True)
class _Binding:
    """Who keeps the jobs of a worker, and of all its variants."""

    service: Enqueues | None = None
    is_loose: bool = False
    """Whether another service may take the jobs over: this one is closed, but for what still runs in its threads."""
    pid: int = 0
    """The OS process that bound it: in a forked child another service may take the jobs over, too."""


_OTHER_LIBRARIES: Final = {
    "delay": "`await worker.enqueue(...)`, or enqueue_sync",
    "send": "`await worker.enqueue(...)`, or enqueue_sync",
    "perform_async": "`await worker.enqueue(...)`, or enqueue_sync",
    "perform_in": "`await worker.schedule_in(seconds, ...)`",
    "apply_async": "`await worker.with_options(queue=, priority=).enqueue(...)`, or schedule_in",
    "send_with_options": "`await worker.with_options(queue=, priority=).enqueue(...)`, or schedule_in",
}
"""How other libraries call what a worker does."""


class Worker(Generic[P, R_co, T_co]):
    """A function with parameters `P` that returns `R_co` when called, which is `T_co` once it is done.

    To call it runs it here and now, as before; to enqueue it keeps the call as a job. Its arguments are checked when
    they are enqueued. Each way to enqueue raises `BadArguments` for a call that would not fit, `NotBound` before a
    `Jobs` keeps its jobs, and what the store raises.
    """

    def __init__(self, function: Callable[P, R_co], options: WorkerOptions, binding: _Binding | None = None) -> None:
        update_wrapper(self, function)
        self.function: Callable[..., R_co] = function
        self.options = options
        self.name = options.name
        self.is_async = inspect.iscoroutinefunction(function)
        self.is_plain = self.is_async and options.executor == "inline" and options.timeout_seconds is None
        self.arguments = Arguments(function, options.name, is_secret=options.encrypted)
        self.original: Worker[P, R_co, T_co] = self
        self._binding = binding or _Binding()
        self._results: Codec | None = None

    @override
    def __repr__(self) -> str:
        return f"<Worker {self.name}>"

    if not TYPE_CHECKING:  # a type checker is to know all names that there are

        def __getattr__(self, name: str) -> object:
            """Say which of our words is meant by one of Celery, Dramatiq or Sidekiq."""
            text = f"worker {self.__dict__.get('name', '')!r} has no {name!r}"
            ours = _OTHER_LIBRARIES.get(name)
            raise AttributeError(f"{text}; did you mean {ours}?" if ours else text, name=name, obj=self)

    @override
    def __reduce__(self) -> str:
        return self.function.__qualname__

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Run the function here and now; no job is made of it.

        A function that takes the running job gets the one on whose behalf this is called, if it is not given one.
        Raises `NoRunningJob` where none runs; call `.function` to hand it one.
        """
        positional, names = self.arguments.completed(args, kwargs)
        return self.function(*positional, **names)

    @property
    def reference(self) -> str:
        """Where it can be imported from, as `module:name`."""
        return f"{self.function.__module__}:{self.function.__qualname__}"

    @property
    def results(self) -> Codec:
        """What makes its result JSON and back, by the annotation of what it returns. Raises `BadWorker`."""
        if self._results is None:
            self._results = self.arguments.result_codec()
        return self._results

    def check(self) -> None:
        """Read all annotations now. Raises `BadWorker` for what names nothing, or what no JSON can hold."""
        self.arguments.check()
        if self.options.record:
            self.arguments.result_codec()

    def with_options(self, **keywords: Unpack[JobOptions]) -> "Worker[P, R_co, T_co]":
        """Return a variant whose jobs differ, say in their priority; what runs them is this worker all the same.

        Raises `BadWorker`.
        """
        variant: Worker[P, R_co, T_co] = Worker(self.function, variant_of(self.options, keywords), self._binding)
        variant.original = self.original
        return variant

    def new(self, /, *args: P.args, **kwargs: P.kwargs) -> NewJob:
        """Return the call as a job that is not inserted yet. It needs no `Jobs`."""
        return self._new(self.arguments.bound(args, kwargs), None)

    async def enqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> Handle[T_co]:
        """Keep the call as a job that runs as soon as a slot is free; it is durable at return."""
        return await self._insert(self.arguments.bound(args, kwargs), None)

    async def schedule_in(self, seconds: float | timedelta, /, *args: P.args, **kwargs: P.kwargs) -> Handle[T_co]:
        """Keep the call as a job that runs after so long, at once for less than none. Raises `BadTime`."""
        args_ = self.arguments.bound(args, kwargs)
        return await self._insert(args_, time_in(self.name, seconds, self.now()))

    async def schedule_at(self, time: datetime, /, *args: P.args, **kwargs: P.kwargs) -> Handle[T_co]:
        """Keep the call as a job that runs at `time`. Raises `BadTime` for one that has no time zone."""
        args_ = self.arguments.bound(args, kwargs)
        return await self._insert(args_, time_at(self.name, time))

    async def enqueue_many(self, calls: Iterable[Sequence[object] | Mapping[str, object]]) -> list[Handle[T_co]]:
        """Keep many calls, each a tuple of arguments or a dict of them, in one transaction; all of them or none."""
        service, jobs = self._service(), self._all_new(calls)
        return self._handles(service, await service.insert(jobs) if jobs else [])

    def enqueue_sync(self, /, *args: P.args, **kwargs: P.kwargs) -> Handle[T_co]:
        """Keep the call as `enqueue` does, from any thread, or with no event loop at all; it waits for the disk."""
        return self._insert_sync(self.arguments.bound(args, kwargs), None)

    def schedule_in_sync(self, seconds: float | timedelta, /, *args: P.args, **kwargs: P.kwargs) -> Handle[T_co]:
        """Keep the call as `schedule_in` does, from any thread."""
        args_ = self.arguments.bound(args, kwargs)
        return self._insert_sync(args_, time_in(self.name, seconds, self.now()))

    def schedule_at_sync(self, time: datetime, /, *args: P.args, **kwargs: P.kwargs) -> Handle[T_co]:
        """Keep the call as `schedule_at` does, from any thread."""
        return self._insert_sync(self.arguments.bound(args, kwargs), time_at(self.name, time))

    def enqueue_many_sync(self, calls: Iterable[Sequence[object] | Mapping[str, object]]) -> list[Handle[T_co]]:
        """Keep many calls as `enqueue_many` does, from any thread."""
        service, jobs = self._service(), self._all_new(calls)
        return self._handles(service, service.insert_sync(jobs) if jobs else [])

    def enqueue_in(self, connection: sqlite3.Connection, /, *args: P.args, **kwargs: P.kwargs) -> Handle[T_co]:
        """Keep the call inside a transaction of your own on the store's file: the job is there once you commit.

        What is unique is so among all that others have committed, too. Call it in the thread of the connection. Raises
        `BadTransaction` for a connection that would commit by itself, or to another file.
        """
        service, job = self._service(), self.new(*args, **kwargs)
        return self._handle(service, service.insert_in(connection, [job])[0])

    async def conflict_of(self, /, *args: P.args, **kwargs: P.kwargs) -> Job | None:
        """Return the job that came in last among those that this call, of a unique worker, is a double of."""
        return await self._service().conflict_of(self.new(*args, **kwargs))

    def conflict_of_sync(self, /, *args: P.args, **kwargs: P.kwargs) -> Job | None:
        """Do the same from any thread, and wait."""
        return self._service().conflict_of_sync(self.new(*args, **kwargs))

    @property
    def service(self) -> Enqueues | None:
        """Who keeps its jobs now."""
        return self._binding.service

    def bind(self, service: Enqueues) -> None:
        """Hand its jobs to `service` from now on. Raises `NotBound` while another one of this OS process has them."""
        binding, pid = self._binding, os.getpid()
        if binding.service not in {None, service} and not binding.is_loose and binding.pid == pid:
            why = "enqueues to another Jobs already"
            raise NotBound(self.name, why, "close that one first")
        binding.service, binding.is_loose, binding.pid = service, False, pid

    def loosen(self, service: Enqueues) -> None:
        """Leave its jobs to `service`, if that has them, until another one takes them."""
        if self._binding.service is service:
            self._binding.is_loose = True

    def unbind(self, service: Enqueues) -> None:
        """Take that back, if it is `service` that has them."""
        if self._binding.service is service:
            self._binding.service = None

    async def _insert(self, args: dict[str, object], at: datetime | None) -> Handle[T_co]:
        service = self._service()
        inserted = await service.insert([self._new(args, at)])
        return self._handle(service, inserted[0])

    def _insert_sync(self, args: dict[str, object], at: datetime | None) -> Handle[T_co]:
        service = self._service()
        return self._handle(service, service.insert_sync([self._new(args, at)])[0])

    def _all_new(self, calls: object) -> list[NewJob]:
        if not isinstance(calls, Iterable):
            raise BadArguments(
                self.name, None, f"cannot be called with {type(calls).__name__}: give a list of its calls"
            )
        return [self._new(self.arguments.bound_of(call), None) for call in calls]

    def _handles(self, service: Enqueues, inserted: Sequence[Inserted | None]) -> list[Handle[T_co]]:
        name, restored = self.name, self.restored
        return [Handle(name, one, service, restored) for one in inserted]

    def _new(self, args: dict[str, object], at: datetime | None) -> NewJob:
        options = self.options
        meta: dict[str, object] = {}
        if options.expires_in_seconds is not None:
            meta[DEADLINE] = to_text(after(at or self.now(), options.expires_in_seconds))
        if options.keep_seconds is not None:
            meta[KEEP_SECONDS] = options.keep_seconds
        job = NewJob(
            self.name,
            args,
            options.queue,
            options.priority,
            options.max_attempts,
            options.tags,
            meta,
            at,
            None,
            options.unique,
        )
        return job if options.chain is None else chained(job, options.chain)

    def _handle(self, service: Enqueues, inserted: Inserted | None) -> Handle[T_co]:
        return Handle(self.name, inserted, service, self.restored)

    def restored(self, result: object) -> T_co:
        """Return a recorded result as its annotation has it."""
        try:
            return cast("T_co", self.results.decoded(result) if self.options.record else result)
        except CodecError as unfit:
            why = f"is {unfit.found!r:.100}{unfit.why}: it was recorded when the function returned something else"
            bad = BadAnswer(f"the recorded result of worker {self.name!r}", why)
        raise bad

    def _service(self) -> Enqueues:
        if self._binding.service is None:
            why = "enqueues to no Jobs yet"
            raise NotBound(self.name, why, "open a Jobs that lists its module, `async with jobs:`, or call new()")
        return self._binding.service

    def now(self) -> datetime:
        """Return the time by the clock of who keeps its jobs, or the real one."""
        service = self._binding.service
        return utc_now() if service is None else service.now()


AnyWorker: TypeAlias = Worker[..., object, object]
"""Some worker, whatever it takes and returns."""


@final
class _Whatever:
    """Nothing is one: a parameter that takes it takes whatever there is, and so is not meant for the running job."""


class _Decorates(Protocol):
    """What makes a worker of a function, once the options are said.

    In its types the running job is no argument where it comes first; and an `async def` has its result once awaited.
    """

    @overload
    def __call__(
        self, function: Callable[Concatenate[_Whatever, P], Coroutine[Any, Any, T]], /
    ) -> Worker[..., Coroutine[Any, Any, T], T]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[_Whatever, P], T], /) -> Worker[..., T, T]: ...
    @overload
    def __call__(
        self, function: Callable[Concatenate[RunningJob, P], Coroutine[Any, Any, T]], /
    ) -> Worker[P, Coroutine[Any, Any, T], T]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[RunningJob, P], T], /) -> Worker[P, T, T]: ...
    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, T]], /) -> Worker[P, Coroutine[Any, Any, T], T]: ...
    @overload
    def __call__(self, function: Callable[P, T], /) -> Worker[P, T, T]: ...


@overload
def worker(
    function: Callable[Concatenate[_Whatever, P], Coroutine[Any, Any, T]], /
) -> Worker[..., Coroutine[Any, Any, T], T]: ...
@overload
def worker(function: Callable[Concatenate[_Whatever, P], T], /) -> Worker[..., T, T]: ...
@overload
def worker(
    function: Callable[Concatenate[RunningJob, P], Coroutine[Any, Any, T]], /
) -> Worker[P, Coroutine[Any, Any, T], T]: ...
@overload
def worker(function: Callable[Concatenate[RunningJob, P], T], /) -> Worker[P, T, T]: ...
@overload
def worker(function: Callable[P, Coroutine[Any, Any, T]], /) -> Worker[P, Coroutine[Any, Any, T], T]: ...
@overload
def worker(function: Callable[P, T], /) -> Worker[P, T, T]: ...
@overload
def worker(**keywords: Unpack[WorkerKeywords]) -> _Decorates: ...


def worker(function: Callable[..., object] | None = None, /, **keywords: Unpack[WorkerKeywords]) -> object:
    """Make a worker of a `def` or an `async def` with named parameters. Raises `BadWorker`.

    A parameter annotated as `RunningJob` is no argument: it is given the job that runs. Put it first, or give it a
    default, so that type checkers know.

    `queue`, `max_attempts`, `priority` (0 to 9, 0 first) and `tags` are those of its jobs. `name` is what jobs call it
    (`module.function` if left out); `aliases` are names that older jobs may use. An attempt is ended after
    `timeout_seconds`; after a failure `backoff` says when the next one is. `unique` jobs are inserted once.
    `executor`: an `async def` runs on the loop, a `def` in a thread unless it is said to be quick ("inline") or to
    need an OS process ("subprocess"). `record=True` keeps what it returns, up to `record_limit_bytes`.
    `on_exhausted` gets a job that is discarded. A job that has not begun `expires_in_seconds` after its time is not
    run. One that completed is not pruned for `keep_seconds`.
    Jobs with equal values of what `chain` names run one after the other, in the order of their insertion.
    `encrypted=True` keeps its args unreadable in the store; its result, progress and errors are not encrypted.
    """

    def decorate(function: Callable[..., object]) -> AnyWorker:
        return Worker(function, options_of(function, keywords))

    return decorate if function is None else decorate(function)
