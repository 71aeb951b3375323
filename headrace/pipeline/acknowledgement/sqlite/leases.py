"""Says that this store lives while it replays, sees who else does, and takes back what dead ones had; writer's thread.

Whether somebody lives is not judged by a clock: whoever says nothing new over MISSED_BEATS beats of *ours* is dead.
"""

import sqlite3
from typing import Final

from headrace.pipeline.acknowledgement.sqlite.queries import query

HEARTBEAT_SECONDS: Final = 3.0
"""How often a store that replays says that it lives, and looks who else does."""

MISSED_HEARTBEATS: Final = 5
"""After so many beats of ours without one of theirs they are dead: 15 s."""

CRASH_LIMIT: Final = 3
"""What so many stores have died over is replayed no more, until somebody asks for it again."""


class ReplayLeases:
    """This store among those that replay letters of the file."""

    def __init__(self, uuid: str) -> None:
        self.uuid = uuid
        self.has_leased = False
        self._seen: dict[str, tuple[int, int]] = {}

    def write_heartbeat(self, connection: sqlite3.Connection) -> None:
        """Say that this one lives."""
        connection.execute(query("heartbeat"), (self.uuid,))

    def heartbeat(self, connection: sqlite3.Connection) -> None:
        """Say so if it has taken anything, and take back what those had that are silent for too long."""
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
        """Let go of all that this one has taken, and be forgotten."""
        self.has_leased = False
        connection.execute(query("release_all"), (self.uuid,))
        connection.execute(query("remove_owner"), (self.uuid,))
