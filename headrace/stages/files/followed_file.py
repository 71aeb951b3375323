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

from headrace.database.file_lock import FileLock
from headrace.executors.thread_executor import WorkerThread
from headrace.pipeline.message import Acknowledgement, Message, Outcome
from headrace.stages.errors import CannotOpen, CannotRead
from headrace.stages.files.chunks import BEGINNING, CHUNK_BYTES, FileChunk, Piece, Position, ReadProgress
from headrace.stages.files.rotation import RotatedLog
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
        self._is_reported = begin is None
        self._losses: deque[int] = deque()
        self._rotation = RotatedLog(path, self._losses.append)
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name=f"look at {path}", daemon=True)

    def open(self) -> None:
        """Open the file if it is there, and look at its name from now on."""
        position = self._begin() if self._begin is not None else BEGINNING
        self._rotation.begin(None if position == BEGINNING else position)
        self._watcher.start()

    def read(self) -> FileChunk | None:
        """Wait until the file has grown, or was replaced or cut."""
        while not self._woken.is_set():
            chunk = self.read_nowait()
            if chunk is not None:
                return chunk
            self._woken.wait(POLL_SECONDS)
        return None

    def read_nowait(self) -> FileChunk | None:
        """Return the next chunk, None where there is nothing to read now. Raises `CannotRead`."""
        try:
            with self._lock:
                return self._next()
        except (CannotOpen, OSError) as error:
            why = error.why if isinstance(error, CannotOpen) else error.strerror or str(error)
            raise CannotRead(self._path, why) from error

    def check(self) -> None:
        """See what has become of the name, whether or not the files are read. From any thread."""
        with suppress(CannotOpen, OSError), self._lock:  # who reads meets it, too
            self._rotation.check()

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
            self.check()

    def _next(self) -> FileChunk | None:
        """Return the next chunk, None where there is nothing to read now."""
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
        """Go on to the file that came after one that has been read to its end, unless it came just now."""
        if time.monotonic() < replaced_at + LINGER_SECONDS:
            return None
        self._rotation.leave()
        files = self._rotation.files
        end = files[0].position() if files else BEGINNING
        return FileChunk(file.path, b"", is_last=True, is_lasting=True, end=end)

    def _chunk(self, file: TrackedFile, data: bytes) -> FileChunk:
        return FileChunk(file.path, data, is_last=False, is_lasting=True, end=file.position())


class Checkpoint:
    """Reads and writes a position, at `path`. Its methods block, and raise `CannotOpen`."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def load(self) -> Position:
        """Return the position; the beginning where none was written yet, which is then written."""
        try:
            content = json.loads(self._path.read_bytes())
            return _position(content)
        except FileNotFoundError:
            self.save(BEGINNING)  # so that a folder which is not there, or may not be written, is told at once
            return BEGINNING
        except OSError as error:
            why = f"cannot be read as a checkpoint ({error.strerror})"
        except (ValueError, TypeError, KeyError):
            why = "is no checkpoint"
        raise CannotOpen(str(self._path), why, "name another file in `checkpoint`, or remove it to begin anew")

    def save(self, position: Position) -> None:
        """Put the position in the place of the one before, durably."""
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
    """Return what a checkpoint says; an older one does not say how the file began."""
    device, inode, offset = (int(str(content[name])) for name in ("device", "inode", "offset"))
    if "head_hash" not in content:
        return Position(device, inode, offset)
    modified_ns, head_bytes = (int(str(content[name])) for name in ("modified_ns", "head_bytes"))
    return Position(device, inode, offset, modified_ns, head_bytes, str(content["head_hash"]))


SAVE_SECONDS: Final = 0.1
"""How long what is over may wait to be written: so much is read again after a crash."""

PIECE_BYTES: Final = 4 * 1024
"""Read in one go: of a piece that was under way all is read again."""


class FollowedProgress:
    """Makes messages of events, a piece for each chunk, and writes how far all before has gone through.

    An event that fails holds the checkpoint: the next run reads on from it. No other run may have the checkpoint until
    it is closed and all that was read is over. Loop's thread only, but for `load`.
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
        """Lock other runs out, and return where to begin. Raises `CannotOpen`. May be called in any thread."""
        with self._lock:
            if self._is_left:
                return BEGINNING  # it was stopped meanwhile: nobody reads
            with suppress(OSError):  # what is wrong with the folder is said when the checkpoint is written
                holder = self._file_lock.take()
                if holder is not None:
                    hint = "end that one first, or name another file in `checkpoint`"
                    raise CannotOpen(self._path, f"is in use by {holder}", hint)
            return self._checkpoint.load()

    def start(self) -> None:
        """Write in a thread of its own from now on: the one that reads waits for the file to grow."""
        self._thread = WorkerThread(f"{self._stage()} checkpoint")
        self._thread.start()

    def messages(self, events: Sequence[object], end: Position, rest_bytes: int) -> list[object]:
        """Return the events of a chunk as messages; of its bytes the last `rest_bytes` belong to a line to come."""
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
                "with dead letters it would be set aside",
                self._stage(),
            )

    def _over(self, piece: Piece) -> None:
        position = self._progress.over(piece)
        if position is None:
            return
        self._unsaved = self._newest = position
        if self._thread is None:
            self._save(*self._take())  # nobody else does any more
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
        """Write a position, unless a later one was written meanwhile; in whichever thread."""
        try:
            with self._lock:
                if position is not None and number > self._saved and not self._is_left:
                    self._checkpoint.save(position)
                    self._saved = number
        except CannotOpen as error:
            LOG.error("stage %r: %s; what it has read may be read again", self._stage(), error)

    def close(self, *, is_crash: bool = False) -> None:
        """Write what is over; what is so later is written at once.

        After a crash it is not: the stage may be made anew, which then reads again what was under way.
        """
        if self._timer is not None:
            self._timer.cancel()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.close()
            self._number += 1
            self._save(self._newest, self._number)  # what waits in the thread is older, and is written no more
        self._is_closed = True
        if is_crash or not self._under_way:
            self._leave()

    def _leave(self) -> None:
        with self._lock:
            self._is_left = True
            self._file_lock.release()
