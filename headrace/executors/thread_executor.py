"""Runs sync functions in threads; `WorkerThread` is the pool of one."""

import asyncio
import contextvars
import inspect
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import TypeVar, cast

from typing_extensions import override

from headrace.executors.call import Call, Raised, Returned, raised
from headrace.executors.errors import BadFunction
from headrace.executors.executor import Executor


@dataclass(frozen=True, slots=True)
class ThreadStatistics:
    """The counts of an executor: threads that live and that run something, calls that wait, and how they ended."""

    limit: int
    alive: int
    busy: int
    waiting: int
    left: int
    returned: int
    raised: int


@dataclass(frozen=True, slots=True)
class _Order:
    """What a thread is to do, and on which loop it tells how that ended."""

    work: Callable[[], object]
    name: str
    loop: asyncio.AbstractEventLoop
    report: Callable[[Returned[object] | Raised], None]


class ThreadExecutor(Executor):
    """Runs `def` functions in at most `limit` threads, each in a copy of its caller's context.

    A thread cannot be ended. When the wait for a call is cancelled or too long, its slot stays taken until the function
    returns: `Executor.left` has the call, `Call.ended` tells how it ended. Threads are started when they are first
    needed, are kept, and do not hold up the end of the OS process.
    """

    def __init__(self, limit: int, *, name: str = "headrace-executor") -> None:
        """`name` begins the name of each thread."""
        super().__init__(limit)
        self._name = name
        self._orders: queue.SimpleQueue[_Order | None] = queue.SimpleQueue()
        self._alive = 0

    def statistics(self) -> ThreadStatistics:
        """Return the counts as they are now."""
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
        order = _Order(work, name, asyncio.get_running_loop(), partial(self._finished, call))
        if self._slots.taken > self._alive:
            self._start_thread()
        self._orders.put(order)
        return call

    def _finished(self, call: Call[object], outcome: Returned[object] | Raised) -> None:
        self._slots.give_back()
        self._count_outcome(call, outcome)
        self._shrink()

    def _start_thread(self) -> None:
        thread = threading.Thread(target=_serve, args=(self._orders,), name=f"{self._name}-{self._alive}", daemon=True)
        thread.start()
        self._alive += 1

    def _shrink(self) -> None:
        """End the threads that nothing could be given to."""
        wanted = self._slots.taken if self._is_closed else max(self._slots.taken, self.limit)
        while self._alive > wanted:
            self._alive -= 1
            self._orders.put(None)


def _serve(orders: "queue.SimpleQueue[_Order | None]") -> None:
    """The body of a thread: runs calls one after the other until it is stopped."""
    while (order := orders.get()) is not None:
        outcome: Returned[object] | Raised
        try:
            outcome = Returned(order.work())
        except BaseException as error:  # noqa: BLE001 - whoever waits is told
            outcome = raised(order.name, error)
        try:
            order.loop.call_soon_threadsafe(order.report, outcome)
        except RuntimeError:  # the loop of its executor is closed: no caller waits, and none comes
            return
        del order, outcome  # an idle thread keeps nothing alive


T = TypeVar("T")

BlockingCall = tuple[Callable[[], object], "asyncio.Future[object]"]


def _nothing() -> None:
    """Do nothing."""


class WorkerThread:
    """Makes calls one after another, in the order in which they were given.

    It is a daemon: a call that never returns (a dead disk, a pipe that nobody reads) holds up neither a drain nor the
    end of the OS process, as it would in the loop's own pool of threads. Start it, give it calls and close it in the
    thread of the loop that was running when it was made.
    """

    def __init__(self, name: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[BlockingCall | Callable[[], None]] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def start(self) -> None:
        """Begin to make calls."""
        self._thread.start()

    def call(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        """Make one call; the future gets what it returns or raises. A cancelled future does not stop a call."""
        future: asyncio.Future[object] = self._loop.create_future()
        future.add_done_callback(_seen)
        self._jobs.put((work, future))
        return cast("asyncio.Future[T]", future)

    def close(self, last: Callable[[], None] = _nothing) -> None:
        """Make one last call, which must not raise, and end the thread after it; wait for neither."""
        self._jobs.put(last)

    def _work(self) -> None:
        while isinstance(job := self._jobs.get(), tuple):
            work, future = job
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001 - it is raised where the future is awaited
                self._report(_failed, future, error)
            else:
                self._report(_done, future, result)
            del job, future
        job()

    def _report(
        self, report: Callable[["asyncio.Future[object]", T], None], future: "asyncio.Future[object]", what: T
    ) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(report, future, what)


def _seen(future: "asyncio.Future[object]") -> None:
    """Keep asyncio from reporting the error of a call that a stopped stage no longer waits for."""
    if not future.cancelled():
        future.exception()


def _done(future: "asyncio.Future[object]", result: object) -> None:
    if not future.done():
        future.set_result(result)


def _failed(future: "asyncio.Future[object]", error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
