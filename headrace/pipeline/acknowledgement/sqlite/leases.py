"""Replay leases: this store's heartbeat while it replays, and release of leases of dead owners; writer's thread.

No clock decides whether an owner lives: one without a new heartbeat over MISSED_HEARTBEATS of *ours* is dead.
"""

import sqlite3
from typing import Final

from headrace.pipeline.acknowledgement.sqlite.queries import query

HEARTBEAT_SECONDS: Final = 3.0
"""How often a store that replays writes its heartbeat and checks those of others."""

MISSED_HEARTBEATS: Final = 5
"""After so many heartbeats of ours without one of an owner it is dead: 15 s."""

CRASH_LIMIT: Final = 3
"""A dead letter over which so many owners died is not replayed until its replay is requested again."""


class ReplayLeases:
    """The leases of this store, beside those of other stores on the same file."""

    def __init__(self, uuid: str) -> None:
        self.uuid = uuid
        self.has_leased = False
        self._seen: dict[str, tuple[int, int]] = {}

    def write_heartbeat(self, connection: sqlite3.Connection) -> None:
        """Write this store's heartbeat."""
        connection.execute(query("heartbeat"), (self.uuid,))

    def heartbeat(self, connection: sqlite3.Connection) -> None:
        """Write a heartbeat if this store has leases; release the leases of dead owners."""
        if self.has_leased:
            self.write_heartbeat(connection)
        seen: dict[str, tuple[int, int]] = {}
        for uuid, count in connection.execute(query("heartbeats")).fetchall():
            before, missed = self._seen.get(uuid, (None, 0))
            seen[uuid] = (count, missed + 1 if before == count else 0)
            if uuid != self.uuid and seen[uuid][1] >= MISSED_HEARTBEATS:
                connection.execute(query("release_dead"), {"owner": uuid, "limit": CRASH_LIMIT})
                connection.execute(query("remove_owner"), (uuid,))
        self._seen = seen

    def leave(self, connection: sqlite3.Connection) -> None:
        """Release all leases of this store, and remove its heartbeat."""
        self.has_leased = False
        connection.execute(query("release_all"), (self.uuid,))
        connection.execute(query("remove_owner"), (self.uuid,))
