"""Opens a SQLite file, translates its errors, and queues calls for its threads."""

import asyncio
import concurrent.futures
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, TypeVar

from typing_extensions import override

from headrace.database.forking import Forkable, add_fork_hooks
from headrace.errors import HeadraceError
from headrace.telemetry.events import LOG

R = TypeVar("R")

BUSY_SECONDS: Final = 5.0
"""After how long it is said that the file is locked, and given up by who is being closed."""

LOG_EVERY: Final = 12
"""So many times as long passes between two sentences about a file that stays locked: a minute."""

OLDEST_SQLITE: Final = (3, 35)
"""The first one that returns what it changed, in the statement that changes it."""

PAUSES_SECONDS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02)
"""Between two attempts, the last one again and again; SQLite's own, up to 0.1 s, let who shares a file wait longer."""


class SqliteError(HeadraceError):
    """A SQLite file could not be used; `why` is SQLite's own word."""

    def __init__(self, path: Path, why: str, advice: str) -> None:
        self.path = path
        self.why = why
        super().__init__(f"the SQLite file {str(path)!r} cannot be used ({why}): {advice}")


class DiskFull(SqliteError):
    """A write found no room, on the disk or within a quota: nothing of it is there, and it can be tried again."""


_WAITING: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
"""What passes by itself, once another OS process is done."""

_ADVICE: Final = {
    sqlite3.SQLITE_FULL: "make room on the disk; what was not written was refused, and nothing is half written",
    sqlite3.SQLITE_READONLY: "give this user the right to write the file and its folder",
    sqlite3.SQLITE_PERM: "give this user the right to write the file and its folder",
    sqlite3.SQLITE_CANTOPEN: "see that its folder exists, and that this user may read and write there",
    sqlite3.SQLITE_IOERR: "see what the system says about the disk; nothing is half written",
    sqlite3.SQLITE_NOTADB: "name another file, or restore this one: it holds something else than a database",
    sqlite3.SQLITE_CORRUPT: "restore it from a copy, or save what can be read with sqlite3's .recover",
    sqlite3.SQLITE_TOOBIG: "keep what is this large somewhere else, and write down where; nothing of it was written",
    sqlite3.SQLITE_BUSY: "end the other program that keeps it locked",
}


_FULL: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE})
"""What SQLite says, in its extended codes, where a file cannot grow: of a quota it says that the disk has failed."""


def translated(path: Path, error: BaseException) -> BaseException:
    """Return the error as a sentence that says what to do, where it is about the file; else the error itself."""
    if isinstance(error, sqlite3.Error):
        code = _code(error)
        if code not in _ADVICE:
            return error
        kind = DiskFull if getattr(error, "sqlite_errorcode", None) in _FULL else SqliteError
        translated_error = kind(path, str(error), _ADVICE[code])
    elif isinstance(error, OSError):
        translated_error = SqliteError(path, str(error), "see that it can be read and written")
    else:
        return error
    translated_error.__cause__ = error
    return translated_error


def retry_while_locked(path: Path, step: Callable[[], R], is_abandoned: Callable[[], bool] = lambda: False) -> R:
    """Do what may find the file locked, as often as it takes; say so when that lasts.

    Raises SqliteError when it is locked still and `is_abandoned` says that nobody wants to wait any longer.
    """
    pauses, began, logged = iter(PAUSES_SECONDS), time.monotonic(), 0
    while True:
        try:
            done = step()
        except sqlite3.OperationalError as error:
            if _code(error) not in _WAITING:
                raise
            waited = int((time.monotonic() - began) / BUSY_SECONDS)
            if waited and is_abandoned():
                raise SqliteError(path, str(error), _ADVICE[sqlite3.SQLITE_BUSY]) from error
            if waited > logged:
                _log_locked(path, logged, waited)
                logged = waited
            time.sleep(next(pauses, PAUSES_SECONDS[-1]))
        else:
            if logged:
                LOG.warning("%s is no longer locked: going on", path)
            return done


def _log_locked(path: Path, logged: int, waited: int) -> None:
    if logged // LOG_EVERY < waited // LOG_EVERY or logged == 0:
        LOG.warning("%s has been locked by another program for %g s: still waiting", path, waited * BUSY_SECONDS)


class SqliteFile:
    """One connection to the file, for one thread at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._log = path.with_name(f"{path.name}-wal")
        self._inode = 0
        self._log_inode = 0

    def connect(self, *pragmas: str) -> sqlite3.Connection:
        """Open the file, in WAL mode, with what else is set for the connection."""
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            why = f"this Python has SQLite {sqlite3.sqlite_version}"
            raise SqliteError(self.path, why, "run a Python that has 3.35 or newer")
        self._log_inode = 0
        if self._inode:  # it is opened again after a fork: it has to be the same file still
            self.check()
        connection = sqlite3.connect(
            self.path, timeout=0.0, isolation_level=None, cached_statements=256, check_same_thread=False
        )
        try:
            for pragma in ("journal_mode = WAL", *pragmas):
                retry_while_locked(self.path, lambda text=pragma: connection.execute(f"PRAGMA {text}"))  # type: ignore[misc] # bound now
            self._inode = self.path.stat().st_ino
        except BaseException:
            connection.close()
            raise
        return connection

    def check(self) -> None:
        """Raise SqliteError when the file or its log is not the one that was opened: it writes to no disk then."""
        if _inode(self.path) != self._inode:
            raise SqliteError(self.path, "it was deleted or replaced while it was open", "restore it, then start again")
        if self._log_inode and _inode(self._log) != self._log_inode:
            raise SqliteError(self.path, f"{self._log.name} was deleted or replaced while it was open", _LOG_ADVICE)

    def remember_log(self) -> None:
        """Remember which file is SQLite's log; call it once a transaction has begun, since then the log is open."""
        if not self._log_inode:
            self._log_inode = _inode(self._log)


_LOG_ADVICE: Final = (
    "nothing more is written; stop each process that has it open with SIGTERM, not with SIGKILL: "
    "at its end SQLite still moves into the file what the log held"
)


def _inode(path: Path) -> int:
    """Return the number of a file, or 0 where there is none."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0


def _code(error: sqlite3.Error) -> int:
    """Return SQLite's primary code; what Python itself raises has none."""
    code = getattr(error, "sqlite_errorcode", None)
    return code & 0xFF if isinstance(code, int) else -1


DatabaseWork = Callable[[sqlite3.Connection], R]
"""What is done with the connection, inside a transaction that others may share: it must not commit.

It may be done twice, when another one of the same transaction fails: what it changes beside the file must bear that.
"""

GROUP_LIMIT: Final = 1000
"""Works in one transaction at most, so that the first of many does not wait for ever."""

FORK_SECONDS: Final = 1.0
"""How long a fork waits for the end of a transaction; after that the child may not use the file."""

_FORK_ADVICE: Final = "start OS processes before the file is opened, or with multiprocessing's spawn"


@dataclass(slots=True, eq=False)
class QueuedCall(Generic[R]):
    """One call, and where its result is delivered: on an event loop, or in a thread."""

    work: DatabaseWork[R]
    loop: asyncio.AbstractEventLoop | None
    done: "asyncio.Future[R] | concurrent.futures.Future[R]"
    is_durable: bool = False
    unwanted: Callable[[R], None] | None = None
    result: "R | None" = None
    error: BaseException | None = None

    def deliver(self) -> None:
        """Tell how it ended; when nobody waits any more, hand the result to who is to clean up behind them."""
        if self.done.done():
            if self.unwanted is not None and self.error is None:
                self.unwanted(self.result)  # type: ignore[arg-type] # as below
        elif self.error is not None:
            self.done.set_exception(self.error)
        else:
            self.done.set_result(self.result)  # type: ignore[arg-type] # without an error there is a result


class CallQueue(Forkable):
    """Takes calls for a thread, until closed; the thread takes them in groups, and tells how they ended.

    A forked child has no such thread: it starts its own with its first call. What the parent still waits for is the
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
        self._waiting: queue.SimpleQueue[QueuedCall[object] | None] = queue.SimpleQueue()
        self._is_taking_lock = threading.Lock()
        self._ended: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        if not self._was_started:
            add_fork_hooks(self)
        self._was_started = True
        self._ended.set_running_or_notify_cancel()  # who is cancelled while they wait for its end does not undo that
        self._thread.start()

    @override
    def before_fork(self) -> None:
        self._is_parked = self.connection_lock.acquire(timeout=FORK_SECONDS)
        if self._is_parked and not self._is_inherited:
            self._disconnect()

    @override
    def after_fork_in_parent(self) -> None:
        if self._is_parked:
            self.connection_lock.release()

    @override
    def after_fork_in_child(self) -> None:
        self._is_inherited = self._is_inherited or not self._is_parked
        self.connection_lock = threading.Lock()
        self._renew()

    async def run(
        self, work: DatabaseWork[R], *, is_durable: bool = False, unwanted: Callable[[R], None] | None = None
    ) -> R:
        """Have `work` done, and return its result. Raises what it raises, and SqliteError.

        When the caller is cancelled and the work is done all the same, `unwanted` gets the result, on the loop.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[R] = loop.create_future()
        self._put(QueuedCall(work, loop, done, is_durable, unwanted))
        return await done

    def begin(self, work: DatabaseWork[R]) -> "asyncio.Future[R]":
        """Run `work` in the thread; return a future of the running loop for its result. Raises SqliteError."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[R] = loop.create_future()
        self._put(QueuedCall(work, loop, done))
        return done

    def post(self, work: DatabaseWork[object]) -> None:
        """Have `work` done, and wait for nothing; when it is closed it is not."""
        with suppress(SqliteError):
            self._put(QueuedCall(work, None, concurrent.futures.Future()))

    def run_sync(self, work: DatabaseWork[R], *, is_durable: bool = False) -> R:
        """Do the same from any other thread, and wait."""
        done: concurrent.futures.Future[R] = concurrent.futures.Future()
        self._put(QueuedCall(work, None, done, is_durable))
        return done.result()

    def close(self) -> None:
        """Take no more; wait until what was taken is done and the thread has ended. A second time does nothing."""
        if self._stop() and self._thread is not threading.current_thread():
            self._thread.join()

    async def aclose(self) -> None:
        """Do the same without holding up the event loop."""
        if self._stop():
            await asyncio.wrap_future(self._ended)

    def take(self, timeout_seconds: float | None) -> "tuple[list[QueuedCall[object]], bool]":
        """Return all that waits, once there is any or the time is up; and whether more may come."""
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
        with self._is_taking_lock:  # what comes in before the end is told; nothing comes in behind it
            if self.is_closed:
                raise SqliteError(self.path, "it is closed", "use it before its store is closed, or open it again")
            if self._is_inherited:
                raise SqliteError(self.path, "this OS process was forked in the middle of a write", _FORK_ADVICE)
            if self._thread.ident is None:
                if not self._was_started:
                    raise SqliteError(self.path, "it is not open", "open its store first")
                self.start()
            self._waiting.put(call)  # type: ignore[arg-type] # an call's kind of result is its own affair

    def _stop(self) -> bool:
        """Ask the thread to end; return whether there is one."""
        with self._is_taking_lock:
            if not self.is_closed:
                self.is_closed = True
                self._waiting.put(None)
        return self._thread.ident is not None

    def _run(self) -> None:
        try:
            self._serve()
        finally:
            self._ended.set_result(None)


def deliver(calls: Sequence[QueuedCall[object]]) -> None:
    """Tell all whose work has ended, with one wake-up for each loop."""
    of_loops: dict[asyncio.AbstractEventLoop, list[QueuedCall[object]]] = {}
    for call in calls:
        if call.loop is None:
            call.deliver()
        else:
            of_loops.setdefault(call.loop, []).append(call)
    for loop, ended in of_loops.items():
        try:
            loop.call_soon_threadsafe(_deliver_all, ended)
        except RuntimeError:  # the loop is closed: nobody waits any more
            LOG.debug("%d works on a SQLite file ended after their loop was closed", len(ended))


def _deliver_all(calls: Sequence[QueuedCall[object]]) -> None:
    for call in calls:
        call.deliver()


class FileChanges:
    """Compares SQLite's log file with how it was before: each commit writes to it.

    A file system counts time in ticks of up to 10 ms, so a second commit in one tick leaves no trace. Each change is
    therefore reported twice; ask no more often than every 10 ms, and none is missed.
    """

    def __init__(self, path: Path) -> None:
        self._log = f"{path}-wal"
        self._was: tuple[int, int, int] | None = None
        self._is_recent = False

    def has_changed(self) -> bool:
        """Return whether there may have been a commit since the last call, or since the one before it."""
        try:
            found = os.stat(self._log)  # noqa: PTH116 - half as long as Path.stat; it is called 25 times a second
            now = (found.st_mtime_ns, found.st_size, found.st_ino)
        except OSError:  # it is closed, or was deleted: who reads the file says so
            now = (0, 0, 0)
        was_recent, self._is_recent = self._is_recent, now != self._was
        self._was = now
        return self._is_recent or was_recent
