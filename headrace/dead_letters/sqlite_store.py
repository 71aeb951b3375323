"""Dead letters in one SQLite file: one thread writes, in groups; another one reads beside it; leases of replays."""

import asyncio
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

from headrace.clock import utc_now
from headrace.database.heartbeat import HEARTBEAT_SECONDS, Heartbeats
from headrace.database.sqlite_file import SqliteError
from headrace.database.sqlite_threads import SqliteReader, SqliteWriter
from headrace.dead_letters.dead_letter import DeadLetter, NewDeadLetter, Replay
from headrace.dead_letters.event_text import MOST_EVENT_BYTES, to_event_text
from headrace.dead_letters.sqlite_rows import (
    Trimmed,
    count,
    find,
    find_ids,
    ids_text,
    leased,
    prepare,
    query,
    to_text,
    trim,
    values_of,
)
from headrace.dead_letters.store import (
    CHANGE_BATCH,
    DeadLetterCounts,
    DeadLetterFilter,
    DeadLetterLimits,
    LeasedDeadLetter,
    ReplayResult,
    path_of,
)
from headrace.telemetry.events import LOG

CRASH_LIMIT: Final = 3
"""A dead letter is not replayed after so many of its owners died, until its replay is requested again."""


class ReplayLeases:
    """The leases of this store. Other stores on the same file have their own."""

    def __init__(self, uuid: str) -> None:
        self.uuid = uuid
        self._heartbeats = Heartbeats[None]()

    @property
    def has_leased(self) -> bool:
        """Whether this store may have leases."""
        return self.uuid in self._heartbeats

    def join(self, connection: sqlite3.Connection) -> None:
        """Write a heartbeat now, before the first lease, and from now on."""
        self._heartbeats.join(self.uuid, None)
        connection.execute(query("heartbeat"), (self.uuid,))

    def heartbeat(self, connection: sqlite3.Connection) -> None:
        """Write a heartbeat if this store has leases; release the leases of dead owners."""
        if self.has_leased:
            connection.execute(query("heartbeat"), (self.uuid,))
        counts = dict(connection.execute(query("heartbeats")))
        self._heartbeats.observe(counts)
        for owner in self._heartbeats.dead(counts):
            connection.execute(query("release_dead"), {"owner": owner, "limit": CRASH_LIMIT})
            connection.execute(query("remove_owner"), (owner,))

    def leave(self, connection: sqlite3.Connection) -> None:
        """Release all leases of this store, and remove its heartbeat."""
        self._heartbeats.leave(self.uuid)
        connection.execute(query("release_all"), (self.uuid,))
        connection.execute(query("remove_owner"), (self.uuid,))


_ANY_BOUNDS: Final = DeadLetterLimits()

CLOSE_SECONDS: Final = 5.0
"""Seconds for which `close` tries to release leases while the file is locked."""

SET_SECONDS: Final = 3600.0
"""The most seconds that the system clock may jump forward while the store is open; a longer jump is ignored."""

PUT_BYTES: Final = 4 * 1024 * 1024
"""The bytes of dead letters that one transaction inserts."""

MIN_DEAD_LETTERS: Final = 4
"""The fewest dead letters that fit into a store: one may use a quarter of the limit."""


class SqliteDeadLetterStore:
    """A store of dead letters in one file, which several pipelines and OS processes may share.

    Stored dead letters survive a power cut: the commit waits for the disk. A power cut may lose the results of the last
    replays, which are then repeated. The crash of an OS process loses nothing.
    """

    def __init__(
        self,
        path: Path | str,
        bounds: DeadLetterLimits = _ANY_BOUNDS,
        *,
        now: Callable[[], datetime] = utc_now,
        clock: Callable[[], float] = time.monotonic,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
    ) -> None:
        """`clock` returns monotonic seconds.

        `heartbeat_seconds` is the time between two heartbeats, which other stores on the same file read.
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
        """Make the folder, the file and the tables where they are missing. A closed store may be opened again.

        Raises SqliteError, or NewerDeadLetters.
        """
        if self._is_closed:
            self._make()
            self._is_closed = False
        self._opened = (self.now(), self._clock())
        with suppress(OSError):  # the error of SQLite explains best why a folder cannot be used
            self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            await self.writer.start()
            await self._reader.start()
            self._trimmed(await self.writer.run(self._trim, is_durable=False))
        except BaseException:
            await self._shut()
            raise

    async def close(self) -> None:
        """Write accepted dead letters, release leased ones, and close the file. A second call does nothing.

        It waits CLOSE_SECONDS for a locked file; other stores release the leases that it could not release.
        """
        try:
            if self._leases.has_leased:
                with suppress(SqliteError, TimeoutError):
                    async with asyncio.timeout(CLOSE_SECONDS):
                        await self.writer.run(self._leases.leave, is_durable=False)
        finally:
            await self._shut()

    async def put(self, dead_letters: Sequence[NewDeadLetter]) -> None:
        """Store dead letters, and drop those beyond the limits, oldest first; durable at return.

        Each transaction inserts about PUT_BYTES of text, so that the loop and other writers run between them. When it
        raises or is cancelled, some dead letters may be stored.
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

    # Reads

    async def find(
        self, which: DeadLetterFilter, limit: int, *, is_newest_first: bool = True, most_characters: int | None = None
    ) -> list[DeadLetter]:
        """Return at most `limit` matching dead letters, by id; events are cut to `most_characters`."""
        order = "desc" if is_newest_first else "asc"
        return await self._reader.run(lambda connection: find(connection, which, limit, order, most_characters))

    async def count(self, which: DeadLetterFilter) -> int:
        """Return how many dead letters match."""
        return await self._reader.run(lambda connection: count(connection, which))

    def counts(self) -> DeadLetterCounts:
        """Return the counts as of the last write; does not read the file."""
        return self._counts

    # Changes

    async def drop(self, which: DeadLetterFilter) -> int:
        """Delete dead letters, leased ones too; return how many."""
        changed = await self._change(which, lambda ids: (query("delete"), (ids_text(ids),)))
        self._trimmed(await self.writer.run(self._trim, is_durable=False))
        return changed

    async def request_replay(self, which: DeadLetterFilter, rate: float | None = None) -> int:
        """Request the replay of dead letters, at most `rate` a second; return how many."""
        values = {"at": to_text(self.now()), "rate": rate}
        return await self._change(which, lambda ids: (query("request_replay"), {**values, "ids": ids_text(ids)}))

    async def cancel_replay(self, which: DeadLetterFilter) -> int:
        """Cancel replays that have not begun; return how many. Replays of leased dead letters continue."""
        return await self._change(which, lambda ids: (query("cancel_replay"), (ids_text(ids),)))

    # Replays

    async def waiting(self, pipeline: str) -> list[str]:
        """Return the stages of the pipeline with dead letters that wait for their replay and are not leased."""
        values = {"pipeline": pipeline}
        return await self._reader.run(lambda c: [row[0] for row in c.execute(query("waiting_stages"), values)])

    async def lease(self, pipeline: str, stage: str, count: int) -> list[LeasedDeadLetter]:
        """Lease at most `count` waiting dead letters of the stage, oldest first."""
        return await self.writer.run(
            partial(self._lease, values=(pipeline, stage, count)),
            is_durable=False,
            unwanted=lambda leased: self.writer.post(partial(self._release, replays=[one.replay for one in leased])),
        )

    async def acknowledge(self, results: Sequence[ReplayResult]) -> None:
        """Write the results of replays. Results whose lease was lost are ignored."""
        done = self._values(one.replay for one in results if one.is_done)
        failed = self._values(one.replay for one in results if not one.is_done)

        def work(connection: sqlite3.Connection) -> Trimmed:
            connection.executemany(query("done"), done)
            connection.executemany(query("failed"), failed)
            return self._trim(connection)

        self._trimmed(await self.writer.run(work, is_durable=False))

    async def release(self, replays: Sequence[Replay]) -> None:
        """Release dead letters whose replay has not begun: they wait again. Lost leases are ignored."""
        await self.writer.run(partial(self._release, replays=replays), is_durable=False)

    def _lease(self, connection: sqlite3.Connection, values: tuple[str, str, int]) -> list[LeasedDeadLetter]:
        ids = [row[0] for row in connection.execute(query("waiting"), values)]
        if not ids:
            return []
        self._leases.join(connection)
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
        """Change matching dead letters in batches, so that a failing event does not wait for all of them."""
        found = await self._reader.run(lambda connection: find_ids(connection, which))
        changed = 0
        for begin in range(0, len(found), CHANGE_BATCH):
            text, values = order(found[begin : begin + CHANGE_BATCH])
            changed += await self.writer.run(partial(_changed, text=text, values=values))
        return changed

    # Limits

    def _heartbeat(self, connection: sqlite3.Connection) -> None:
        self._leases.heartbeat(connection)
        self._trimmed(self._trim(connection))

    def _trim(self, connection: sqlite3.Connection) -> Trimmed:
        """Drop dead letters beyond the limits. A jump of the system clock makes no dead letter older."""
        opened_at, seconds = self._opened
        most = opened_at + timedelta(seconds=self._clock() - seconds + SET_SECONDS)
        return trim(connection, self.bounds, min(self.now(), most))

    def _trimmed(self, trimmed: Trimmed, put: int = 0) -> None:
        """Count dropped dead letters, and log the first for each limit; also called in the writer's thread."""
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
    """Insert a dead letter. A replay that failed again updates its dead letter, if it is still leased here."""
    if values["id"] is None or not connection.execute(query("update_failed"), values).rowcount:
        connection.execute(query("insert"), values)


def _changed(connection: sqlite3.Connection, text: str, values: tuple[object, ...] | Mapping[str, object]) -> int:
    return connection.execute(text, values).rowcount


def dead_letters_of(url: str, bounds: DeadLetterLimits = _ANY_BOUNDS) -> SqliteDeadLetterStore:
    """Return a store in the file that the URL names, not open yet. Raises BadDeadLetters."""
    return SqliteDeadLetterStore(path_of(url), bounds)
