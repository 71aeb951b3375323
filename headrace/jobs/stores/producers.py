"""Says for claimants that they live, sees who else does, and takes back what the dead ones ran; in the writer's thread.

No clock judges whether a claimant lives. On the same machine the lock of its OS process tells at once that it is dead.
Elsewhere a claimant is dead that says nothing new over MISSED_BEATS beats of *ours*: a clock that is set, a machine
that slept, and a file that was locked for long kill none.
"""

import os
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from headrace.database.owner_locks import OwnerLocks
from headrace.jobs.job import after, to_text
from headrace.jobs.stores.sql.sql_store import query
from headrace.jobs.stores.store import BEAT_SECONDS, CRASH_LIMIT, CRASH_REASON, MISSED_BEATS, Claimant, Rescued

BURIED_SECONDS: Final = 86_400.0
"""How long a row of a dead claimant stays that runs nothing more: for whoever wants to know what there was."""


@dataclass(slots=True, eq=False)
class _Seen:
    """What another claimant said last, and over how many beats of ours."""

    said: int
    beats: int = 0


class Producers:
    """The claimants of this OS process, and those that it sees beside them."""

    def __init__(self, now: Callable[[], datetime], locks: OwnerLocks) -> None:
        self._now = now
        self._locks = locks
        self._pid = os.getpid()
        self._ours: dict[str, tuple[Claimant, str]] = {}
        self._seen: dict[str, _Seen] = {}

    def is_known(self, claimant: Claimant) -> bool:
        """Return whether it is kept alive."""
        return claimant.uuid in self._ours

    def join(self, claimant: Claimant, started_at: datetime) -> None:
        """Keep it alive from the next beat on."""
        self._ours[claimant.uuid] = (claimant, to_text(started_at))

    def say(self, connection: sqlite3.Connection, claimant: Claimant, started_at: str) -> None:
        """Say that it lives: in the transaction of its first claim, and at each beat.

        Its lock is held before its row says so, and until the row no longer does: who holds none then is dead.
        """
        self._locks.hold(claimant.uuid)
        until = to_text(after(self._now(), BEAT_SECONDS * MISSED_BEATS))
        values = (claimant.uuid, claimant.node, claimant.queue, started_at, until, self._locks.file_id)
        connection.execute(query("beat"), values)

    def beat(self, connection: sqlite3.Connection) -> None:
        """Say that all of ours live, and see what the others have said."""
        for claimant, started_at in list(self._ours.values()):
            self.say(connection, claimant, started_at)
        seen: dict[str, _Seen] = {}
        for uuid, said in connection.execute(query("beats")):
            before = self._seen.get(uuid)
            is_silent = before is not None and before.said == said
            seen[uuid] = _Seen(said, before.beats + 1 if before is not None and is_silent else 0)
        self._seen = seen

    def orphans(self, connection: sqlite3.Connection) -> list[str]:
        """Return the claimants whose OS process is known to be dead, and whose jobs were not taken back since."""
        rows = connection.execute(query("owners")).fetchall()
        return [uuid for uuid, file_id in rows if self._locks.is_alive(uuid, file_id) is False]

    def rescue(self, connection: sqlite3.Connection) -> list[Rescued]:
        """Take back what dead claimants ran."""
        rescued: list[Rescued] = []
        for uuid in self.orphans(connection):
            rescued += self._rescue(connection, uuid)
            connection.execute(query("depose"), (uuid,))
            connection.execute(query("forget_lock"), (uuid,))
        said = dict(connection.execute(query("beats")))
        for uuid, seen in self._seen.items():
            if seen.beats >= MISSED_BEATS and uuid not in self._ours and said.get(uuid) == seen.said:
                rescued += self._rescue(connection, uuid)
        connection.execute(query("bury"), (to_text(after(self._now(), -BURIED_SECONDS)),))
        return rescued

    def leave(self, connection: sqlite3.Connection, uuids: Sequence[str]) -> None:
        """Forget claimants. What one of them still runs is rescued in time, by its silence: its OS process lives on."""
        for uuid in uuids:
            self._ours.pop(uuid, None)
            connection.execute(query("leave"), (uuid,))
            connection.execute(query("forget_lock"), (uuid,))

    def left(self, uuids: Sequence[str]) -> None:
        """Let go of the locks of claimants that have left: call it once that is committed."""
        for uuid in uuids:
            self._locks.release(uuid)

    def ours(self) -> list[str]:
        """Return the claimants of this OS process: in a forked child none, since they are the parent's."""
        return list(self._ours) if os.getpid() == self._pid else []

    def _rescue(self, connection: sqlite3.Connection, uuid: str) -> list[Rescued]:
        """Take back the jobs of a dead claimant: it crashed, unless it was asked to stop."""
        stopping = connection.execute(query("is_stopping"), (uuid,)).fetchone()
        is_crash = stopping is None or not stopping[0]
        values = {"uuid": uuid, "is_crash": is_crash, "now": to_text(self._now())}
        limits = {"limit": CRASH_LIMIT, "reason": CRASH_REASON} if is_crash else {}
        names = ("set_aside", "rescue") if is_crash else ("rescue",)
        rows = [row for name in names for row in connection.execute(query(name), values | limits).fetchall()]
        return [Rescued(*row) for row in rows]
