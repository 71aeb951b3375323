"""Keeps the checkpoint of a followed file: what came of its lines is over, and then it need not read them again."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from headrace.ground.telemetry import LOG
from headrace.pipeline.acknowledgement.acknowledgement import Acknowledgement, Outcome
from headrace.pipeline.acknowledgement.message import Message
from headrace.stages.errors import CannotOpen
from headrace.stages.side_thread import SideThread
from headrace.stages.sources.checkpoint import Checkpoint
from headrace.stages.sources.progress import Piece, Position, Progress

SAVE_SECONDS: Final = 0.1
"""How long what is over may wait to be written: so much is read again after a crash."""

PIECE_BYTES: Final = 4 * 1024
"""Read in one go: of a piece that was under way all is read again."""


class FollowedProgress:
    """Makes messages of events, a piece for each chunk, and writes how far all before has gone through.

    An event that fails holds the checkpoint: the next run reads on from it. Loop's thread only.
    """

    def __init__(self, path: str, stage: Callable[[], str]) -> None:
        self._checkpoint = Checkpoint(path)
        self._stage = stage
        self._progress = Progress()
        self._thread: SideThread | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._unsaved: Position | None = None
        self._number = 0
        self._saved = 0
        self._lock = threading.Lock()
        self._has_failed = False
        self.load = self._checkpoint.load

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
        acknowledgement = Acknowledgement(partial(self._told, piece))
        acknowledgement.add(len(events) - 1)
        return [Message(event, acknowledgement=acknowledgement) for event in events]

    def _told(self, piece: Piece, outcome: Outcome) -> None:
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
        self._unsaved = position
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
                if position is not None and number > self._saved:
                    self._checkpoint.save(position)
                    self._saved = number
        except CannotOpen as error:
            LOG.error("stage %r: %s; what it has read may be read again", self._stage(), error)

    def close(self) -> None:
        """Write what is over; what is so later is written at once."""
        if self._timer is not None:
            self._timer.cancel()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.close()
            self._save(*self._take())
