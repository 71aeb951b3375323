"""The one thread that writes to a SQLite file: all that waits goes into one transaction, so that a commit is shared."""

import asyncio
import concurrent.futures
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, Literal, TypeVar

from headrace.ground.errors import HeadraceError
from headrace.ground.telemetry import LOG

R = TypeVar("R")

Synchronous = Literal["normal", "full"]
"""What a commit waits for (SQLite's words): "full" survives a power cut; of "normal" the last ones may not."""

Work = Callable[[sqlite3.Connection], R]
"""What is done with the connection, inside a transaction that others share: it must not commit."""

BUSY_SECONDS: Final = 5.0
"""How long one attempt waits for another OS process that writes; then it is said, and tried again."""

GROUP_LIMIT: Final = 1000
"""Works in one transaction at most, so that the first of many does not wait for ever."""


class SqliteError(HeadraceError):
    """A SQLite file could not be written; `why` is SQLite's own word."""

    def __init__(self, path: Path, why: str, advice: str) -> None:
        self.path = path
        self.why = why
        super().__init__(f"the SQLite file {str(path)!r} cannot be written ({why}): {advice}")


@dataclass(slots=True, eq=False)
class _Order(Generic[R]):
    """One work, and where its end is told: on an event loop, or in a thread."""

    work: Work[R]
    loop: asyncio.AbstractEventLoop | None
    done: "asyncio.Future[R] | concurrent.futures.Future[R]"
    result: "R | None" = None
    error: BaseException | None = None

    def tell(self) -> None:
        """Tell how it ended; whoever waits no longer is not told."""
        if self.done.done():
            return
        if self.error is not None:
            self.done.set_exception(self.error)
        else:
            self.done.set_result(self.result)  # type: ignore[arg-type] # without an error there is a result


class SqliteWriter:
    """Owns the connection that writes, and the thread in which it does.

    What was accepted is either committed when its future is done, or its future holds why not; nothing in between. A
    work that raises undoes itself alone.
    """

    def __init__(self, path: Path, *, synchronous: Synchronous = "full", opened: Work[None] | None = None) -> None:
        """`opened` is run once, in the first transaction: it makes the tables."""
        self.path = path
        self._synchronous = synchronous
        self._opened = opened
        self._orders: queue.SimpleQueue[_Order[object] | None] = queue.SimpleQueue()
        self._chores: list[tuple[float, float, Work[object]]] = []
        self._is_closed = False
        self._inode = 0
        self._thread = threading.Thread(target=self._run, name=f"headrace writes {path.name}", daemon=True)

    def start(self) -> None:
        """Open the file and make the tables, in the writer's thread. Raises what that raises."""
        self._thread.start()
        self.run_sync(lambda _: None)

    def every(self, seconds: float, chore: Work[object]) -> None:
        """Run `chore` about every `seconds`, whether or not there is anything else to write. Call it before `start`."""
        self._chores.append((0.0, seconds, chore))

    async def run(self, work: Work[R]) -> R:
        """Run `work` in the next transaction, and return its result once that is committed.

        On cancellation the work may be done all the same; it is done as a whole or not at all.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[R] = loop.create_future()
        self._put(_Order(work, loop, done))
        return await done

    def run_sync(self, work: Work[R]) -> R:
        """Do the same from any thread but the writer's own, and wait."""
        done: concurrent.futures.Future[R] = concurrent.futures.Future()
        self._put(_Order(work, None, done))
        return done.result()

    def close(self) -> None:
        """Write all that was accepted, then close the file; wait for both. A second time does nothing."""
        if not self._is_closed:
            self._is_closed = True
            self._orders.put(None)
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _put(self, order: _Order[R]) -> None:
        if self._is_closed:
            raise SqliteError(self.path, "it is closed", "write before the store is closed, or open it again")
        self._orders.put(order)  # type: ignore[arg-type] # an order's kind of result is its own affair

    def _run(self) -> None:
        """Write group after group, until closed."""
        connection: sqlite3.Connection | None = None
        is_open = True
        while is_open:
            orders, is_open = self._next_group()
            try:
                if connection is None:
                    connection = self._open()
                self._check_file()
                self._write(connection, orders)
            except (sqlite3.Error, SqliteError, OSError) as error:
                self._fail(orders, error)
            _tell(orders)
        if connection is not None:
            connection.close()

    def _next_group(self) -> "tuple[list[_Order[object]], bool]":
        """Wait for an order or a chore that is due; return all that waits, and whether more may come."""
        orders = self._due_chores()
        if not orders:
            try:
                first = self._orders.get(timeout=self._seconds_to_chore())
            except queue.Empty:
                return self._due_chores(), True
            if first is None:
                return [], False
            orders.append(first)
        try:
            while len(orders) < GROUP_LIMIT:
                order = self._orders.get_nowait()
                if order is None:
                    return orders, False
                orders.append(order)
        except queue.Empty:
            pass
        return orders, True

    def _due_chores(self) -> "list[_Order[object]]":
        now = time.monotonic()
        due: list[_Order[object]] = []
        for position, (at, seconds, chore) in enumerate(self._chores):
            if now >= at:
                self._chores[position] = (now + seconds, seconds, chore)
                due.append(_Order(chore, None, concurrent.futures.Future()))
        return due

    def _seconds_to_chore(self) -> float | None:
        if not self._chores:
            return None
        return max(0.0, min(at for at, _, _ in self._chores) - time.monotonic())

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None, cached_statements=256)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        connection.execute("PRAGMA foreign_keys = ON")
        self._inode = self.path.stat().st_ino
        if self._opened is not None:
            self._begin(connection)
            self._opened(connection)
            connection.execute("COMMIT")
        return connection

    def _check_file(self) -> None:
        """Raise when the file is not the one that was opened: what is written then is on no disk."""
        try:
            is_there = self.path.stat().st_ino == self._inode
        except FileNotFoundError:
            is_there = False
        if not is_there:
            raise SqliteError(self.path, "it was deleted or replaced", "restore it, then start again")

    def _write(self, connection: sqlite3.Connection, orders: "list[_Order[object]]") -> None:
        """Do all works in one transaction; if one raises, undo that and do the others again, each by itself."""
        if not orders:
            return
        self._begin(connection)
        try:
            for order in orders:
                order.result = order.work(connection)
            connection.execute("COMMIT")
        except BaseException as error:  # noqa: BLE001 - whoever ordered the work is told
            _roll_back(connection)
            if len(orders) == 1:
                orders[0].error = self._translated(error)
            else:
                for order in orders:
                    self._write(connection, [order])

    def _begin(self, connection: sqlite3.Connection) -> None:
        """Begin to write; wait for other OS processes as long as they take."""
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
                LOG.warning("another process has been writing to %s for %g s: still waiting", self.path, BUSY_SECONDS)
            else:
                return

    def _fail(self, orders: "list[_Order[object]]", error: BaseException) -> None:
        for order in orders:
            order.error = self._translated(error)

    def _translated(self, error: BaseException) -> BaseException:
        """Return the error as a sentence that says what to do, where it is about the file."""
        if not isinstance(error, sqlite3.OperationalError | OSError):
            return error
        advice = next((say for word, say in _ADVICE.items() if word in str(error)), "see that it can be written")
        told = SqliteError(self.path, str(error), advice)
        told.__cause__ = error
        return told


_ADVICE: Final = {
    "full": "make room on the disk; what was not written was refused, and nothing is half written",
    "readonly": "give this user the right to write the file and its folder",
    "unable to open": "see that its folder exists and can be written",
    "locked": "end the other program that keeps it locked",
}


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _tell(orders: "list[_Order[object]]") -> None:
    """Tell all that was ordered, with one wake-up for each loop."""
    of_loops: dict[asyncio.AbstractEventLoop, list[_Order[object]]] = {}
    for order in orders:
        if order.loop is None:
            order.tell()
        else:
            of_loops.setdefault(order.loop, []).append(order)
    for loop, told in of_loops.items():
        try:
            loop.call_soon_threadsafe(_tell_all, told)
        except RuntimeError:  # the loop is closed: nobody waits any more
            LOG.debug("%d writes ended after their loop was closed", len(told))


def _tell_all(orders: "list[_Order[object]]") -> None:
    for order in orders:
        order.tell()
