"""Reads files one after another, each to its end."""

import glob
import os
import select
from pathlib import Path

from headrace.stages.errors import CannotOpen, CannotRead, MissingFile
from headrace.stages.files.chunks import CHUNK_BYTES, Chunk, called, is_lasting, is_pattern, open_file


class FilesReader:
    """Reads one file, or all that match a pattern, in the order of their names.

    Any of them may be a pipe, a terminal, or `-`, standard input: who waits for one of those is woken by another pipe.
    """

    def __init__(self, path: str) -> None:
        self._pattern = path
        self._paths: list[str] = []
        self._path = ""
        self._file = -1
        self._is_lasting = True
        self._is_woken = False
        self._wakeup, self._waker = -1, -1

    def open(self) -> None:
        """Open the first file."""
        self._wakeup, self._waker = os.pipe()
        self._paths = _find(self._pattern)
        self._open_next()

    def read(self) -> Chunk | None:
        """Read on in the file, or begin with the next one."""
        if self._file < 0:
            if not self._paths or self._is_woken:
                return None
            try:
                self._open_next()
            except CannotOpen as error:
                raise CannotRead(error.what, error.why) from error
        data = self._read()
        if data is None:
            return None
        if not data:
            os.close(self._file)
            self._file = -1
        return Chunk(called(self._path), data, is_last=not data, is_lasting=self._is_lasting)

    def wake(self) -> None:
        """Let `read` return None from now on."""
        self._is_woken = True
        if self._waker >= 0:
            os.write(self._waker, b"!")

    def take_losses(self) -> tuple[int, ...]:
        """Return nothing: what is read once does not go away."""
        return ()

    def close(self) -> None:
        """Close everything."""
        for opened in (self._file, self._wakeup, self._waker):
            if opened >= 0:
                os.close(opened)
        self._file = self._wakeup = self._waker = -1

    def _open_next(self) -> None:
        self._path = self._paths.pop()
        self._file = open_file(self._path)
        self._is_lasting = is_lasting(self._file)

    def _read(self) -> bytes | None:
        """Return some bytes, none at the end of the file, or None when woken."""
        while not self._is_woken:
            try:
                if self._is_lasting or self._has_come():
                    return os.read(self._file, CHUNK_BYTES)
            except BlockingIOError:  # another reader of the pipe was quicker
                continue
            except OSError as error:
                raise CannotRead(called(self._path), error.strerror or str(error)) from error
        return None

    def _has_come(self) -> bool:
        """Wait for the pipe, or to be woken; return whether it was the pipe."""
        poll = select.poll()
        poll.register(self._file, select.POLLIN)
        poll.register(self._wakeup, select.POLLIN)
        return any(file == self._file for file, _ in poll.poll())


def _find(pattern: str) -> list[str]:
    """Return the paths, last first. A name with `*` in it that is there is that name."""
    if not is_pattern(pattern) or Path(pattern).exists():
        return [pattern]
    matching = glob.iglob(pattern, recursive=True)  # noqa: PTH207 - Path.glob takes no pattern that begins with /
    found = [path for path in matching if not Path(path).is_dir()]
    if not found:
        raise MissingFile(pattern, "matches no file")
    return sorted(found, reverse=True)
