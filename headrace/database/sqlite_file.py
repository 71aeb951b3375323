"""Opens a SQLite file, waits while it is locked, translates its errors, and notices changes."""

import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from headrace.errors import HeadraceError
from headrace.telemetry.events import LOG

R = TypeVar("R")

BUSY_SECONDS: Final = 5.0
"""After this time the log names the locked file, and a connection that is being closed stops waiting."""

LOG_EVERY: Final = 12
"""The log repeats this after 12 times BUSY_SECONDS: each minute."""

OLDEST_SQLITE: Final = (3, 35)
"""The first version in which a statement can return the rows that it changes."""

PAUSES_SECONDS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02)
"""Between two attempts, the last one repeatedly; SQLite's own pauses, up to 0.1 s, delay others on the file longer."""


class SqliteError(HeadraceError):
    """A SQLite file could not be used; `why` is SQLite's own text."""

    def __init__(self, path: Path, why: str, advice: str) -> None:
        self.path = path
        self.why = why
        super().__init__(f"the SQLite file {str(path)!r} cannot be used ({why}): {advice}")


class DiskFull(SqliteError):
    """The disk or a quota is full: nothing of the write is there, and it can be tried again."""


_WAITING: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
"""Errors that pass once another OS process has finished."""

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
"""SQLite's extended codes where a file cannot grow: for a quota it reports that the disk has failed."""


def translated(path: Path, error: BaseException) -> BaseException:
    """Return an error about the file as a SqliteError, whose sentence advises; any other error as it is."""
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
    """Run a step again until the file is not locked; log it when that takes long.

    Raises SqliteError when the file is still locked after BUSY_SECONDS and `is_abandoned`.
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
        """Open the file in WAL mode, with more pragmas for the connection."""
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            why = f"this Python has SQLite {sqlite3.sqlite_version}"
            raise SqliteError(self.path, why, "run a Python that has 3.35 or newer")
        self._log_inode = 0
        if self._inode:  # opened again after a fork: it must still be the same file
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
        """Raise SqliteError when the file or its log is not the one that was opened: writes would reach no file."""
        if _inode(self.path) != self._inode:
            raise SqliteError(self.path, "it was deleted or replaced while it was open", "restore it, then start again")
        if self._log_inode and _inode(self._log) != self._log_inode:
            raise SqliteError(self.path, f"{self._log.name} was deleted or replaced while it was open", _LOG_ADVICE)

    def remember_log(self) -> None:
        """Remember the inode of SQLite's log; call it in a transaction, since then the log is open."""
        if not self._log_inode:
            self._log_inode = _inode(self._log)


_LOG_ADVICE: Final = (
    "nothing more is written; stop each process that has it open with SIGTERM, not with SIGKILL: "
    "at its end SQLite still moves into the file what the log held"
)


def _inode(path: Path) -> int:
    """Return the inode of a file, or 0 where there is none."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0


def _code(error: sqlite3.Error) -> int:
    """Return SQLite's primary code; errors of Python itself have none."""
    code = getattr(error, "sqlite_errorcode", None)
    return code & 0xFF if isinstance(code, int) else -1


class FileChanges:
    """Compares SQLite's log file with its former state: each commit writes to it.

    A file system counts time in ticks of up to 10 ms, so a second commit in one tick leaves no trace. Each change is
    therefore reported twice; ask no more often than every 10 ms, and none is missed.
    """

    def __init__(self, path: Path) -> None:
        self._log = f"{path}-wal"
        self._was: tuple[int, int, int] | None = None
        self._is_recent = False

    def has_changed(self) -> bool:
        """Return whether there may have been a commit since the last call, or since the call before that."""
        try:
            found = os.stat(self._log)  # noqa: PTH116 - half as long as Path.stat; it is called 25 times a second
            now = (found.st_mtime_ns, found.st_size, found.st_ino)
        except OSError:  # it is closed, or was deleted: reading the file then raises
            now = (0, 0, 0)
        was_recent, self._is_recent = self._is_recent, now != self._was
        self._was = now
        return self._is_recent or was_recent
