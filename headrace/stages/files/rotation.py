"""The files that had a followed name, oldest first, across renames, copies and truncation."""

import os
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from headrace.stages.errors import CannotOpen, MissingFile
from headrace.stages.files.chunks import Position
from headrace.stages.files.rotated_files import RotatedFile, RotatedFolder
from headrace.stages.files.tracked_file import TrackedFile
from headrace.telemetry.events import LOG

OPEN_FILES: Final = 100
"""How many files are kept open. Others are opened again when it is their turn, if they still exist."""

_LONG_AGO: Final = float("-inf")

Lose = Callable[[int], None]
"""Called with a file that lost bytes, and with their number if it is known."""


class RotatedLog:
    """`files` are the files to read; the last one has the followed name, or had it most recently.

    Rotated files that exist at the start are read only from a position on. Losses are logged and counted. Blocks; one
    thread at a time.
    """

    def __init__(self, path: str, lose: Lose, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._folder = RotatedFolder(path)
        self._age = self._folder.age
        self._lose = lose
        self._clock = clock
        self.files: deque[TrackedFile] = deque()
        self._left: TrackedFile | None = None

    def begin(self, position: Position | None) -> None:
        """Open the file with the followed name if it exists. With a position, the lines after it are read first."""
        with suppress(MissingFile):
            self.files.append(TrackedFile.open(self._path))
        if position is not None:
            self._resume(position)
        self._folder.learn()

    def check(self) -> None:
        """Check whether the file was renamed or truncated. Raises `CannotOpen` and `OSError`."""
        self._check_left()
        last = self.files[-1] if self.files else None
        if last is not None:
            last = self._check_file(last)
        if last is None or not last.has_name(self._path):
            with suppress(MissingFile):
                self._replace()

    def cut(self, file: TrackedFile) -> None:
        """Continue after a truncation: first in the copy of the file, if there is one, then in its new content."""
        copy = self._folder.copy_of(file)
        there = file.offset if copy is None else max(file.offset, copy.size)
        if file.size > there:
            self._report(file.size - there, "%s was cut when %s of it had not been read", file.path)
        descriptor = file.descriptor
        file.replaced_at = _LONG_AGO
        file.descriptor = -1
        file.is_over = copy is None
        if copy is not None:
            file.become(copy)
        if file is self.files[-1]:
            self._append(TrackedFile(self._path, descriptor))
        else:
            os.close(descriptor)

    def leave(self) -> None:
        """Go on to the next file: the first one has been read to its end."""
        file = self.files.popleft()
        self._folder.know(file)
        if self._left is not None:
            self._left.close()
        self._left = file

    def reopen(self, file: TrackedFile) -> None:
        """Open a file again that was closed by `OPEN_FILES`; a removed file is over."""
        found = self._folder.find(file.position())
        if found is not None:
            file.become(found)
            return
        file.is_over = True
        if file.unread:
            self._report(file.unread, "%s was rotated and is gone: %s of it had not been read", file.path)

    def report_removed(self) -> None:
        """Report the files that were removed before they were read, and exist only while they are open."""
        for file in self.files:
            if file.unread and (file.is_removed() if file.descriptor >= 0 else not self._is_there(file)):
                self._report(file.unread, "%s was removed, and the run ends before %s of it were read", file.path)

    def close(self) -> None:
        """Close everything."""
        if self._left is not None:
            self._left.close()
        for file in self.files:
            file.close()
        self._left = None
        self.files.clear()

    def _is_there(self, file: TrackedFile) -> bool:
        found = self._folder.find(file.position())
        if found is not None:
            found.close()
        return found is not None

    def _check_file(self, last: TrackedFile) -> TrackedFile:
        """Check whether the last file was truncated; return the last file after that."""
        if last.descriptor < 0:
            return last
        was_empty = not last.head
        if not last.check():
            self.cut(last)
        elif was_empty and self._folder.has_changed() and last.has_name(self._path):
            # Its content may have been copied and truncated meanwhile.
            self.files.pop()
            self._append(last)
        return self.files[-1]

    def _check_left(self) -> None:
        """Report bytes that were written to the last finished file after its end was read."""
        left = self._left
        if left is None or left.descriptor < 0:
            return
        late = os.fstat(left.descriptor).st_size - left.offset
        if late > 0:
            left.offset += late
            self._report(
                late,
                "%s was written to when it had been replaced and read to its end: %s are not read; "
                "have the rotation tell its writer at once",
                left.path,
            )

    def _replace(self) -> None:
        """Append the file that has the name now."""
        last = self.files[-1] if self.files else None
        try:
            file = TrackedFile.open(self._path)
        except MissingFile:  # between the rename and the new file
            raise
        except CannotOpen:
            if last is None:
                raise
            last.replaced_at = last.replaced_at or self._clock()  # the rest of it comes first
            return
        if any(file.identity == other.identity and other.descriptor >= 0 for other in self.files):  # renamed back
            file.close()
            return
        if last is not None:
            last.replaced_at = self._clock()
        self._append(file)

    def _append(self, file: TrackedFile) -> None:
        """Append a file, after the files that appeared and were rotated since the last check."""
        missed = self._folder.missed([*self.files, file])
        if file.has_name(self._path):
            self._extend(missed)
            self.files.append(file)
        else:  # it was rotated, too, before some of the missed files
            file.replaced_at = self._clock()
            self._insert(file)
            self._extend(missed)
            self.files[-1].replaced_at = None
        for further in list(self.files)[OPEN_FILES - 1 : -1]:
            further.close()
            further.is_over = not further.unread

    def _extend(self, found: RotatedFile) -> None:
        for path in found.lost:
            LOG.error(
                "%s was rotated, and compressed (or made unreadable), before it was read: its lines are lost; "
                "have the rotation compress files later (delaycompress)",
                path,
            )
            self._lose(0)
        for file in found.files:
            file.replaced_at = _LONG_AGO
            self._insert(file)

    def _insert(self, file: TrackedFile) -> None:
        """Insert a file by its age, after all files that were begun."""
        position = len(self.files)
        while (
            position and not self.files[position - 1].offset and self._age(self.files[position - 1]) > self._age(file)
        ):
            position -= 1
        self.files.insert(position, file)

    def _resume(self, position: Position) -> None:
        live = self.files.pop() if self.files else None
        if live is not None and live.identity == (position.device, position.inode) and live.is_at(position):
            live.offset = position.offset
            if live.begins_line():
                if not position.head_bytes:  # its content since then may have been copied and truncated
                    self._extend(self._folder.since((position.modified_ns, _FIRST, ""), [live]))
                self.files.append(live)
                return
            live.offset = 0
        self._read_first(position, [] if live is None else [live])

    def _read_first(self, position: Position, live: list[TrackedFile]) -> None:
        """Read the rest of the file of a position and the files since then, before the file that has the name."""
        found = self._folder.find(position)
        age = (position.modified_ns, _FIRST, "")
        if found is None:
            LOG.error(
                "the file of the checkpoint of %s was removed, compressed or cut: "
                "all that was written to it after its first %s is lost",
                self._path,
                _size(position.offset),
            )
            self._lose(0)
        else:
            LOG.info("%s is called %s since its checkpoint, and is read to its end first", self._path, found.path)
            self.files.append(found)
            if position.head_bytes:
                age = self._age(found)
        if position.modified_ns or found is not None:
            self._extend(self._folder.since(age, [*self.files, *live]))
        self.files.extend(live)
        for file in self.files:
            file.replaced_at = None if file is self.files[-1] else _LONG_AGO

    def _report(self, lost: int, text: str, path: str) -> None:
        LOG.error(text, path, _size(lost))
        self._lose(lost)


_FIRST: Final = -(10**9)
"""Before every file with the same time of change."""


def _size(count: int) -> str:
    return f"{count:,} bytes" if count != 1 else "1 byte"
