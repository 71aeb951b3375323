"""The disk under a buffer, when it is full: when to try again, and what is said of it."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

from headrace.database.sqlite_file import DiskFull
from headrace.telemetry.events import LOG

Write = Literal["append", "drop", "delete"]
"""What is written to the file of a buffer."""

PAUSE_SECONDS: Final = 0.1
"""Before a write that was refused is tried again; each further time twice as long."""

LONGEST_PAUSE_SECONDS: Final = 5.0
"""What a person who has just made room takes for soon."""

SAY_SECONDS: Final = 60.0
"""A disk that is full again within so long of the last time that this was said is not said to be."""


class FullDisk:
    """Counts the writes that a full disk refused, and says when that begins and when it is over. Loop's thread only."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._refused: set[Write] = set()
        self._in_a_row = 0
        self._since = 0.0
        self._said_at = float("-inf")
        self._is_said = False
        self.counted: Callable[[], object] = lambda: None

    def refused(self, write: Write, error: DiskFull) -> float:
        """Take note that a write found no room; return after how many seconds to try it again."""
        now = asyncio.get_running_loop().time()
        if not self._refused:
            self._since = now
        self._refused.add(write)
        self.counted()
        if not self._is_said and now - self._said_at >= SAY_SECONDS:
            self._is_said, self._said_at = True, now
            LOG.warning(
                "the disk under the buffer %s is full (%s): nothing more is taken in until there is room",
                self._path,
                error.why,
            )
        pause = min(LONGEST_PAUSE_SECONDS, PAUSE_SECONDS * 2.0 ** min(self._in_a_row, 16))
        self._in_a_row += 1
        return pause

    def took(self, write: Write) -> None:
        """Take note that a write went through."""
        if write not in self._refused:
            return
        self._refused.discard(write)
        if self._refused:
            return
        self._in_a_row = 0
        if self._is_said:
            self._is_said = False
            seconds = asyncio.get_running_loop().time() - self._since
            LOG.warning("the disk under the buffer %s has room again after %.1f s: going on", self._path, seconds)
