"""A file that is set aside when it is large or old, and begun anew; all of it blocks."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from headrace.stages.errors import CannotWrite
from headrace.stages.files.output_file import OutputFile


@dataclass(frozen=True, slots=True)
class Rotation:
    """When a file is set aside, and how many of those are kept; None for never.

    `every_seconds` counts from 1970 on: a day begins at midnight, UTC.
    """

    size_bytes: int | None = None
    every_seconds: float | None = None
    keep: int = 7

    def is_due(self, size: int, written_at: float, now: float) -> bool:
        """Tell whether a file of that size, last written then, takes no more.

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
    """Appends to `path`; the one before is `path.1`, and the oldest that is kept `path.7`, as logrotate has them."""

    def __init__(self, path: str, rotation: Rotation, now: Callable[[], float] = time.time) -> None:
        super().__init__(path)
        self._rotation = rotation
        self._now = now

    def write(self, data: bytes) -> None:
        """Write all of `data` to one file; raises `CannotWrite`."""
        found = os.fstat(self._file)
        if self._rotation.is_due(found.st_size, found.st_mtime, self._now()):
            self._rotate()
        super().write(data)

    def _rotate(self) -> None:
        self.sync()
        self.close()
        try:
            for number in range(self._rotation.keep, 0, -1):
                older = self._aside(number)
                with suppress(FileNotFoundError):
                    self._aside(number - 1).replace(older)
            if not self._rotation.keep:
                Path(self._path).unlink()
        except OSError as error:
            raise CannotWrite(self._path, f"it cannot be set aside ({error.strerror})") from error
        finally:
            self.open()

    def _aside(self, number: int) -> Path:
        return Path(f"{self._path}.{number}" if number else self._path)
