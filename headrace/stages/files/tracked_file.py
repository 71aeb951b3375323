"""Files identified by inode and first bytes: these tell a reused inode, and a copy from its original."""

import bz2
import gzip
import hashlib
import lzma
import os
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from io import BufferedIOBase, FileIO
from pathlib import Path
from typing import Final

from headrace.stages.errors import CannotOpen
from headrace.stages.files.chunks import Position, is_lasting, open_file

HEAD_BYTES: Final = 4096
"""Several lines of a log with different times. Read at each check, which takes about 2 µs."""

_OPENERS: Final[Mapping[str, Callable[[str], BufferedIOBase | FileIO]]] = {
    ".gz": gzip.GzipFile,
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
}


def read_head(file: int) -> bytes:
    """Return the first bytes of an open file."""
    return os.pread(file, HEAD_BYTES, 0)


def head_of(path: str) -> bytes | None:
    """Return the first bytes of a file, uncompressed; None when they cannot be read."""
    opener = _OPENERS.get(Path(path).suffix, FileIO)
    with suppress(OSError, EOFError, lzma.LZMAError, zlib.error), opener(path) as file:
        return file.read(HEAD_BYTES)
    return None


def are_alike(one: bytes, other: bytes) -> bool:
    """Tell whether one head may be an earlier, shorter head of the other file."""
    return bool(one and other) and (one.startswith(other) or other.startswith(one))


def head_hash(head: bytes) -> str:
    """Return a hash of a head."""
    return hashlib.blake2b(head, digest_size=16).hexdigest()


Identity = tuple[int, int]
"""The device and the inode of a file."""


class TrackedFile:
    """A file that is read from `offset` on; `descriptor` is -1 while it is closed.

    `size` is its size at the last check, `replaced_at` the time when another file had its name. With `is_over` there is
    nothing more to read in it.
    """

    def __init__(self, path: str, descriptor: int, offset: int = 0) -> None:
        self.path = path
        self.descriptor = descriptor
        self.offset = offset
        self.head = b""
        self.size = 0
        self.modified_ns = 0
        self.replaced_at: float | None = None
        self.is_over = False
        self._hash = (b"", head_hash(b""))
        status = os.fstat(descriptor)
        self.identity: Identity = (status.st_dev, status.st_ino)
        self.check()

    @classmethod
    def open(cls, path: str, offset: int = 0) -> "TrackedFile":
        """Open a file. Raises `CannotOpen`."""
        descriptor = open_file(path)
        if not is_lasting(descriptor):
            os.close(descriptor)
            raise CannotOpen(path, "is not a file", "leave `follow` out: a pipe is read until its writers are gone")
        return cls(path, descriptor, offset)

    @property
    def unread(self) -> int:
        """Unread bytes at the last check."""
        return max(0, self.size - self.offset)

    def check(self) -> bool:
        """Update the size; return False, with nothing updated, when the file was truncated."""
        status = os.fstat(self.descriptor)
        head = read_head(self.descriptor)
        if status.st_size < self.offset or not head.startswith(self.head):
            return False
        self.head, self.size, self.modified_ns = head, status.st_size, status.st_mtime_ns
        return True

    def read(self, most: int) -> bytes | None:
        """Return the next bytes, none at the end, or None when the file was truncated."""
        if len(self.head) < HEAD_BYTES and not self.check():
            return None
        data = os.pread(self.descriptor, most, self.offset)
        if not self.check():
            return None  # the bytes may have been written after the truncation
        self.offset += len(data)
        self.size = max(self.size, self.offset)
        return data

    def begins_line(self) -> bool:
        """Tell whether a line begins at `offset`."""
        return self.offset == 0 or os.pread(self.descriptor, 1, self.offset - 1) == b"\n"

    def position(self) -> Position:
        """Return the position at `offset`."""
        if self._hash[0] != self.head:
            self._hash = (self.head, head_hash(self.head))
        return Position(*self.identity, self.offset, self.modified_ns, len(self.head), self._hash[1])

    def is_at(self, position: Position) -> bool:
        """Tell whether the file has the bytes before a position, whatever its inode."""
        head = read_head(self.descriptor)[: position.head_bytes]
        return self.size >= position.offset and head_hash(head) == (position.head_hash or head_hash(b""))

    def become(self, other: "TrackedFile") -> None:
        """Go on in another file with the same bytes; `other` must not be used afterwards."""
        self.path, self.descriptor, self.identity = other.path, other.descriptor, other.identity
        self.head, self.size, self.modified_ns = other.head, other.size, other.modified_ns

    def close(self) -> None:
        """Close the file; the attributes keep their values."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
        self.descriptor = -1

    def is_removed(self) -> bool:
        """Tell whether the file was removed."""
        return os.fstat(self.descriptor).st_nlink == 0

    def has_name(self, path: str) -> bool:
        """Tell whether this file has the name `path` now."""
        try:
            status = Path(path).stat()
        except FileNotFoundError:
            return False
        return (status.st_dev, status.st_ino) == self.identity
