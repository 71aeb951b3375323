"""Chunks: many jobs of one worker in one call, each with an outcome of its own.

Each job of a chunk worker is claimed, retried and recorded by itself. Only the call is shared: attempts that run in one
process at the same time wait for each other, and one call handles them all.
"""

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextvars import ContextVar, copy_context
from datetime import timedelta
from typing import Any, Final, Generic, TypeVar, Union, Unpack, get_args, get_type_hints

from headrace.errors import describe
from headrace.jobs.arguments import union_members
from headrace.jobs.errors import BadAnswer, BadWorker
from headrace.jobs.job import Cancel, Discard, Snooze, in_seconds
from headrace.jobs.running_job import current_job
from headrace.jobs.worker import AnyWorker, Worker, worker
from headrace.jobs.worker_options import WorkerKeywords
from headrace.otp.scheduler import Scheduler

I = TypeVar("I")  # noqa: E741 - an item
R = TypeVar("R")

ChunkFunction = Callable[[list[I]], Coroutine[Any, Any, Sequence[R] | None]]
"""Gets the items of the jobs of one chunk, and returns a result for each, in order, or None for no results.

A result may be an exception, which fails that job alone, or an answer such as `Snooze`. An error that it raises fails
all jobs.
"""

_SIZE: Final = "headrace_chunk_size"
"""The attribute of a chunk worker's function of one item with the size of its chunks."""

_NO_RESULTS: Final = (BaseException, Snooze, Cancel, Discard)


def chunk_worker(
    *, size: int, seconds: float | timedelta = 1.0, **keywords: Unpack[WorkerKeywords]
) -> Callable[[ChunkFunction[I, R]], Worker[[I], Coroutine[Any, Any, R], R]]:
    """Make a worker of an `async def` that takes a list of items. Each job has one item: `enqueue(item)`.

    The function is called when `size` of its jobs run in this process, or `seconds` after the first one. A chunk cannot
    have more jobs than its queue has slots. `keywords` are the options of `worker`; `timeout_seconds` starts when a job
    starts to wait. Raises `BadWorker`, also for a parameter that is not annotated as a list.
    """

    def decorate(function: ChunkFunction[I, R]) -> Worker[[I], Coroutine[Any, Any, R], R]:
        name = f"{function.__module__}.{function.__qualname__}"
        if not inspect.iscoroutinefunction(function):
            raise BadWorker(
                name, "it takes chunks: make it an async def, with asyncio.to_thread for what would block it"
            )
        wait_seconds = in_seconds(seconds)
        if size < 1 or not wait_seconds > 0:
            raise BadWorker(name, f"its chunks are of {size!r} in {seconds!r} s: both must be above 0")
        gathering = ChunkWindow(name, function, size, wait_seconds)

        async def one(item: I) -> R:
            return await gathering.add(item)

        _pretend(one, function, name)
        setattr(one, _SIZE, size)
        return worker(**keywords)(one)

    return decorate


def chunk_size(worker: AnyWorker) -> int | None:
    """Return the size of a worker's chunks; None for a worker without chunks."""
    found: int | None = getattr(worker.function, _SIZE, None)
    return found


class ChunkBatch:
    """Jobs that begin together, while no other jobs begin: their chunk does not wait for other jobs.

    The context of each job holds the `ChunkBatch`.
    """

    def __init__(self, job_ids: Iterable[int]) -> None:
        self._missing = set(job_ids)
        self._chunks: list[asyncio.Event] = []

    def came(self, job_id: int, full: asyncio.Event | None = None) -> None:
        """Called when a job has joined the chunk with the event `full`, or, without one, has ended.

        When no job is missing any more, the chunks are full.
        """
        self._missing.discard(job_id)
        if full is not None:
            self._chunks.append(full)
        if not self._missing:
            for one in self._chunks:
                one.set()


CHUNK_BATCH: Final[ContextVar[ChunkBatch]] = ContextVar("headrace chunk batch")


class ChunkWindow(Generic[I, R]):
    """Gathers the items of one chunk worker, and passes each chunk to its function."""

    def __init__(self, name: str, work: ChunkFunction[I, R], size: int, seconds: float) -> None:
        self._name = name
        self._work = work
        self._size = size
        self._seconds = seconds
        self._open: _Chunk[I, R] | None = None

    async def add(self, item: I) -> R:
        """Add an item to the current chunk; return its result, or raise its error or the error of the call.

        On cancellation the item is removed, unless the call has begun. A call for which no job waits any more is
        cancelled, and has ended when this returns.
        """
        chunk = self._open
        if chunk is None or not chunk.has_room():
            chunk = self._open = _Chunk(self._name, self._work, self._size, self._seconds)
        return await chunk.add(item)


class _Chunk(Generic[I, R]):
    """One call: it gathers items until it is full or its time is up, calls the function, and resolves the results."""

    def __init__(self, name: str, work: ChunkFunction[I, R], size: int, seconds: float) -> None:
        self._name = name
        self._work = work
        self._size = size
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[asyncio.Future[R], I] = {}
        self._is_begun = False
        self._full = asyncio.Event()
        self._task = Scheduler().start_task(self._run(), copy_context(), f"chunk of {name}")

    def has_room(self) -> bool:
        """Return whether the chunk has room for another item, and belongs to this loop."""
        is_here = self._loop is asyncio.get_running_loop()
        return is_here and not (self._is_begun or self._full.is_set() or self._task.done())

    async def add(self, item: I) -> R:
        """Add an item, and wait for its result."""
        result: asyncio.Future[R] = self._loop.create_future()
        self._waiting[result] = item
        if len(self._waiting) >= self._size:
            self._full.set()
        batch = CHUNK_BATCH.get(None)
        if batch is not None:
            batch.came(current_job().id, self._full)
        try:
            return await result
        finally:
            del self._waiting[result]
            if not self._waiting and not self._task.done():
                self._task.cancel()
                await asyncio.wait({self._task})

    async def _run(self) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                await self._full.wait()
        except TimeoutError:
            pass
        self._is_begun = True
        asked = dict(self._waiting)
        try:
            results = self._checked(await self._work(list(asked.values())), len(asked))
        except BaseException as error:  # noqa: BLE001 - any error of the function fails each of its jobs
            results = [error] * len(asked)
        for future, result in zip(asked, results, strict=True):
            _resolve(future, result)

    def _checked(self, results: object, count: int) -> Sequence[Any]:
        """Return a result for each item. Raises `BadAnswer`."""
        if results is None:
            return [None] * count
        if isinstance(results, Sequence) and not isinstance(results, str) and len(results) == count:
            return results
        found = f"{len(results)} results" if isinstance(results, list | tuple) else type(results).__name__
        what = f"the chunk worker {self._name!r}"
        raise BadAnswer(what, f"returned {found} for {count} jobs: return a list with one for each, or None")


def _resolve(future: asyncio.Future[Any], result: object) -> None:
    if future.done():
        return
    # A future does not accept StopIteration, and GeneratorExit would close the waiting coroutine.
    if isinstance(result, StopIteration | GeneratorExit):
        error = RuntimeError(f"the chunk raised {describe(result)}")
        error.__cause__ = result
        future.set_exception(error)
    elif isinstance(result, BaseException):
        future.set_exception(result)
    else:
        future.set_result(result)


def _pretend(one: Callable[..., object], function: Callable[..., object], name: str) -> None:
    """Give the function of one item the name and docstring of the user's function, and annotations for one item."""
    one.__module__, one.__name__, one.__qualname__ = function.__module__, function.__name__, function.__qualname__
    one.__doc__ = function.__doc__
    try:
        hints = get_type_hints(function, include_extras=True)
    except (NameError, TypeError, SyntaxError) as error:
        why = f"its annotations cannot be read ({error}): name types that stand above it"
        raise BadWorker(name, why) from None
    many = [hint for key, hint in hints.items() if key != "return"]
    if len(inspect.signature(function).parameters) != 1 or not many or not get_args(many[0]):
        raise BadWorker(name, "it takes chunks: give it one parameter, annotated as a list, such as items: list[int]")
    one.__annotations__ = {"item": get_args(many[0])[0], "return": _of_one(hints.get("return", Any))}


def _of_one(hint: Any) -> Any:
    """Return the annotation of the result of one job, made from the function's annotation."""
    lists = [each for each in union_members(hint) if each is not type(None)]
    if not lists:
        return None
    found = get_args(lists[0])
    kept = [each for each in union_members(found[0]) if not _is_no_result(each)] if found else [Any]
    return Union[tuple(kept)] if kept else None  # noqa: UP007 - made of what is found


def _is_no_result(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, _NO_RESULTS)
