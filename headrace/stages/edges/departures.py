"""Takes events out of the file of a buffer that are through."""

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from headrace.database.queries import sql_text
from headrace.database.sqlite_file import DiskFull
from headrace.database.sqlite_threads import SqliteWriter
from headrace.stages.edges.full_disk import LONGEST_PAUSE_SECONDS, FullDisk
from headrace.telemetry.events import LOG

PACKAGE: Final = "headrace.stages.edges"


class Departures:
    """Knows which events are through and still in the file, and deletes them, soon and many at once.

    What could not be deleted is tried again until the file is closed. Loop's thread only.
    """

    def __init__(self, path: Path, disk: FullDisk) -> None:
        self._path = path
        self._disk = disk
        self._ids: set[int] = set()
        self._writer: SqliteWriter | None = None
        self._next: asyncio.Handle | None = None
        self._is_deleting = False

    def open(self, writer: SqliteWriter) -> None:
        """Delete with `writer` from now on."""
        self._writer = writer
        self._ids.clear()

    def add(self, number: int) -> None:
        """Have an event leave."""
        self._ids.add(number)
        if self._next is None and not self._is_deleting:
            self._next = asyncio.get_running_loop().call_soon(self._delete)

    def left(self) -> tuple[int, ...]:
        """Return those of which it is not known yet that they are gone."""
        return tuple(self._ids)

    def gone(self, ids: Sequence[int]) -> None:
        """Take note that events are deleted."""
        self._ids.difference_update(ids)

    def close(self) -> None:
        """Try a last time, before the writer is closed; say what stays."""
        writer, self._writer = self._writer, None
        if self._next is not None:
            self._next.cancel()
            self._next = None
        if writer is not None and self._ids:
            writer.begin(partial(delete, self.left())).add_done_callback(partial(self._tell_last, len(self._ids)))

    def _delete(self) -> None:
        self._next = None
        if self._writer is not None and self._ids:
            self._is_deleting = True
            ids = self.left()
            self._writer.begin(partial(delete, ids)).add_done_callback(partial(self._tell, ids))

    def _tell(self, ids: Sequence[int], deleting: "asyncio.Future[None]") -> None:
        self._is_deleting = False
        error = deleting.exception()
        pause = 0.0 if error is None else LONGEST_PAUSE_SECONDS
        if error is None:
            self.gone(ids)
            self._disk.took("delete")
        elif isinstance(error, DiskFull):
            pause = self._disk.refused("delete", error)
        if self._writer is not None and self._ids:
            self._next = asyncio.get_running_loop().call_later(pause, self._delete)

    def _tell_last(self, count: int, deleting: "asyncio.Future[None]") -> None:
        error = deleting.exception()
        if error is not None:
            why = "%d events that are through stay in the buffer %s, and come again in the next run: %s"
            LOG.warning(why, count, self._path, error)


def delete(ids: Sequence[int], connection: sqlite3.Connection) -> None:
    """Delete events; those that are gone already are no mistake."""
    connection.execute(sql_text(PACKAGE, "delete"), (json.dumps(ids),))
