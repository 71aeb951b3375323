"""Follows a file that grows: across its rotation, across truncation, and from before it exists."""

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from headrace.stages.errors import CannotOpen, CannotRead
from headrace.stages.files.chunks import CHUNK_BYTES, Chunk
from headrace.stages.files.progress import BEGINNING, Position
from headrace.stages.files.rotation import Rotation
from headrace.stages.files.tracked_file import TrackedFile
from headrace.telemetry.events import LOG

POLL_SECONDS: Final = 0.1
"""How often the name is looked at: what a person takes for at once, and costs some system calls."""

LINGER_SECONDS: Final = 1.0
"""How long a file is read on that has been replaced: its writer may not know yet."""


class FollowedFile:
    """Reads a file from its beginning, and goes on for as long as it is not woken.

    A file that is renamed is read to its end before the new one of its name is begun, and no sooner than that is there;
    all that come meanwhile are kept open, and read in their turn. A file that was cut is read on in the copy that was
    made of it, then from its beginning. What cannot be read any more is logged, and counted in `take_losses`.
    """

    def __init__(self, path: str, begin: Callable[[], Position] | None = None, chunk_bytes: int = CHUNK_BYTES) -> None:
        """`begin` says, when the file is opened for the first time, how far it need not be read again."""
        self._chunk_bytes = chunk_bytes
        self._path = path
        self._begin = begin
        self._is_begun = False
        self._is_told = begin is None
        self._losses: deque[int] = deque()
        self._rotation = Rotation(path, self._losses.append)
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name=f"look at {path}", daemon=True)

    def open(self) -> None:
        """Open the file if it is there, and look at its name from now on."""
        position = self._begin() if self._begin is not None else BEGINNING
        self._rotation.begin(None if position == BEGINNING else position)
        self._watcher.start()

    def read(self) -> Chunk | None:
        """Wait until the file has grown, or was replaced or cut."""
        while not self._woken.is_set():
            chunk = self.read_nowait()
            if chunk is not None:
                return chunk
            self._woken.wait(POLL_SECONDS)
        return None

    def read_nowait(self) -> Chunk | None:
        """Return the next chunk, None where there is nothing to read now. Raises `CannotRead`."""
        try:
            with self._lock:
                return self._next()
        except (CannotOpen, OSError) as error:
            why = error.why if isinstance(error, CannotOpen) else error.strerror or str(error)
            raise CannotRead(self._path, why) from error

    def look(self) -> None:
        """See what has become of the name, whether or not the files are read. From any thread."""
        with suppress(CannotOpen, OSError), self._lock:  # who reads meets it, too
            self._rotation.look()

    def wake(self) -> None:
        """Let `read` return None from now on; with a checkpoint, report what the next run will not find."""
        if self._woken.is_set():
            return
        self._woken.set()
        if self._begin is not None and self._lock.acquire(timeout=POLL_SECONDS):  # a dead disk may hold it
            try:
                self._rotation.report_removed()
            finally:
                self._lock.release()

    def close(self) -> None:
        """Close everything."""
        self._woken.set()
        if self._watcher.is_alive():
            self._watcher.join()
        unread = [file.path for file in list(self._rotation.files)[:-1]]
        if unread and self._begin is None:
            LOG.warning(
                "%s is not followed any more, and %d files that had its name before were not read to their ends; "
                "with a `checkpoint` the next run reads them",
                self._path,
                len(unread),
            )
        self._rotation.close()

    def take_losses(self) -> list[int]:
        """Return what was lost since the last call: for each file of which something was, how many bytes at least."""
        losses = []
        with suppress(IndexError):
            while True:
                losses.append(self._losses.popleft())
        return losses

    def _watch(self) -> None:
        """Look at the name, whether or not the files are read."""
        while not self._woken.wait(POLL_SECONDS):
            self.look()

    def _next(self) -> Chunk | None:
        """Return the next chunk, None where there is nothing to read now."""
        files = self._rotation.files
        if not files:
            self._rotation.look()
        if not files:
            return None
        file = files[0]
        if not self._is_told:
            self._is_told = True
            return self._chunk(file, b"")
        if file.descriptor < 0 and not file.is_over:
            self._rotation.reopen(file)
        if not file.head and file is files[-1]:
            self._rotation.look()
            file = files[0]
        data = b"" if file.is_over else file.read(self._chunk_bytes)
        if data is None:
            self._rotation.cut(file)
        elif data:
            return self._chunk(file, data)
        elif file.replaced_at is not None:
            return self._leave(file, file.replaced_at)
        else:
            self._rotation.look()
            if file.replaced_at is None:
                return None
        return self._next()

    def _leave(self, file: TrackedFile, replaced_at: float) -> Chunk | None:
        """Go on to the file that came after one that has been read to its end, unless it came just now."""
        if time.monotonic() < replaced_at + LINGER_SECONDS:
            return None
        self._rotation.leave()
        files = self._rotation.files
        end = files[0].position() if files else BEGINNING
        return Chunk(file.path, b"", is_last=True, is_lasting=True, end=end)

    def _chunk(self, file: TrackedFile, data: bytes) -> Chunk:
        return Chunk(file.path, data, is_last=False, is_lasting=True, end=file.position())
