"""Dead letters in one SQLite file: one thread writes, in groups; another one reads beside it."""

import asyncio
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

from headrace.database.sqlite_file import SqliteError
from headrace.database.sqlite_threads import SqliteReader, SqliteWriter
from headrace.pipeline.acknowledgement.dead_letter import DeadLetter, NewDeadLetter, Replay
from headrace.pipeline.acknowledgement.dead_letters import (
    CHANGE_BATCH,
    DeadLetterCounts,
    DeadLetterFilter,
    LeasedDeadLetter,
    ReplayResult,
)
from headrace.pipeline.acknowledgement.event_text import MOST_EVENT_BYTES, to_event_text
from headrace.pipeline.acknowledgement.limits import DeadLetterLimits
from headrace.pipeline.acknowledgement.sqlite.bounds import Trimmed, trim
from headrace.pipeline.acknowledgement.sqlite.leases import HEARTBEAT_SECONDS, ReplayLeases
from headrace.pipeline.acknowledgement.sqlite.queries import prepare, query
from headrace.pipeline.acknowledgement.sqlite.rows import (
    count,
    find,
    find_ids,
    ids_text,
    leased,
    to_text,
    values_of,
)
from headrace.telemetry.events import LOG

_ANY_BOUNDS: Final = DeadLetterLimits()

CLOSE_SECONDS: Final = 5.0
"""For so long it is tried, where the file is locked, to let go of what was taken."""

SET_SECONDS: Final = 3600.0
"""By so much the calendar may be set forward while the store is open; what is beyond that is taken for a mistake."""

PUT_BYTES: Final = 4 * 1024 * 1024
"""Of so much text the letters go in by one transaction."""

MIN_DEAD_LETTERS: Final = 4
"""One letter takes a quarter of the bound at most, however small that is."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class SqliteDeadLetterStore:
    """A store of dead letters in one file, which several pipelines and OS processes may share.

    What was put survives a power cut: the commit waits for the disk. How replays ended may be forgotten by one, so that
    letters of the last moments are replayed again; the crash of an OS process alone forgets nothing.
    """

    def __init__(
        self,
        path: Path | str,
        bounds: DeadLetterLimits = _ANY_BOUNDS,
        *,
        now: Callable[[], datetime] = _utc_now,
        clock: Callable[[], float] = time.monotonic,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
    ) -> None:
        """`clock` tells seconds and never goes back.

        `heartbeat_seconds` is how often it says that it lives, for others that replay letters of the same file.
        """
        self.path = Path(path)
        self.bounds = bounds
        self.now = now
        self._most_event_bytes = min(MOST_EVENT_BYTES, bounds.max_size_bytes // MIN_DEAD_LETTERS)
        self._counts = DeadLetterCounts()
        self._counting = threading.Lock()
        self._logged: set[str] = set()
        self._leases = ReplayLeases(uuid.uuid4().hex)
        self._clock = clock
        self._opened = (now(), clock())
        self._heartbeat_seconds = heartbeat_seconds
        self._is_closed = False
        self._make()

    def _make(self) -> None:
        self.writer = SqliteWriter(self.path, opened=prepare)
        self.writer.every(self._heartbeat_seconds, self._heartbeat)
        self._reader = SqliteReader(self.path)

    async def open(self) -> None:
        """Make the folder, the file and the tables if there are none. It may be opened again once it was closed.

        Raises SqliteError, or NewerDeadLetters.
        """
        if self._is_closed:
            self._make()
            self._is_closed = False
        self._opened = (self.now(), self._clock())
        with suppress(OSError):  # SQLite itself says best what is wrong with a folder
            self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            await self.writer.start()
            await self._reader.start()
            self._trimmed(await self.writer.run(self._trim, is_durable=False))
        except BaseException:
            await self._shut()
            raise

    async def close(self) -> None:
        """Write what was accepted, let go of what was taken, and close the file. A second time, do nothing.

        A file that stays locked is given up after a while; what could not be let go of is taken back by others in time.
        """
        try:
            if self._leases.has_leased:
                with suppress(SqliteError, TimeoutError):
                    async with asyncio.timeout(CLOSE_SECONDS):
                        await self.writer.run(self._leases.leave, is_durable=False)
        finally:
            await self._shut()

    async def put(self, dead_letters: Sequence[NewDeadLetter]) -> None:
        """Keep letters, and drop what is beyond the bounds, oldest first; durable at return.

        Many large ones go in by pieces, so that no more than PUT_BYTES of text wait at a time, and others of the loop
        have their turn. When it raises, or is cancelled, some may be kept all the same.
        """
        now, values, size = self.now(), list[Mapping[str, object]](), 0
        for dead_letter in dead_letters:
            text = to_event_text(dead_letter, self._most_event_bytes)
            values.append(values_of(dead_letter, text, now, self._leases.uuid))
            size += text.size
            if size >= PUT_BYTES:
                await self._put(values)
                values, size = [], 0
        if values:
            await self._put(values)

    async def _put(self, values: Sequence[Mapping[str, object]]) -> None:
        def work(connection: sqlite3.Connection) -> Trimmed:
            for one in values:
                _put(connection, one)
            return self._trim(connection)

        self._trimmed(await self.writer.run(work), put=len(values))

    # Looking

    async def find(
        self, which: DeadLetterFilter, limit: int, *, is_newest_first: bool = True, most_characters: int | None = None
    ) -> list[DeadLetter]:
        """Return at most `limit` letters that fit, by id; of longer events at most so many characters."""
        order = "desc" if is_newest_first else "asc"
        return await self._reader.run(lambda connection: find(connection, which, limit, order, most_characters))

    async def count(self, which: DeadLetterFilter) -> int:
        """Return how many fit."""
        return await self._reader.run(lambda connection: count(connection, which))

    def counts(self) -> DeadLetterCounts:
        """Return what it holds and has done, as it was known last; without a look at the file."""
        return self._counts

    # Changing

    async def drop(self, which: DeadLetterFilter) -> int:
        """Delete letters, whoever replays them; return how many."""
        changed = await self._change(which, lambda ids: (query("delete"), (ids_text(ids),)))
        self._trimmed(await self.writer.run(self._trim, is_durable=False))
        return changed

    async def request_replay(self, which: DeadLetterFilter, rate: float | None = None) -> int:
        """Have letters replayed into the stages where they failed, at most `rate` a second; return how many."""
        values = {"at": to_text(self.now()), "rate": rate}
        return await self._change(which, lambda ids: (query("request_replay"), {**values, "ids": ids_text(ids)}))

    async def cancel_replay(self, which: DeadLetterFilter) -> int:
        """Have letters not replayed that wait for it; return how many. What a run is at goes on."""
        return await self._change(which, lambda ids: (query("cancel_replay"), (ids_text(ids),)))

    # Replaying

    async def waiting(self, pipeline: str) -> list[str]:
        """Return the stages of the pipeline whose letters wait to be replayed, and that nobody has taken."""
        values = {"pipeline": pipeline}
        return await self._reader.run(lambda c: [row[0] for row in c.execute(query("waiting_stages"), values)])

    async def lease(self, pipeline: str, stage: str, count: int) -> list[LeasedDeadLetter]:
        """Take at most `count` letters of the stage that wait, oldest first."""
        return await self.writer.run(
            partial(self._lease, values=(pipeline, stage, count)),
            is_durable=False,
            unwanted=lambda leased: self.writer.post(partial(self._release, replays=[one.replay for one in leased])),
        )

    async def acknowledge(self, results: Sequence[ReplayResult]) -> None:
        """Write how replays ended; what is no longer this store's is ignored."""
        done = self._values(one.replay for one in results if one.is_done)
        failed = self._values(one.replay for one in results if not one.is_done)

        def work(connection: sqlite3.Connection) -> Trimmed:
            connection.executemany(query("done"), done)
            connection.executemany(query("failed"), failed)
            return self._trim(connection)

        self._trimmed(await self.writer.run(work, is_durable=False))

    async def release(self, replays: Sequence[Replay]) -> None:
        """Let letters wait again that were taken and not begun; what is no longer this store's is ignored."""
        await self.writer.run(partial(self._release, replays=replays), is_durable=False)

    def _lease(self, connection: sqlite3.Connection, values: tuple[str, str, int]) -> list[LeasedDeadLetter]:
        ids = [row[0] for row in connection.execute(query("waiting"), values)]
        if not ids:
            return []
        self._leases.has_leased = True
        self._leases.write_heartbeat(connection)
        connection.execute(query("lease"), (self._leases.uuid, ids_text(ids)))
        return leased(connection, ids)

    def _release(self, connection: sqlite3.Connection, replays: Sequence[Replay]) -> None:
        connection.executemany(query("release"), self._values(replays))

    def _values(self, replays: Iterable[Replay]) -> list[tuple[int, int, str]]:
        return [(one.id, one.lease, self._leases.uuid) for one in replays]

    async def _change(
        self,
        which: DeadLetterFilter,
        order: Callable[[Sequence[int]], tuple[str, tuple[object, ...] | Mapping[str, object]]],
    ) -> int:
        """Find what fits, then change it piece by piece, so that no event that fails waits for all of it."""
        found = await self._reader.run(lambda connection: find_ids(connection, which))
        changed = 0
        for begin in range(0, len(found), CHANGE_BATCH):
            text, values = order(found[begin : begin + CHANGE_BATCH])
            changed += await self.writer.run(partial(_changed, text=text, values=values))
        return changed

    # Upkeep

    def _heartbeat(self, connection: sqlite3.Connection) -> None:
        self._leases.heartbeat(connection)
        self._trimmed(self._trim(connection))

    def _trim(self, connection: sqlite3.Connection) -> Trimmed:
        """Keep within the bounds; a calendar that is set forward makes nothing old that has not become so here."""
        opened_at, seconds = self._opened
        most = opened_at + timedelta(seconds=self._clock() - seconds + SET_SECONDS)
        return trim(connection, self.bounds, min(self.now(), most))

    def _trimmed(self, trimmed: Trimmed, put: int = 0) -> None:
        """Count what went, and say so once for each bound; in the writer's thread, too."""
        for reason, dropped in (("age", trimmed.age), ("count", trimmed.count), ("size", trimmed.size)):
            if dropped and reason not in self._logged:
                self._logged.add(reason)
                LOG.warning(_DROPPED[reason], self.path)
        with self._counting:
            was = self._counts
            self._counts = DeadLetterCounts(
                trimmed.dead_letters,
                trimmed.size_bytes,
                was.put + put,
                was.dropped_for_age + trimmed.age,
                was.dropped_for_count + trimmed.count,
                was.dropped_for_size + trimmed.size,
            )

    async def _shut(self) -> None:
        await self._reader.aclose()
        await self.writer.aclose()
        self._is_closed = True


_DROPPED: Final = {
    "age": "dead letters in %s have reached their max_age, and are dropped (later ones are counted, not logged)",
    "count": "the dead letters in %s are more than max_events: the oldest are dropped "
    "(later ones are counted, not logged); replay or drop some, or let it keep more",
    "size": "the dead letters in %s take more than max_size: the oldest are dropped "
    "(later ones are counted, not logged); replay or drop some, or let it keep more",
}


def _put(connection: sqlite3.Connection, values: Mapping[str, object]) -> None:
    """Insert a letter, unless it is the replay of one that is still there, and in this store's hands."""
    if values["id"] is None or not connection.execute(query("update_failed"), values).rowcount:
        connection.execute(query("insert"), values)


def _changed(connection: sqlite3.Connection, text: str, values: tuple[object, ...] | Mapping[str, object]) -> int:
    return connection.execute(text, values).rowcount
