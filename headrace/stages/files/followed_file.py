"""Follows a growing file and keeps its checkpoint."""

import asyncio
import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Final

from typing_extensions import override

from headrace.database.file_lock import FileLock
from headrace.executors.thread_executor import WorkerThread
from headrace.pipeline.message import Acknowledgement, Message, Outcome
from headrace.stages.errors import CannotOpen, CannotRead
from headrace.stages.files.chunks import BEGINNING, CHUNK_BYTES, ChunkReader, FileChunk, Piece, Position, ReadProgress
from headrace.stages.files.rotation import RotatedLog
from headrace.stages.files.tracked_file import TrackedFile
from headrace.telemetry.events import LOG

POLL_SECONDS: Final = 0.1
"""How often the name is checked: a person notices no delay, and a check costs some system calls."""

LINGER_SECONDS: Final = 1.0
"""How long a replaced file is still read: its writer may not have reopened its log yet."""


class FollowedFile(ChunkReader):
    """Reads a file from its beginning and follows it until `wake`.

    A renamed file is read to its end once a new file has its name; then the new one is begun. All files that had the
    name meanwhile are kept open and read in order. When a file is truncated, reading continues in the copy that was
    made of it, then at the file's beginning. Lost bytes are logged, and counted in `take_losses`.
    """

    def __init__(self, path: str, begin: Callable[[], Position] | None = None, chunk_bytes: int = CHUNK_BYTES) -> None:
        """`begin` returns the position where reading begins; it is called when the file is first opened."""
        self._chunk_bytes = chunk_bytes
        self._path = path
        self._begin = begin
        self._is_begun = False
        self._is_reported = begin is None
        self._losses: deque[int] = deque()
        self._rotation = RotatedLog(path, self._losses.append)
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name=f"look at {path}", daemon=True)

    @override
    def open(self) -> None:
        position = self._begin() if self._begin is not None else BEGINNING
        self._rotation.begin(None if position == BEGINNING else position)
        self._watcher.start()

    @override
    def read(self) -> FileChunk | None:
        while not self._woken.is_set():
            chunk = self.read_nowait()
            if chunk is not None:
                return chunk
            self._woken.wait(POLL_SECONDS)
        return None

    def read_nowait(self) -> FileChunk | None:
        """Return the next chunk, None when there is nothing to read now. Raises `CannotRead`."""
        try:
            with self._lock:
                return self._next()
        except (CannotOpen, OSError) as error:
            why = error.why if isinstance(error, CannotOpen) else error.strerror or str(error)
            raise CannotRead(self._path, why) from error

    def check(self) -> None:
        """Check whether the file was renamed or truncated. Thread-safe."""
        with suppress(CannotOpen, OSError), self._lock:  # the reader raises it, too
            self._rotation.check()

    @override
    def wake(self) -> None:
        if self._woken.is_set():
            return
        self._woken.set()
        if self._begin is not None and self._lock.acquire(timeout=POLL_SECONDS):  # a read from a dead disk may hold it
            try:
                self._rotation.report_removed()
            finally:
                self._lock.release()

    @override
    def close(self) -> None:
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

    @override
    def take_losses(self) -> list[int]:
        losses = []
        with suppress(IndexError):
            while True:
                losses.append(self._losses.popleft())
        return losses

    def _watch(self) -> None:
        """Check the name, also while no chunk is read."""
        while not self._woken.wait(POLL_SECONDS):
            self.check()

    def _next(self) -> FileChunk | None:
        files = self._rotation.files
        if not files:
            self._rotation.check()
        if not files:
            return None
        file = files[0]
        if not self._is_reported:
            self._is_reported = True
            return self._chunk(file, b"")
        if file.descriptor < 0 and not file.is_over:
            self._rotation.reopen(file)
        if not file.head and file is files[-1]:
            self._rotation.check()
            file = files[0]
        data = b"" if file.is_over else file.read(self._chunk_bytes)
        if data is None:
            self._rotation.cut(file)
        elif data:
            return self._chunk(file, data)
        elif file.replaced_at is not None:
            return self._leave(file, file.replaced_at)
        else:
            self._rotation.check()
            if file.replaced_at is None:
                return None
        return self._next()

    def _leave(self, file: TrackedFile, replaced_at: float) -> FileChunk | None:
        """Go on to the next file, unless that file has just appeared."""
        if time.monotonic() < replaced_at + LINGER_SECONDS:
            return None
        self._rotation.leave()
        files = self._rotation.files
        end = files[0].position() if files else BEGINNING
        return FileChunk(file.path, b"", is_last=True, is_lasting=True, end=end)

    def _chunk(self, file: TrackedFile, data: bytes) -> FileChunk:
        return FileChunk(file.path, data, is_last=False, is_lasting=True, end=file.position())


class Checkpoint:
    """Reads and writes a position in the file at `path`. Its methods block, and raise `CannotOpen`."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def load(self) -> Position:
        """Return the position. Without a file, write and return `BEGINNING`."""
        try:
            content = json.loads(self._path.read_bytes())
            return _position(content)
        except FileNotFoundError:
            self.save(BEGINNING)  # a missing or read-only folder raises here, at the start
            return BEGINNING
        except OSError as error:
            why = f"cannot be read as a checkpoint ({error.strerror})"
        except (ValueError, TypeError, KeyError):
            why = "is no checkpoint"
        raise CannotOpen(str(self._path), why, "name another file in `checkpoint`, or remove it to begin anew")

    def save(self, position: Position) -> None:
        """Replace the stored position, durably."""
        beside = self._path.with_name(f"{self._path.name}.new")
        try:
            with beside.open("w") as file:
                file.write(json.dumps(asdict(position)))
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
        except OSError as error:
            why = f"cannot be written as a checkpoint ({error.strerror})"
            raise CannotOpen(str(self._path), why, "mend it, or name another file in `checkpoint`") from None


def _position(content: Mapping[str, object]) -> Position:
    """Return the position of a checkpoint; older checkpoints have no hash of the head."""
    device, inode, offset = (int(str(content[name])) for name in ("device", "inode", "offset"))
    if "head_hash" not in content:
        return Position(device, inode, offset)
    modified_ns, head_bytes = (int(str(content[name])) for name in ("modified_ns", "head_bytes"))
    return Position(device, inode, offset, modified_ns, head_bytes, str(content["head_hash"]))


SAVE_SECONDS: Final = 0.1
"""How long a finished position may wait to be written. After a crash the lines of that time are read again."""

PIECE_BYTES: Final = 4 * 1024
"""The size of one read: after a crash, a piece that was in flight is read again as a whole."""


class FollowedProgress:
    """Turns events into messages, one piece for each chunk, and saves the position that all finished pieces reach.

    A failed event stops the checkpoint: the next run begins at that event. The checkpoint stays locked against other
    runs until it is closed and all pieces are finished. Loop's thread only, except `load`.
    """

    def __init__(self, path: str, stage: Callable[[], str]) -> None:
        self._path = path
        self._checkpoint = Checkpoint(path)
        self._file_lock = FileLock(Path(path))
        self._under_way = 0
        self._is_closed = False
        self._is_left = False
        self._stage = stage
        self._progress = ReadProgress()
        self._thread: WorkerThread | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._unsaved: Position | None = None
        self._newest: Position | None = None
        self._number = 0
        self._saved = 0
        self._lock = threading.Lock()
        self._has_failed = False

    def load(self) -> Position:
        """Lock out other runs, and return the position to begin at. Raises `CannotOpen`. Thread-safe."""
        with self._lock:
            if self._is_left:
                return BEGINNING  # it was stopped meanwhile
            with suppress(OSError):  # `save` reports an error of the folder
                holder = self._file_lock.take()
                if holder is not None:
                    hint = "end that one first, or name another file in `checkpoint`"
                    raise CannotOpen(self._path, f"is in use by {holder}", hint)
            return self._checkpoint.load()

    def start(self) -> None:
        """Save in a thread of its own from now on: the reading thread waits for the file to grow."""
        self._thread = WorkerThread(f"{self._stage()} checkpoint")
        self._thread.start()

    def messages(self, events: Sequence[object], end: Position, rest_bytes: int) -> list[object]:
        """Return the events of a chunk as messages; its last `rest_bytes` bytes belong to an unfinished line."""
        piece = self._progress.begin(replace(end, offset=end.offset - rest_bytes))
        if not events:
            self._over(piece)
            return []
        self._under_way += 1
        acknowledgement = Acknowledgement(partial(self._acknowledged, piece))
        acknowledgement.add(len(events) - 1)
        return [Message(event, acknowledgement=acknowledgement) for event in events]

    def _acknowledged(self, piece: Piece, outcome: Outcome) -> None:
        self._under_way -= 1
        self._finish_piece(piece, outcome)
        if self._is_closed and not self._under_way:
            self._leave()

    def _finish_piece(self, piece: Piece, outcome: Outcome) -> None:
        if outcome is not Outcome.FAILED:
            self._over(piece)
        elif not self._has_failed:
            self._has_failed = True
            LOG.warning(
                "stage %r keeps its checkpoint before an event that failed: the next run begins there; "
                "with `dead_letters` it would be stored, and the checkpoint would move on",
                self._stage(),
            )

    def _over(self, piece: Piece) -> None:
        position = self._progress.over(piece)
        if position is None:
            return
        self._unsaved = self._newest = position
        if self._thread is None:
            self._save(*self._take())  # the thread is closed
        elif self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(SAVE_SECONDS, self._save_later, self._thread)

    def _save_later(self, thread: WorkerThread) -> None:
        self._timer = None
        thread.call(partial(self._save, *self._take()))

    def _take(self) -> tuple[Position | None, int]:
        position, self._unsaved = self._unsaved, None
        self._number += 1
        return position, self._number

    def _save(self, position: Position | None, number: int) -> None:
        """Save a position, unless a later one was saved meanwhile. Thread-safe."""
        try:
            with self._lock:
                if position is not None and number > self._saved and not self._is_left:
                    self._checkpoint.save(position)
                    self._saved = number
        except CannotOpen as error:
            LOG.error("stage %r: %s; what it has read may be read again", self._stage(), error)

    def close(self, *, is_crash: bool = False) -> None:
        """Save the position; save at once when later pieces finish.

        After a crash, later pieces are not saved: a restarted stage reads again the events that were in flight.
        """
        if self._timer is not None:
            self._timer.cancel()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.close()
            self._number += 1
            self._save(self._newest, self._number)  # a position that waits in the thread is older, and is dropped
        self._is_closed = True
        if is_crash or not self._under_way:
            self._leave()

    def _leave(self) -> None:
        with self._lock:
            self._is_left = True
            self._file_lock.release()
