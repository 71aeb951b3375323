"""`DatabaseThread`: owns one connection of a sync driver, and runs calls with it, in groups."""

import asyncio
import concurrent.futures
import os
import queue
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Generic, NoReturn, TypeVar

from typing_extensions import override

from headrace.database.forking import Forkable, add_fork_hooks
from headrace.errors import HeadraceError
from headrace.telemetry.events import LOG

C = TypeVar("C")
R = TypeVar("R")

GROUP_LIMIT: Final = 1000
"""Calls in one transaction at most, so that the first of many does not wait for ever."""


class CommitUnknown(HeadraceError):
    """A connection was lost during a commit: the change may be there or not."""

    def __init__(self, database: str) -> None:
        self.database = database
        super().__init__(
            f"the connection to the database {database} was lost during a commit, which may have happened: "
            "look whether the change is there before you repeat it"
        )


@dataclass(slots=True, eq=False)
class QueuedCall(Generic[R]):
    """One call, and the future of its result: on an event loop, or for a thread."""

    work: Callable[[Any], R]  # the thread decides the type of its connection
    loop: asyncio.AbstractEventLoop | None
    done: "asyncio.Future[R] | concurrent.futures.Future[R]"
    is_durable: bool = False
    unwanted: Callable[[R], None] | None = None
    result: "R | None" = None
    error: BaseException | None = None

    def deliver(self) -> None:
        """Set the result or the error of the future; a result whose caller was cancelled goes to `unwanted`."""
        if self.done.done():
            if self.unwanted is not None and self.error is None:
                self.unwanted(self.result)  # type: ignore[arg-type] # as below
        elif self.error is not None:
            self.done.set_exception(self.error)
        else:
            self.done.set_result(self.result)  # type: ignore[arg-type] # without an error there is a result


@dataclass(slots=True, eq=False)
class _PeriodicCall:
    """A call that repeats, in seconds of the monotonic clock."""

    work: Callable[[Any], object]
    every_seconds: float
    due_at: float = 0.0


class DatabaseThread(Forkable, ABC, Generic[C]):
    """A connection to a database, and the thread that runs calls with it, in groups, until it is closed.

    A forked child has no such thread: it starts its own with its first call. Calls that the parent waits for stay the
    parent's.
    """

    name: ClassVar[str]
    """What the thread does, for its name."""

    def __init__(self, database: str) -> None:
        """`database` is its name, for the name of the thread."""
        self._database = database
        self._connection_lock = threading.Lock()
        """Held by the thread while it uses the connection."""
        self._is_closed = False
        self._was_started = False
        self._was_opened = False
        """Whether the database could be opened, so that periodic calls run."""
        self._periodic: list[_PeriodicCall] = []
        self._pid = os.getpid()
        self._renew()

    def _renew(self) -> None:
        self._waiting: queue.SimpleQueue[QueuedCall[object] | None] = queue.SimpleQueue()
        self._is_taking_lock = threading.Lock()
        self._ended: concurrent.futures.Future[None] = concurrent.futures.Future()
        name = f"headrace {self.name} {self._database}"
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)

    async def start(self) -> None:
        """Open the database, in the thread. Raises a HeadraceError; close it then, too."""
        self._start()
        await self.run(lambda _: None)

    def _start(self) -> None:
        if not self._was_started:
            add_fork_hooks(self)
        self._was_started = True
        self._ended.set_running_or_notify_cancel()  # a cancelled wait for its end does not cancel the future
        self._thread.start()

    @override
    def after_fork_in_child(self) -> None:
        self._connection_lock = threading.Lock()
        self._renew()

    def every(self, seconds: float, task: Callable[[C], object]) -> None:
        """Run `task` about every `seconds`, whether or not there is anything else to write. Call it before `start`.

        A task that fails is logged, and runs again when it is due. None runs before the database could be opened.
        """
        self._periodic.append(_PeriodicCall(task, seconds))

    async def run(
        self, work: Callable[[C], R], *, is_durable: bool = True, unwanted: Callable[[R], None] | None = None
    ) -> R:
        """Run `work` in the next transaction, and return its result once that has ended. Raises its errors.

        On cancellation the work may run all the same, as a whole or not at all; if it does, `unwanted` gets its result,
        on the loop. Raises a HeadraceError when the database cannot be used.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[R] = loop.create_future()
        self._put(QueuedCall(work, loop, done, is_durable, unwanted))
        return await done

    def begin(self, work: Callable[[C], R]) -> "asyncio.Future[R]":
        """Run `work` in the next transaction, not durably; return a future of the running loop."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[R] = loop.create_future()
        self._put(QueuedCall(work, loop, done))
        return done

    def post(self, work: Callable[[C], object]) -> None:
        """Run `work` in the next transaction, not durably, without waiting for it; not at all once it is closed."""
        with suppress(HeadraceError):
            self._put(QueuedCall(work, None, concurrent.futures.Future()))

    def run_sync(self, work: Callable[[C], R], *, is_durable: bool = True) -> R:
        """Thread-safe version of `run` that blocks, for any thread but its own."""
        done: concurrent.futures.Future[R] = concurrent.futures.Future()
        self._put(QueuedCall(work, None, done, is_durable))
        return done.result()

    def close(self) -> None:
        """Run the accepted calls, then close the connection; block until then. A second call does nothing.

        Calls that wait for the database fail.
        """
        if self._stop() and self._thread is not threading.current_thread():
            self._thread.join()

    async def aclose(self) -> None:
        """Version of `close` that does not block the event loop."""
        if self._stop():
            await asyncio.wrap_future(self._ended)

    @abstractmethod
    def _run(self, calls: "Sequence[QueuedCall[object]]") -> None:
        """Run a group of calls; set the result or the error of each. The thread holds `_connection_lock`."""

    @abstractmethod
    def _disconnect(self) -> None:
        """Close the connection, if there is one."""

    @abstractmethod
    def _refuse(self, why: str, advice: str) -> NoReturn:
        """Raise the error for a call that cannot be accepted."""

    def _check_accepts(self) -> None:
        """Refuse calls once it is closed."""
        if self._is_closed:
            self._refuse("it is closed", "use it before its store is closed, or open it again")

    def _serve_next(self) -> bool:
        """Run the next group of calls; return whether more may come."""
        due_calls = self._due_calls()
        calls, is_open = self._take(0.0 if due_calls else self._seconds_to_next())
        with self._connection_lock:
            self._run(due_calls + calls)
        deliver(calls)
        for call in due_calls:
            if call.error is not None:
                LOG.warning(
                    "a periodic task of the database %s failed, and runs again when it is due: %r",
                    self._database,
                    call.error,
                )
        return is_open

    def _has_periodic(self) -> bool:
        """Return whether this OS process has periodic calls: a forked child does not run its parent's."""
        return bool(self._periodic) and self._was_opened and os.getpid() == self._pid

    def _due_calls(self) -> "list[QueuedCall[object]]":
        if not self._has_periodic():
            return []
        now = time.monotonic()
        due = [task for task in self._periodic if now >= task.due_at]
        for task in due:
            task.due_at = now + task.every_seconds
        return [QueuedCall(task.work, None, concurrent.futures.Future()) for task in due]

    def _seconds_to_next(self) -> float | None:
        if not self._has_periodic():
            return None
        return max(0.0, min(task.due_at for task in self._periodic) - time.monotonic())

    def _take(self, timeout_seconds: float | None) -> "tuple[list[QueuedCall[object]], bool]":
        """Wait for a call or for the timeout; return all waiting calls, and whether more may come."""
        try:
            first = self._waiting.get(timeout=timeout_seconds)
        except queue.Empty:
            return [], True
        if first is None:
            return [], False
        calls = [first]
        try:
            while len(calls) < GROUP_LIMIT:
                call = self._waiting.get_nowait()
                if call is None:
                    return calls, False
                calls.append(call)
        except queue.Empty:
            pass
        return calls, True

    def _put(self, call: QueuedCall[R]) -> None:
        with self._is_taking_lock:  # no call comes in behind the end of the queue
            self._check_accepts()
            if self._thread.ident is None:
                if not self._was_started:
                    self._refuse("it is not open", "open its store first")
                self._start()
            self._waiting.put(call)  # type: ignore[arg-type] # only the call itself uses the type of its result

    def _stop(self) -> bool:
        """Ask the thread to end; return whether there is one."""
        with self._is_taking_lock:
            if not self._is_closed:
                self._is_closed = True
                self._waiting.put(None)
        return self._thread.ident is not None

    def _serve(self) -> None:
        try:
            while self._serve_next():
                pass
            with self._connection_lock:
                self._disconnect()
        finally:
            self._ended.set_result(None)


def deliver(calls: Sequence[QueuedCall[object]]) -> None:
    """Deliver the results of calls, with one wake-up for each loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[QueuedCall[object]]] = {}
    for call in calls:
        if call.loop is None:
            call.deliver()
        else:
            by_loop.setdefault(call.loop, []).append(call)
    for loop, its_calls in by_loop.items():
        try:
            loop.call_soon_threadsafe(_deliver_all, its_calls)
        except RuntimeError:  # the loop is closed, and its callers with it
            LOG.debug("%d calls of a database ended after their loop was closed", len(its_calls))


def _deliver_all(calls: Sequence[QueuedCall[object]]) -> None:
    for call in calls:
        call.deliver()
