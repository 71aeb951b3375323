"""The lease owners of a SQLite store: their heartbeats, locks and deaths."""

import os
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from headrace.database.owner_locks import OwnerLocks
from headrace.jobs.job import (
    after,
    to_text,
)
from headrace.jobs.stores.sql.sql_store import query
from headrace.jobs.stores.store import (
    CRASH_LIMIT,
    CRASH_REASON,
    HEARTBEAT_SECONDS,
    MISSED_HEARTBEATS,
    LeaseOwner,
    Rescued,
)

FORGET_SECONDS: Final = 86_400.0
"""How long the row of a dead lease owner stays that holds no jobs: for users who look for its node."""


@dataclass(slots=True, eq=False)
class _Seen:
    """The heartbeat count of another lease owner, and over how many heartbeats of ours it has stood still."""

    count: int
    silent_heartbeats: int = 0


class Producers:
    """The lease owners of this OS process, and those that it sees beside them."""

    def __init__(self, now: Callable[[], datetime], locks: OwnerLocks) -> None:
        self._now = now
        self._locks = locks
        self._pid = os.getpid()
        self._ours: dict[str, tuple[LeaseOwner, str]] = {}
        self._seen: dict[str, _Seen] = {}

    def is_known(self, owner: LeaseOwner) -> bool:
        """Return whether it is kept alive."""
        return owner.uuid in self._ours

    def join(self, owner: LeaseOwner, started_at: datetime) -> None:
        """Keep it alive from the next heartbeat on."""
        self._ours[owner.uuid] = (owner, to_text(started_at))

    def record_heartbeat(self, connection: sqlite3.Connection, owner: LeaseOwner, started_at: str) -> None:
        """Write that it lives: in the transaction of its first claim, and at each heartbeat.

        Its lock is held before its row says so, and until the row no longer does: who holds none then is dead.
        """
        self._locks.lock(owner.uuid)
        until = to_text(after(self._now(), HEARTBEAT_SECONDS * MISSED_HEARTBEATS))
        values = (owner.uuid, owner.node, owner.queue, started_at, until, self._locks.file_id)
        connection.execute(query("beat"), values)

    def heartbeat(self, connection: sqlite3.Connection) -> None:
        """Write the heartbeats of ours, and read those of the others."""
        for owner, started_at in list(self._ours.values()):
            self.record_heartbeat(connection, owner, started_at)
        seen: dict[str, _Seen] = {}
        for uuid, count in connection.execute(query("beats")):
            before = self._seen.get(uuid)
            is_silent = before is not None and before.count == count
            seen[uuid] = _Seen(count, before.silent_heartbeats + 1 if before is not None and is_silent else 0)
        self._seen = seen

    def orphans(self, connection: sqlite3.Connection) -> list[str]:
        """Return the lease owners whose OS process is known to be dead, and whose jobs were not taken back since."""
        rows = connection.execute(query("owners")).fetchall()
        return [uuid for uuid, file_id in rows if self._locks.is_alive(uuid, file_id) is False]

    def rescue(self, connection: sqlite3.Connection) -> list[Rescued]:
        """Take back what dead lease owners ran."""
        rescued: list[Rescued] = []
        for uuid in self.orphans(connection):
            rescued += self._rescue(connection, uuid)
            connection.execute(query("depose"), (uuid,))
            connection.execute(query("forget_lock"), (uuid,))
        counts = dict(connection.execute(query("beats")))
        for uuid, seen in self._seen.items():
            is_silent = seen.silent_heartbeats >= MISSED_HEARTBEATS and counts.get(uuid) == seen.count
            if is_silent and uuid not in self._ours:
                rescued += self._rescue(connection, uuid)
        connection.execute(query("bury"), (to_text(after(self._now(), -FORGET_SECONDS)),))
        return rescued

    def leave(self, connection: sqlite3.Connection, uuids: Sequence[str]) -> None:
        """Forget lease owners. Jobs that one of them still runs are rescued in time, by its silence."""
        for uuid in uuids:
            self._ours.pop(uuid, None)
            connection.execute(query("leave"), (uuid,))
            connection.execute(query("forget_lock"), (uuid,))

    def left(self, uuids: Sequence[str]) -> None:
        """Let go of the locks of lease owners that have left: call it once that is committed."""
        for uuid in uuids:
            self._locks.release(uuid)

    def ours(self) -> list[str]:
        """Return the lease owners of this OS process: in a forked child none, since they are the parent's."""
        return list(self._ours) if os.getpid() == self._pid else []

    def _rescue(self, connection: sqlite3.Connection, uuid: str) -> list[Rescued]:
        """Take back the jobs of a dead lease owner: it crashed, unless it was asked to stop."""
        stopping = connection.execute(query("is_stopping"), (uuid,)).fetchone()
        is_crash = stopping is None or not stopping[0]
        values = {"uuid": uuid, "is_crash": is_crash, "now": to_text(self._now())}
        limits = {"limit": CRASH_LIMIT, "reason": CRASH_REASON} if is_crash else {}
        names = ("set_aside", "rescue") if is_crash else ("rescue",)
        rows = [row for name in names for row in connection.execute(query(name), values | limits).fetchall()]
        return [Rescued(*row) for row in rows]
