"""Files to append lines to, and the encoders of lines."""

import os
import select
import stat
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from typing_extensions import override

from headrace.executors.thread_executor import WorkerThread
from headrace.pipeline.flow.counts import ConnectionStatus
from headrace.stages.errors import BadEvent, CannotOpen, CannotWrite, ReaderClosed
from headrace.values import to_json

STANDARD_OUTPUT: Final = "-"

_MODE: Final = 0o666  # the user's umask takes bits away


class OutputFile:
    """Appends to the file at `path`, which is created if missing; `-` is standard output."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._called = "standard output" if path == STANDARD_OUTPUT else path
        self._file = -1
        self._was_cut_off = False

    def open(self) -> None:
        """Open the file; the next write ends an unfinished last line. Raises `CannotOpen`."""
        try:
            if self._path == STANDARD_OUTPUT:
                self._file = os.dup(1)
                return
            self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _MODE)
        except FileNotFoundError:
            raise CannotOpen(self._path, "is in a folder that does not exist", "make the folder first") from None
        except OSError as error:
            why = f"cannot be opened for writing ({error.strerror})"
            raise CannotOpen(self._called, why, "mend it, or name another in `path`") from None
        self._was_cut_off = self._ends_within_a_line()

    def write(self, data: bytes) -> None:
        """Write all of `data`. Raises `CannotWrite` or `ReaderClosed`; then only whole lines of it are in the file.

        The next write begins on a new line, also where half a line could not be removed, as in a pipe.
        """
        if self._was_cut_off and self._ends_within_a_line():
            data = b"\n" + data
        rest = memoryview(data)
        begin = os.fstat(self._file).st_size
        self._was_cut_off = True
        try:
            while rest:
                try:
                    rest = rest[os.write(self._file, rest) :]
                except BlockingIOError:  # another program made the pipe non-blocking
                    select.select([], [self._file], [])
        except OSError as error:
            if isinstance(error, BrokenPipeError) and self._path == STANDARD_OUTPUT:
                raise ReaderClosed from error
            self._take_back(begin, data[: len(data) - len(rest)])
            raise CannotWrite(self._called, error.strerror or str(error)) from error
        self._was_cut_off = False

    def sync(self) -> None:
        """Flush a regular file to the disk, so that it survives a power failure. Raises `CannotWrite`."""
        try:
            if stat.S_ISREG(os.fstat(self._file).st_mode):
                os.fsync(self._file)
        except OSError as error:
            raise CannotWrite(self._called, error.strerror or str(error)) from error

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1

    def _take_back(self, begin: int, written: bytes) -> None:
        """Remove half a line from the end of the file, unless another program has written since."""
        found = os.fstat(self._file)
        if stat.S_ISREG(found.st_mode) and found.st_size == begin + len(written):
            with suppress(OSError):  # then the next write ends the line
                os.ftruncate(self._file, begin + written.rfind(b"\n") + 1)

    def _ends_within_a_line(self) -> bool:
        found = os.fstat(self._file)
        if not stat.S_ISREG(found.st_mode) or not found.st_size:
            return False
        try:
            readable = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # the file may be written and not read
            return False
        try:
            return os.pread(readable, 1, found.st_size - 1) != b"\n"
        finally:
            os.close(readable)


@dataclass(frozen=True, slots=True)
class Rotation:
    """When to rotate a file, and how many rotated files to keep. None: never.

    `every_seconds` counts from 1970: a day begins at midnight, UTC.
    """

    size_bytes: int | None = None
    every_seconds: float | None = None
    keep: int = 7

    def is_due(self, size: int, written_at: float, now: float) -> bool:
        """Tell whether to rotate a file of this size and time of its last write.

        >>> Rotation(every_seconds=3600.0).is_due(10, written_at=3599.0, now=3600.0)
        True
        """
        if not size:
            return False
        if self.size_bytes is not None and size >= self.size_bytes:
            return True
        every = self.every_seconds
        return every is not None and now // every > written_at // every


class RotatingFile(OutputFile):
    """Appends to `path`. As with logrotate, the file before it is `path.1`, and the oldest one kept is `path.7`."""

    def __init__(self, path: str, rotation: Rotation, now: Callable[[], float] = time.time) -> None:
        super().__init__(path)
        self._rotation = rotation
        self._now = now

    @override
    def write(self, data: bytes) -> None:
        found = os.fstat(self._file)
        if self._rotation.is_due(found.st_size, found.st_mtime, self._now()):
            self._rotate()
        super().write(data)

    def _rotate(self) -> None:
        self.sync()
        self.close()
        try:
            for number in range(self._rotation.keep, 0, -1):
                older = self._rotated_path(number)
                with suppress(FileNotFoundError):
                    self._rotated_path(number - 1).replace(older)
            if not self._rotation.keep:
                Path(self._path).unlink()
        except OSError as error:
            raise CannotWrite(self._path, f"it cannot be rotated ({error.strerror})") from error
        finally:
            self.open()

    def _rotated_path(self, number: int) -> Path:
        return Path(f"{self._path}.{number}" if number else self._path)


class WriterThread(WorkerThread):
    """The thread of a sink that writes a file, which also sets the status of the file."""

    def __init__(self, name: str, status: ConnectionStatus) -> None:
        super().__init__(name)
        self._status = status

    async def write(self, work: Callable[[], None]) -> None:
        """Run `work`; when it raises `CannotWrite`, the file is down."""
        try:
            await self.call(work)
        except CannotWrite as error:
            self._status.down(error)
            raise
        self._status.up()


EncodeName = Literal["json", "text"]

LINE_BREAK: Final = "the event has a line break in its text, and would be several lines: use `encode: json`"


def _json_line(event: object) -> bytes:
    return f"{to_json(event)}\n".encode()


def _text_line(event: object) -> bytes:
    text = str(event)
    if "\n" in text:
        raise BadEvent(LINE_BREAK)
    return f"{text}\n".encode()


LINE_ENCODERS: Final[Mapping[EncodeName, Callable[[object], bytes]]] = {"json": _json_line, "text": _text_line}
"""Encode an event as a line in UTF-8, with its line break. Raise for an event that cannot be one line."""
