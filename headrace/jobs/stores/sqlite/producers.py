"""Says for claimants that they live, sees who else does, and takes back what the dead ones ran; in the writer's thread.

Whether somebody lives is not judged by a clock: whoever says nothing new over MISSED_BEATS beats of *ours* is dead. A
clock that is set, a machine that slept, and a file that was locked for long kill nobody.
"""

import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from headrace.jobs.job import after, to_text
from headrace.jobs.stores.sqlite.queries import query
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

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
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
        """Say that it lives: in the transaction of its first claim, and at each beat."""
        until = to_text(after(self._now(), BEAT_SECONDS * MISSED_BEATS))
        connection.execute(query("beat"), (claimant.uuid, claimant.node, claimant.queue, started_at, until))

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

    def rescue(self, connection: sqlite3.Connection) -> list[Rescued]:
        """Take back what dead claimants ran."""
        said = dict(connection.execute(query("beats")))
        rescued: list[Rescued] = []
        for uuid, seen in self._seen.items():
            if seen.beats >= MISSED_BEATS and uuid not in self._ours and said.get(uuid) == seen.said:
                rescued += self._rescue(connection, uuid)
        connection.execute(query("bury"), (to_text(after(self._now(), -BURIED_SECONDS)),))
        return rescued

    def leave(self, connection: sqlite3.Connection, uuid: str) -> None:
        """Forget a claimant. If it runs anything still, that is rescued in time."""
        self._ours.pop(uuid, None)
        connection.execute(query("leave"), (uuid,))

    def leave_all(self, connection: sqlite3.Connection) -> None:
        """Forget all of ours. In a forked child they are the parent's, and stay."""
        for uuid in list(self._ours) if os.getpid() == self._pid else ():
            self.leave(connection, uuid)

    def _rescue(self, connection: sqlite3.Connection, uuid: str) -> list[Rescued]:
        values = {"uuid": uuid, "now": to_text(self._now()), "limit": CRASH_LIMIT, "reason": CRASH_REASON}
        rows = [row for name in ("set_aside", "rescue") for row in connection.execute(query(name), values).fetchall()]
        return [Rescued(*row) for row in rows]
