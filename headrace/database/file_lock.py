"""`FileLock`: a lock on a file for one owner at a time; another owner learns who holds it."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from typing_extensions import override

from headrace.database.forking import Forkable, add_fork_hooks
from headrace.telemetry.events import LOG


class FileLock(Forkable):
    """A lock with one owner at a time among all OS processes of a machine. It is freed when its OS process is killed.

    The lock is a file of its own beside the locked one, since SQLite loses its locks where other code of the OS process
    closes its file. The owner removes the lock file; a file that a killed owner left behind does no harm.
    """

    def __init__(self, path: Path) -> None:
        self._path = Path(f"{os.path.realpath(path)}.lock")
        self._file = -1

    def take(self) -> str | None:
        """Take the lock and return None, or return the name of its owner.

        Raises OSError when the folder is missing or may not be written. Where the file system has no locks, this is
        logged.
        """
        while True:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                _lock(file, self._path)
                if self._is_there(file):
                    self._sign(file)
                    self._file, file = file, -1
                    add_fork_hooks(self)
                    return None
            except BlockingIOError:
                return _holder(os.pread(file, 20, 0))
            finally:
                if file >= 0:
                    os.close(file)

    def release(self) -> None:
        """Release the lock, if it is held."""
        file, self._file = self._file, -1
        if file >= 0:
            if self._is_there(file):
                with suppress(OSError):
                    self._path.unlink()
            os.close(file)

    @override
    def after_fork_in_child(self) -> None:
        # the child's copy would keep the lock after the death of the parent
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def _is_there(self, file: int) -> bool:
        """Return whether the open file is still the lock file: an owner that released the lock has removed it."""
        try:
            return os.path.samestat(self._path.stat(), os.fstat(file))
        except OSError:
            return False

    def _sign(self, file: int) -> None:
        with suppress(OSError):  # the disk is full: the message to another owner lacks the process id
            os.ftruncate(file, 0)
            os.pwrite(file, f"{os.getpid()}\n".encode(), 0)


def _lock(file: int, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:  # a network file system may have no locks
        LOG.warning("%s cannot be locked (%s): make sure that no other run uses that file", path, error.strerror)


def _holder(content: bytes) -> str:
    number = content.strip().decode(errors="replace")
    if number == str(os.getpid()):
        return "another stage or run of this OS process"
    return f"another run (process {number})" if number.isdecimal() else "another run"
