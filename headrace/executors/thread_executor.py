"""Runs sync functions in threads; `WorkerThread` is the pool of one."""

import asyncio
import contextvars
import inspect
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar, cast

from typing_extensions import override

from headrace.executors.call import Call, Raised, Returned, raised
from headrace.executors.errors import BadFunction
from headrace.executors.executor import Executor


@dataclass(frozen=True, slots=True)
class ThreadStatistics:
    """The counts of an executor: threads that are alive and busy, waiting calls, and calls by outcome."""

    limit: int
    alive: int
    busy: int
    waiting: int
    left: int
    returned: int
    raised: int


@dataclass(frozen=True, slots=True)
class _QueuedCall:
    """One call for a thread, and the loop that gets its outcome."""

    work: Callable[[], object]
    name: str
    loop: asyncio.AbstractEventLoop
    report: Callable[[Returned[object] | Raised], None]


class ThreadExecutor(Executor):
    """Runs `def` functions in at most `limit` threads, each in a copy of the context of its caller.

    A thread cannot be ended. When a caller is cancelled or out of time, the slot stays taken until the function
    returns: the call is in `Executor.left`, and `Call.ended` waits for its outcome. Threads start when they are first
    needed, are kept, and do not delay the end of the OS process.
    """

    def __init__(self, limit: int, *, name: str = "headrace-executor") -> None:
        """`name` is the beginning of the name of each thread."""
        super().__init__(limit)
        self._name = name
        self._queue: queue.SimpleQueue[_QueuedCall | None] = queue.SimpleQueue()
        self._alive = 0

    def statistics(self) -> ThreadStatistics:
        """Return the present counts."""
        return ThreadStatistics(
            limit=self.limit,
            alive=self._alive,
            busy=self._slots.taken,
            waiting=self._slots.waiting,
            left=len(self.left),
            returned=self._counts.returned,
            raised=self._counts.raised,
        )

    @override
    def resize(self, limit: int) -> None:
        super().resize(limit)
        self._shrink()

    @override
    async def aclose(self, *, timeout_seconds: float | None = 0.0) -> None:
        await self._drain(timeout_seconds)
        for call in self._calls:
            call.leave()
        self._shrink()

    @override
    def _begin(
        self, name: str, function: Callable[..., object] | str, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> Call[object]:
        if isinstance(function, str):
            raise BadFunction(name, "is a text: give a ThreadExecutor the function itself")
        if inspect.iscoroutinefunction(function):
            raise BadFunction(name, "is an async def, which blocks nobody: await it, or run it in a ProcessExecutor")
        call: Call[object] = Call(name, None)
        work = partial(contextvars.copy_context().run, partial(function, *args, **kwargs))
        queued = _QueuedCall(work, name, asyncio.get_running_loop(), partial(self._finished, call))
        if self._slots.taken > self._alive:
            self._start_thread()
        self._queue.put(queued)
        return call

    def _finished(self, call: Call[object], outcome: Returned[object] | Raised) -> None:
        self._slots.give_back()
        self._count_outcome(call, outcome)
        self._shrink()

    def _start_thread(self) -> None:
        thread = threading.Thread(target=_serve, args=(self._queue,), name=f"{self._name}-{self._alive}", daemon=True)
        thread.start()
        self._alive += 1

    def _shrink(self) -> None:
        """End the threads that are not needed any more."""
        wanted = self._slots.taken if self._is_closed else max(self._slots.taken, self.limit)
        while self._alive > wanted:
            self._alive -= 1
            self._queue.put(None)


def _serve(calls: "queue.SimpleQueue[_QueuedCall | None]", *, outlives_loop: bool = False) -> None:
    """Run calls one after another until stopped: the body of a thread."""
    while (queued := calls.get()) is not None:
        outcome: Returned[object] | Raised
        try:
            outcome = Returned(queued.work())
        except BaseException as error:  # noqa: BLE001 - the caller gets the error
            outcome = raised(queued.name, error)
        try:
            queued.loop.call_soon_threadsafe(queued.report, outcome)
        except RuntimeError:  # the loop is closed, so no caller waits
            if not outlives_loop:
                return
        del queued, outcome  # an idle thread must not keep objects alive


T = TypeVar("T")


def _nothing() -> None:
    """Do nothing."""


class WorkerThread:
    """Runs calls one after another in a thread of its own, in their order.

    It is a daemon thread: a call that never returns (a dead disk, a pipe without a reader) delays neither a drain nor
    the end of the OS process, as the loop's own thread pool would. Make, start, use and close it in the thread of the
    running loop.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[_QueuedCall | None] = queue.SimpleQueue()
        body = partial(_serve, self._queue, outlives_loop=True)
        self._thread = threading.Thread(target=body, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def call(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        """Run one call; the future gets its result or error. A cancelled future does not stop the call."""
        future: asyncio.Future[object] = self._loop.create_future()
        future.add_done_callback(_seen)
        self._queue.put(_QueuedCall(work, self._name, self._loop, partial(_resolve, future)))
        return cast("asyncio.Future[T]", future)

    def close(self, last: Callable[[], None] = _nothing) -> None:
        """Run one last call, which must not raise, and then end the thread, without waiting."""
        self.call(last)
        self._queue.put(None)


def _seen(future: "asyncio.Future[object]") -> None:
    """Keep asyncio from logging the error of a call that no stage waits for any more."""
    if not future.cancelled():
        future.exception()


def _resolve(future: "asyncio.Future[object]", outcome: Returned[object] | Raised) -> None:
    if future.done():
        return
    if isinstance(outcome, Raised):
        future.set_exception(outcome.error)
    else:
        future.set_result(outcome.result)
