"""`@worker` and `Worker`: functions whose calls can be enqueued as jobs."""

import inspect
import os
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
class Binding:
    """The service that keeps the jobs of a worker and of all its variants."""

    worker: str
    service: Enqueues | None = None
    is_loose: bool = False
    """Whether another service may replace this one, which is closed, but still has jobs in threads."""
    pid: int = 0
    """The OS process that bound it: in a forked child another service may replace it, too."""

    def bind(self, service: Enqueues) -> None:
        """Let `service` keep the jobs. Raises `NotBound` while another service of this OS process does."""
        pid = os.getpid()
        if self.service not in {None, service} and not self.is_loose and self.pid == pid:
            raise NotBound(self.worker, "enqueues to another Jobs already", "close that one first")
        self.service, self.is_loose, self.pid = service, False, pid

    def loosen(self, service: Enqueues) -> None:
        """Let another service bind the worker; until then `service` keeps the jobs, if it is bound."""
        if self.service is service:
            self.is_loose = True

    def unbind(self, service: Enqueues) -> None:
        """Remove `service`, if it is bound."""
        if self.service is service:
            self.service = None

    def bound(self) -> Enqueues:
        """Return the service. Raises `NotBound`."""
        if self.service is None:
            advice = "open a Jobs that lists its module, `async with jobs:`, or call new()"
            raise NotBound(self.worker, "enqueues to no Jobs yet", advice)
        return self.service

    def now(self) -> datetime:
        """Return the time of the service's clock, or the real time without a service."""
        return utc_now() if self.service is None else self.service.now()


_OTHER_LIBRARIES: Final = {
    "delay": "`await worker.enqueue(...)`, or enqueue_sync",
    "send": "`await worker.enqueue(...)`, or enqueue_sync",
    "perform_async": "`await worker.enqueue(...)`, or enqueue_sync",
    "perform_in": "`await worker.schedule_in(seconds, ...)`",
    "apply_async": "`await worker.with_options(queue=, priority=).enqueue(...)`, or schedule_in",
    "send_with_options": "`await worker.with_options(queue=, priority=).enqueue(...)`, or schedule_in",
}
"""The names that other libraries use for the methods of a worker."""


class Worker(Generic[P, R_co, T_co]):
    """A function with parameters `P` that returns `R_co` when called; `T_co` is its result, once awaited.

    A call runs the function here and now. `enqueue` keeps the call as a job, and checks its arguments. Each method that
    enqueues raises `BadArguments` for a call that does not fit, `NotBound` while no `Jobs` keeps the worker's jobs, and
    the errors of the store.
    """

    def __init__(self, function: Callable[P, R_co], options: WorkerOptions, binding: Binding | None = None) -> None:
        update_wrapper(self, function)
        self.function: Callable[..., R_co] = function
        self.options = options
        self.name = options.name
        self.is_async = inspect.iscoroutinefunction(function)
        self.is_plain = self.is_async and options.executor == "inline" and options.timeout_seconds is None
        self.arguments = Arguments(function, options.name, is_secret=options.encrypted)
        self.original: Worker[P, R_co, T_co] = self
        self.binding = binding or Binding(options.name)
        self._results: Codec | None = None

    @override
    def __repr__(self) -> str:
        return f"<Worker {self.name}>"

    if not TYPE_CHECKING:  # a type checker must know each name

        def __getattr__(self, name: str) -> object:
            """Raise AttributeError; for a name of Celery, Dramatiq or Sidekiq it names our method."""
            text = f"worker {self.__dict__.get('name', '')!r} has no {name!r}"
            ours = _OTHER_LIBRARIES.get(name)
            raise AttributeError(f"{text}; did you mean {ours}?" if ours else text, name=name, obj=self)

    @override
    def __reduce__(self) -> str:
        return self.function.__qualname__

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Run the function here and now, without a job.

        A function that takes the running job gets the current one, unless the call passes one. Raises `NoRunningJob`
        if no job runs; call `.function` to pass another one.
        """
        positional, names = self.arguments.completed(args, kwargs)
        return self.function(*positional, **names)

    @property
    def reference(self) -> str:
        """The import path of the function, as `module:name`."""
        return f"{self.function.__module__}:{self.function.__qualname__}"

    @property
    def results(self) -> Codec:
        """The codec of its result, by its return annotation. Raises `BadWorker`."""
        if self._results is None:
            self._results = self.arguments.result_codec()
        return self._results

    def check(self) -> None:
        """Read all annotations now. Raises `BadWorker` for unknown names, and for types that JSON cannot hold."""
        self.arguments.check()
        if self.options.record:
            self.arguments.result_codec()

    def with_options(self, **keywords: Unpack[JobOptions]) -> "Worker[P, R_co, T_co]":
        """Return a variant whose jobs have other options, say a priority; this worker runs them. Raises `BadWorker`."""
        variant: Worker[P, R_co, T_co] = Worker(self.function, variant_of(self.options, keywords), self.binding)
        variant.original = self.original
        return variant

    def new(self, /, *args: P.args, **kwargs: P.kwargs) -> NewJob:
        """Return the call as a job that is not inserted yet. It needs no open `Jobs`."""
        return self._new(self.arguments.bound(args, kwargs), None)

    async def enqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> Handle[T_co]:
        """Keep the call as a job that runs as soon as a slot is free; it is durable at return."""
        return await self._insert(self.arguments.bound(args, kwargs), None)

    async def schedule_in(self, seconds: float | timedelta, /, *args: P.args, **kwargs: P.kwargs) -> Handle[T_co]:
        """Keep the call as a job that runs after `seconds`; below 0, at once. Raises `BadTime`."""
        return await self._insert(self.arguments.bound(args, kwargs), time_in(self.name, seconds, self.binding.now()))

    async def schedule_at(self, time: datetime, /, *args: P.args, **kwargs: P.kwargs) -> Handle[T_co]:
        """Keep the call as a job that runs at `time`. Raises `BadTime` for a time without a time zone."""
        return await self._insert(self.arguments.bound(args, kwargs), time_at(self.name, time))

    async def enqueue_many(self, calls: Iterable[Sequence[object] | Mapping[str, object]]) -> list[Handle[T_co]]:
        """Keep many calls in one transaction; each call is a tuple or a dict of arguments."""
        service, jobs = self.binding.bound(), self._all_new(calls)
        return self._handles(service, await service.insert(jobs) if jobs else [])

    def enqueue_sync(self, /, *args: P.args, **kwargs: P.kwargs) -> Handle[T_co]:
        """Keep the call as `enqueue` does, from any thread and without an event loop; block until the disk has it."""
        return self._insert_sync(self.arguments.bound(args, kwargs), None)

    def schedule_in_sync(self, seconds: float | timedelta, /, *args: P.args, **kwargs: P.kwargs) -> Handle[T_co]:
        """Keep the call as `schedule_in` does, from any thread."""
        return self._insert_sync(self.arguments.bound(args, kwargs), time_in(self.name, seconds, self.binding.now()))

    def schedule_at_sync(self, time: datetime, /, *args: P.args, **kwargs: P.kwargs) -> Handle[T_co]:
        """Keep the call as `schedule_at` does, from any thread."""
        return self._insert_sync(self.arguments.bound(args, kwargs), time_at(self.name, time))

    def enqueue_many_sync(self, calls: Iterable[Sequence[object] | Mapping[str, object]]) -> list[Handle[T_co]]:
        """Keep many calls as `enqueue_many` does, from any thread."""
        service, jobs = self.binding.bound(), self._all_new(calls)
        return self._handles(service, service.insert_sync(jobs) if jobs else [])

    def enqueue_in(self, connection: object, /, *args: P.args, **kwargs: P.kwargs) -> Handle[T_co]:
        """Keep the call in the user's own transaction on the store's database; the job exists once the user commits.

        The connection is one of sqlite3 or psycopg, as the store's. A unique job is compared with committed jobs, too.
        Call it in the thread of the connection. Raises `BadTransaction` for a connection that commits by itself, or to
        another database.
        """
        service, job = self.binding.bound(), self.new(*args, **kwargs)
        return self._handle(service, service.insert_in(connection, [job])[0])

    async def conflict_of(self, /, *args: P.args, **kwargs: P.kwargs) -> Job | None:
        """Return the newest job of which this call, of a unique worker, would be a duplicate."""
        return await self.binding.bound().conflict_of(self.new(*args, **kwargs))

    def conflict_of_sync(self, /, *args: P.args, **kwargs: P.kwargs) -> Job | None:
        """Thread-safe version of `conflict_of` that blocks."""
        return self.binding.bound().conflict_of_sync(self.new(*args, **kwargs))

    async def _insert(self, args: dict[str, object], at: datetime | None) -> Handle[T_co]:
        service = self.binding.bound()
        inserted = await service.insert([self._new(args, at)])
        return self._handle(service, inserted[0])

    def _insert_sync(self, args: dict[str, object], at: datetime | None) -> Handle[T_co]:
        service = self.binding.bound()
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
            meta[DEADLINE] = to_text(after(at or self.binding.now(), options.expires_in_seconds))
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
        """Decode a recorded result by the return annotation."""
        try:
            return cast("T_co", self.results.decoded(result) if self.options.record else result)
        except CodecError as unfit:
            why = f"is {unfit.found!r:.100}{unfit.why}: it was recorded when the function returned something else"
            bad = BadAnswer(f"the recorded result of worker {self.name!r}", why)
        raise bad


AnyWorker: TypeAlias = Worker[..., object, object]
"""Some worker, whatever it takes and returns."""


@final
class _NoValue:
    """A type without values. A parameter that accepts it has no type, or accepts all: it is not the running job."""


class _Decorates(Protocol):
    """The decorator that `worker` returns.

    In its types, a running job as first parameter is no argument, and the result of an `async def` is the awaited one.
    """

    @overload
    def __call__(
        self, function: Callable[Concatenate[_NoValue, P], Coroutine[Any, Any, T]], /
    ) -> Worker[..., Coroutine[Any, Any, T], T]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[_NoValue, P], T], /) -> Worker[..., T, T]: ...
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
    function: Callable[Concatenate[_NoValue, P], Coroutine[Any, Any, T]], /
) -> Worker[..., Coroutine[Any, Any, T], T]: ...
@overload
def worker(function: Callable[Concatenate[_NoValue, P], T], /) -> Worker[..., T, T]: ...
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

    A parameter annotated as `RunningJob` is no argument: it gets the running job. Put it first, or give it a default,
    so that type checkers know.

    * `queue`, `max_attempts`, `priority` (0 to 9, 0 first) and `tags` are options of its jobs.
    * `name` is its name in jobs, by default `module.function`; `aliases` are names that older jobs may have.
    * `timeout_seconds` limits an attempt; `backoff` is the wait after a failed one.
    * `unique` jobs are inserted once.
    * `executor`: an `async def` runs on the loop, a `def` in a thread, unless this is "inline", for a quick function,
      or "subprocess", for an OS process.
    * `record=True` keeps the result, up to `record_limit_bytes`.
    * `on_exhausted` gets each discarded job.
    * A job that has not begun `expires_in_seconds` after its time does not run. A completed job is not pruned for
      `keep_seconds`.
    * Jobs with equal values of the parameters in `chain` run one after the other, in the order of their insertion.
    * `encrypted=True` encrypts the args in the store, but not the result, the progress and the errors.
    """

    def decorate(function: Callable[..., object]) -> AnyWorker:
        return Worker(function, options_of(function, keywords))

    return decorate if function is None else decorate(function)
