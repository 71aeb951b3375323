"""Follows a file that grows: across its rotation, across truncation, and from before it exists."""

import glob
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from headrace.ground.telemetry import LOG
from headrace.stages.errors import CannotOpen, CannotRead, MissingFile
from headrace.stages.sources.chunks import CHUNK_BYTES, Chunk, is_lasting, open_file
from headrace.stages.sources.progress import BEGINNING, Position

POLL_SECONDS: Final = 0.1
"""How often a file that has not grown is looked at: what a person takes for at once, and costs two system calls."""


class FollowedFile:
    """Reads a file from its beginning, and goes on for as long as it is not woken.

    A file that is renamed is read to its end before the new one of its name is begun, and no sooner than that is there.
    A file that has become shorter than what was read of it is read from its beginning. What happens twice between two
    looks is seen once: of two rotations within 0.1 s, or while it is behind or nobody looks, the file in between is
    missed.
    """

    def __init__(
        self, path: str, begin: Callable[[], Position] = lambda: BEGINNING, chunk_bytes: int = CHUNK_BYTES
    ) -> None:
        """`begin` says, when the file is opened for the first time, how far it need not be read again."""
        self._chunk_bytes = chunk_bytes
        self._path = path
        self._begin = begin
        self._is_begun = False
        self._file = -1
        self._position = 0
        self._woken = threading.Event()

    def open(self) -> None:
        """Open the file if it is there."""
        with suppress(MissingFile):
            self._file = open_file(self._path)
        if not self._is_begun:
            self._is_begun = True
            position = self._begin()
            if position != BEGINNING:
                self._skip(position)
        if self._file >= 0 and not is_lasting(self._file):
            raise CannotOpen(
                self._path, "is not a file", "leave `follow` out: a pipe is read until its writers are gone"
            )

    def read(self) -> Chunk | None:
        """Wait until the file has grown, or was replaced or cut."""
        while not self._woken.is_set():
            try:
                chunk = self._look()
            except (CannotOpen, OSError) as error:
                why = error.why if isinstance(error, CannotOpen) else error.strerror or str(error)
                raise CannotRead(self._path, why) from error
            if chunk is not None:
                return chunk
            self._woken.wait(POLL_SECONDS)
        return None

    def wake(self) -> None:
        """Let `read` return None from now on."""
        self._woken.set()

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1

    def _look(self) -> Chunk | None:
        if self._file < 0:
            self.open()
            if self._file < 0:
                return None
        data = self._read()
        if data:
            return self._chunk(data)
        if os.fstat(self._file).st_size < self._position:
            os.lseek(self._file, 0, os.SEEK_SET)
            self._position = 0
            return self._chunk(b"")
        if not self._is_replaced():
            return None
        data = self._read()  # it may have grown before it was replaced
        if data:
            return self._chunk(data)
        self.close()
        self._position = 0
        return self._chunk(b"")

    def _skip(self, position: Position) -> None:
        """Go on at a position, also where that file was renamed; from the beginning where it is gone, or was cut."""
        if self._file < 0 or not (_is_at(os.fstat(self._file), position) and self._begins_line(position.offset)):
            renamed = self._renamed(position)
            if renamed is None:
                if self._file >= 0:
                    LOG.warning(
                        "%s was replaced or cut since its checkpoint, and is read from its beginning", self._path
                    )
                return
            LOG.info("%s is called %s since its checkpoint, and is read to its end first", self._path, renamed)
            self.close()
            self._file = open_file(renamed)
        self._position = os.lseek(self._file, position.offset, os.SEEK_SET)

    def _begins_line(self, offset: int) -> bool:
        """Tell whether a line begins there, as at every checkpoint; else the file was cut, and has grown again."""
        return offset == 0 or os.pread(self._file, 1, offset - 1) == b"\n"

    def _renamed(self, position: Position) -> str | None:
        """Return what the file of a checkpoint is called now: what it was, and more, as rotation does it."""
        path = Path(self._path)
        for other in sorted(path.parent.glob(f"{glob.escape(path.name)}?*")):
            with suppress(OSError):
                if _is_at(other.stat(), position):
                    return str(other)
        return None

    def _read(self) -> bytes:
        data = os.read(self._file, self._chunk_bytes)
        self._position += len(data)
        return data

    def _is_replaced(self) -> bool:
        try:
            there = Path(self._path).stat()
        except FileNotFoundError:  # between renaming and creating
            return False
        return not os.path.samestat(there, os.fstat(self._file))

    def _chunk(self, data: bytes) -> Chunk:
        if self._file < 0:
            return Chunk(self._path, data, is_last=True, is_lasting=True, end=BEGINNING)
        there = os.fstat(self._file)
        end = Position(there.st_dev, there.st_ino, self._position)
        return Chunk(self._path, data, is_last=not data, is_lasting=True, end=end)


def _is_at(there: os.stat_result, position: Position) -> bool:
    """Tell whether a file is the one of a position, and still reaches to it."""
    return (there.st_dev, there.st_ino) == (position.device, position.inode) and there.st_size >= position.offset
