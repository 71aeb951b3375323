"""Follows a file that grows: across its rotation, across truncation, and from before it exists."""

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
    looks is seen once: of two rotations within 0.1 s the file in between is missed.
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
            self._skip(self._begin())
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
        """Go on at a position; from the beginning where another file is there now, or this one was cut."""
        if self._file < 0:
            return
        there = os.fstat(self._file)
        if (there.st_dev, there.st_ino) == (position.device, position.inode) and there.st_size >= position.offset:
            self._position = os.lseek(self._file, position.offset, os.SEEK_SET)
        elif position != BEGINNING:
            LOG.warning("%s was replaced or cut since its checkpoint, and is read from its beginning", self._path)

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
