"""A SQLite file: how it is opened, when it is no longer there, and what its errors mean to whoever has to mend them."""

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from headrace.errors import HeadraceError
from headrace.telemetry.events import LOG

R = TypeVar("R")

BUSY_SECONDS: Final = 5.0
"""After how long it is said that the file is locked, and given up by who is being closed."""

SAY_EVERY: Final = 12
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
        told = kind(path, str(error), _ADVICE[code])
    elif isinstance(error, OSError):
        told = SqliteError(path, str(error), "see that it can be read and written")
    else:
        return error
    told.__cause__ = error
    return told


def patiently(path: Path, step: Callable[[], R], is_given_up: Callable[[], bool] = lambda: False) -> R:
    """Do what may find the file locked, as often as it takes; say so when that lasts.

    Raises SqliteError when it is locked still and `is_given_up` says that nobody wants to wait any longer.
    """
    pauses, began, said = iter(PAUSES_SECONDS), time.monotonic(), 0
    while True:
        try:
            done = step()
        except sqlite3.OperationalError as error:
            if _code(error) not in _WAITING:
                raise
            waited = int((time.monotonic() - began) / BUSY_SECONDS)
            if waited and is_given_up():
                raise SqliteError(path, str(error), _ADVICE[sqlite3.SQLITE_BUSY]) from error
            if waited > said:
                _say_locked(path, said, waited)
                said = waited
            time.sleep(next(pauses, PAUSES_SECONDS[-1]))
        else:
            if said:
                LOG.warning("%s is no longer locked: going on", path)
            return done


def _say_locked(path: Path, said: int, waited: int) -> None:
    if said // SAY_EVERY < waited // SAY_EVERY or said == 0:
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
                patiently(self.path, lambda text=pragma: connection.execute(f"PRAGMA {text}"))  # type: ignore[misc] # bound now
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
