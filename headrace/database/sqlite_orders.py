"""Works that were ordered of the thread of a SQLite file, from an event loop or from another thread."""

import asyncio
import concurrent.futures
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, TypeVar

from headrace.database.forking import add_fork_hooks
from headrace.database.sqlite_file import SqliteError
from headrace.telemetry.events import LOG

R = TypeVar("R")

Work = Callable[[sqlite3.Connection], R]
"""What is done with the connection, inside a transaction that others may share: it must not commit.

It may be done twice, when another one of the same transaction fails: what it changes beside the file must bear that.
"""

GROUP_LIMIT: Final = 1000
"""Works in one transaction at most, so that the first of many does not wait for ever."""

FORK_SECONDS: Final = 1.0
"""How long a fork waits for the end of a transaction; after that the child may not use the file."""

_FORK_ADVICE: Final = "start OS processes before the file is opened, or with multiprocessing's spawn"


@dataclass(slots=True, eq=False)
class Order(Generic[R]):
    """One work, and where its end is told: on an event loop, or in a thread."""

    work: Work[R]
    loop: asyncio.AbstractEventLoop | None
    done: "asyncio.Future[R] | concurrent.futures.Future[R]"
    is_durable: bool = False
    unwanted: Callable[[R], None] | None = None
    result: "R | None" = None
    error: BaseException | None = None

    def tell(self) -> None:
        """Tell how it ended; when nobody waits any more, hand the result to who is to clean up behind them."""
        if self.done.done():
            if self.unwanted is not None and self.error is None:
                self.unwanted(self.result)  # type: ignore[arg-type] # as below
        elif self.error is not None:
            self.done.set_exception(self.error)
        else:
            self.done.set_result(self.result)  # type: ignore[arg-type] # without an error there is a result


class Orders:
    """Takes orders for a thread, until closed; the thread takes them in groups, and tells how they ended.

    A forked child has no such thread: it starts its own with its first order. What the parent still waits for is the
    parent's alone.
    """

    def __init__(self, path: Path, serve: Callable[[], None], disconnect: Callable[[], None], name: str) -> None:
        """`serve` is what the thread does: take groups until there are no more.

        `disconnect` closes the connection, which the next group opens again; it is called at a fork, between two
        groups, in the thread that forks.
        """
        self.path = path
        self.is_closed = False
        self.connection_lock = threading.Lock()
        """Held by the thread while it uses the connection."""
        self._serve = serve
        self._disconnect = disconnect
        self._name = f"headrace {name} {path.name}"
        self._was_started = False
        self._is_inherited = False
        """Whether a fork carried the connection over, since it found it in use."""
        self._is_parked = False
        """Whether the thread that forks holds `connection_lock`."""
        self._renew()

    def _renew(self) -> None:
        self._waiting: queue.SimpleQueue[Order[object] | None] = queue.SimpleQueue()
        self._door = threading.Lock()
        self._ended: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        if not self._was_started:
            add_fork_hooks(self)
        self._was_started = True
        self._ended.set_running_or_notify_cancel()  # who is cancelled while they wait for its end does not undo that
        self._thread.start()

    def before_fork(self) -> None:
        """Close the connection; where it is in use for longer than FORK_SECONDS, the child may not use the file."""
        self._is_parked = self.connection_lock.acquire(timeout=FORK_SECONDS)
        if self._is_parked and not self._is_inherited:
            self._disconnect()

    def after_fork_in_parent(self) -> None:
        """Let the thread go on."""
        if self._is_parked:
            self.connection_lock.release()

    def after_fork_in_child(self) -> None:
        """Have the next order start a thread of this OS process."""
        self._is_inherited = self._is_inherited or not self._is_parked
        self.connection_lock = threading.Lock()
        self._renew()

    async def run(self, work: Work[R], *, is_durable: bool = False, unwanted: Callable[[R], None] | None = None) -> R:
        """Have `work` done, and return its result. Raises what it raises, and SqliteError.

        When the caller is cancelled and the work is done all the same, `unwanted` gets the result, on the loop.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[R] = loop.create_future()
        self._put(Order(work, loop, done, is_durable, unwanted))
        return await done

    def begin(self, work: Work[R]) -> "asyncio.Future[R]":
        """Have `work` done, and return what the running loop is told its end with. Raises SqliteError."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[R] = loop.create_future()
        self._put(Order(work, loop, done))
        return done

    def post(self, work: Work[object]) -> None:
        """Have `work` done, and wait for nothing; when it is closed it is not."""
        with suppress(SqliteError):
            self._put(Order(work, None, concurrent.futures.Future()))

    def run_sync(self, work: Work[R], *, is_durable: bool = False) -> R:
        """Do the same from any other thread, and wait."""
        done: concurrent.futures.Future[R] = concurrent.futures.Future()
        self._put(Order(work, None, done, is_durable))
        return done.result()

    def close(self) -> None:
        """Take no more; wait until what was taken is done and the thread has ended. A second time does nothing."""
        if self._stop() and self._thread is not threading.current_thread():
            self._thread.join()

    async def aclose(self) -> None:
        """Do the same without holding up the event loop."""
        if self._stop():
            await asyncio.wrap_future(self._ended)

    def take(self, timeout_seconds: float | None) -> "tuple[list[Order[object]], bool]":
        """Return all that waits, once there is any or the time is up; and whether more may come."""
        try:
            first = self._waiting.get(timeout=timeout_seconds)
        except queue.Empty:
            return [], True
        if first is None:
            return [], False
        orders = [first]
        try:
            while len(orders) < GROUP_LIMIT:
                order = self._waiting.get_nowait()
                if order is None:
                    return orders, False
                orders.append(order)
        except queue.Empty:
            pass
        return orders, True

    def _put(self, order: Order[R]) -> None:
        with self._door:  # what comes in before the end is told; nothing comes in behind it
            if self.is_closed:
                raise SqliteError(self.path, "it is closed", "use it before its store is closed, or open it again")
            if self._is_inherited:
                raise SqliteError(self.path, "this OS process was forked in the middle of a write", _FORK_ADVICE)
            if self._thread.ident is None:
                if not self._was_started:
                    raise SqliteError(self.path, "it is not open", "open its store first")
                self.start()
            self._waiting.put(order)  # type: ignore[arg-type] # an order's kind of result is its own affair

    def _stop(self) -> bool:
        """Ask the thread to end; return whether there is one."""
        with self._door:
            if not self.is_closed:
                self.is_closed = True
                self._waiting.put(None)
        return self._thread.ident is not None

    def _run(self) -> None:
        try:
            self._serve()
        finally:
            self._ended.set_result(None)


def tell(orders: Sequence[Order[object]]) -> None:
    """Tell all whose work has ended, with one wake-up for each loop."""
    of_loops: dict[asyncio.AbstractEventLoop, list[Order[object]]] = {}
    for order in orders:
        if order.loop is None:
            order.tell()
        else:
            of_loops.setdefault(order.loop, []).append(order)
    for loop, told in of_loops.items():
        try:
            loop.call_soon_threadsafe(_tell_all, told)
        except RuntimeError:  # the loop is closed: nobody waits any more
            LOG.debug("%d works on a SQLite file ended after their loop was closed", len(told))


def _tell_all(orders: Sequence[Order[object]]) -> None:
    for order in orders:
        order.tell()
