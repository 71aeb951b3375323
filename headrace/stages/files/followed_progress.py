"""Keeps the checkpoint of a followed file: what came of its lines is over, and then it need not read them again."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from headrace.database.file_lock import FileLock
from headrace.executors.thread_executor import SideThread
from headrace.pipeline.message import Acknowledgement, Message, Outcome
from headrace.stages.errors import CannotOpen
from headrace.stages.files.checkpoint import Checkpoint
from headrace.stages.files.progress import BEGINNING, Piece, Position, Progress
from headrace.telemetry.events import LOG

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
        self._progress = Progress()
        self._thread: SideThread | None = None
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
        self._thread = SideThread(f"{self._stage()} checkpoint")
        self._thread.start()

    def messages(self, events: Sequence[object], end: Position, rest_bytes: int) -> list[object]:
        """Return the events of a chunk as messages; of its bytes the last `rest_bytes` belong to a line to come."""
        piece = self._progress.begin(replace(end, offset=end.offset - rest_bytes))
        if not events:
            self._over(piece)
            return []
        self._under_way += 1
        acknowledgement = Acknowledgement(partial(self._told, piece))
        acknowledgement.add(len(events) - 1)
        return [Message(event, acknowledgement=acknowledgement) for event in events]

    def _told(self, piece: Piece, outcome: Outcome) -> None:
        self._under_way -= 1
        self._judge(piece, outcome)
        if self._is_closed and not self._under_way:
            self._leave()

    def _judge(self, piece: Piece, outcome: Outcome) -> None:
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

    def _save_later(self, thread: SideThread) -> None:
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
