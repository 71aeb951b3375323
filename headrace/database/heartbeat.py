"""`Heartbeats`: the lease owners of this OS process, and the dead ones of others.

No clock decides whether an owner lives: one is dead without a heartbeat over MISSED_HEARTBEATS heartbeats of *ours*. A
clock that is set, a machine that slept, and a file that was locked for long kill no owner.
"""

import os
from collections.abc import Mapping
from typing import Final, Generic, TypeVar

HEARTBEAT_SECONDS: Final = 3.0
"""How often an owner writes its heartbeat."""

MISSED_HEARTBEATS: Final = 5
"""After so many heartbeats of ours without one of its own an owner is dead: 15 s. Clocks are never compared.

A store that sees at once that an OS process is dead waits for no heartbeats."""

V = TypeVar("V")


class Heartbeats(Generic[V]):
    """Owners by name, and the number of heartbeats of each; `V` is the type of what a store keeps for its own."""

    def __init__(self) -> None:
        self._ours: dict[str, V] = {}
        self._seen: dict[str, tuple[int, int]] = {}
        self._pid = os.getpid()

    def __contains__(self, owner: str) -> bool:
        """Return whether an owner is one of ours."""
        return owner in self._ours

    @property
    def ours(self) -> dict[str, V]:
        """The owners of this OS process: in a forked child none, since they are the parent's."""
        return dict(self._ours) if os.getpid() == self._pid else {}

    def join(self, owner: str, value: V) -> None:
        """Add an owner of this OS process."""
        self._ours[owner] = value

    def leave(self, owner: str) -> None:
        """Remove an owner of this OS process, if it is one."""
        self._ours.pop(owner, None)

    def observe(self, counts: Mapping[str, int]) -> None:
        """Take the heartbeat counts of all owners; call it once for each heartbeat of ours."""
        seen = {}
        for owner, count in counts.items():
            before, missed = self._seen.get(owner, (None, 0))
            seen[owner] = (count, missed + 1 if count == before else 0)
        self._seen = seen

    def dead(self, counts: Mapping[str, int]) -> list[str]:
        """Return the dead owners; one whose count has changed since the last `observe` is alive."""
        return [
            owner
            for owner, (count, missed) in self._seen.items()
            if missed >= MISSED_HEARTBEATS and owner not in self._ours and counts.get(owner) == count
        ]
