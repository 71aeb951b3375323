"""`OwnerLocks`: the kernel shows at once that the OS process of an owner has died, without any clock."""

import fcntl
import os
import struct
import sys
from hashlib import sha256
from pathlib import Path
from typing import Final

from typing_extensions import override

from headrace.database.forking import Forkable, add_fork_hooks
from headrace.telemetry.events import LOG

_FLOCK: Final = "hhqqi4x"
"""The C struct flock of Linux: type, whence, start, length, pid."""


class OwnerLocks(Forkable):
    """Locks one byte of a file for each owner. The kernel releases it when the OS process ends, however it ends.

    The file `NAME-owners` stands beside the shared file, since SQLite loses its locks where other code closes its file.
    The locks belong to open files (Linux, `F_OFD_SETLK`), so that containers that share the file see them in any pid
    namespace. Without such locks each answer is None, and heartbeats decide.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1
        self._locked: set[str] = set()
        self.file_id: int | None = None
        """The inode of the file, stored with each owner; None where locks cannot be used."""

    def open(self) -> None:
        """Open or make the file. A failure is logged, and heartbeats decide which owners are alive."""
        path = f"{os.path.realpath(self._path)}-owners"
        if sys.platform != "linux":
            return
        try:
            beside, self._file = self._path.stat(), os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            own = os.fstat(self._file)
            self.file_id = own.st_ino
            if own.st_uid == os.geteuid():  # users who may write the database may lock this file, as in SQLite
                os.fchmod(self._file, beside.st_mode & 0o777)
                if own.st_uid == 0:
                    os.fchown(self._file, beside.st_uid, beside.st_gid)
            self._call(fcntl.F_OFD_GETLK, "")
        except OSError as error:
            text = "%s cannot be locked (%s): jobs of a process that died are seen after 15 s rather than at once"
            LOG.warning(text, path, error.strerror)
            self._forget()
        else:
            add_fork_hooks(self)

    def lock(self, owner: str) -> None:
        """Lock the byte of an owner of this OS process, until `release` or the end of the process."""
        if self.file_id is not None and owner not in self._locked:
            self._call(fcntl.F_OFD_SETLK, owner)
            self._locked.add(owner)

    def release(self, owner: str) -> None:
        """Release the lock of an owner, if it is held here."""
        if owner in self._locked:
            self._locked.discard(owner)
            self._call(fcntl.F_OFD_SETLK, owner, fcntl.F_UNLCK)

    def is_alive(self, owner: str, file_id: int | None) -> bool | None:
        """Return whether an owner that locked a byte of the file `file_id` is alive; None if unknown."""
        if owner in self._locked:
            return True
        if self.file_id is None or file_id != self.file_id:
            return None
        return self._call(fcntl.F_OFD_GETLK, owner) != fcntl.F_UNLCK

    def close(self) -> None:
        """Release all locks, and close the file."""
        self._locked.clear()
        self._forget()

    @override
    def after_fork_in_child(self) -> None:
        # the child's copy would keep the locks after the death of the parent
        self.close()

    def _forget(self) -> None:
        file, self._file, self.file_id = self._file, -1, None
        if file >= 0:
            os.close(file)

    def _call(self, command: int, owner: str, kind: int = fcntl.F_WRLCK) -> int:
        """Set or read the lock of an owner; return the type that the kernel has now."""
        start = int.from_bytes(sha256(owner.encode()).digest()[:7], "big")
        asked = struct.pack(_FLOCK, kind, os.SEEK_SET, start, 1, 0)
        return int(struct.unpack(_FLOCK, fcntl.fcntl(self._file, command, asked))[0])
