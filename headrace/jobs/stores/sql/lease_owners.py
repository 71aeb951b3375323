"""The lease owners of a SQL store: their heartbeats, locks and deaths."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

from headrace.database.heartbeat import HEARTBEAT_SECONDS, MISSED_HEARTBEATS, Heartbeats
from headrace.database.owner_locks import OwnerLocks
from headrace.jobs.job import after
from headrace.jobs.stores.sql.dialect import Session
from headrace.jobs.stores.store import CRASH_LIMIT, CRASH_REASON, LeaseOwner, Rescued

FORGET_SECONDS: Final = 86_400.0
"""How long the row of a dead lease owner without jobs stays, for users who look for its node."""


class LeaseOwners:
    """The lease owners of this OS process, and the others in the same database."""

    def __init__(self, query: Callable[[str], str], now: Callable[[], datetime], locks: OwnerLocks | None) -> None:
        """Without `locks` heartbeats alone show which owners have died."""
        self._query = query
        self._now = now
        self._locks = locks
        self._heartbeats = Heartbeats[tuple[LeaseOwner, datetime]]()

    @property
    def ours(self) -> list[str]:
        """The lease owners of this OS process."""
        return list(self._heartbeats.ours)

    def is_known(self, owner: LeaseOwner) -> bool:
        """Return whether its heartbeats are written."""
        return owner.uuid in self._heartbeats

    def join(self, owner: LeaseOwner, started_at: datetime) -> None:
        """Write its heartbeats from the next one on."""
        self._heartbeats.join(owner.uuid, (owner, started_at))

    async def write_heartbeat(self, session: Session, owner: LeaseOwner, started_at: datetime) -> None:
        """Write a heartbeat: in the transaction of its first claim, and then every HEARTBEAT_SECONDS.

        Its lock is held before its row exists and until the row is gone: an owner whose lock is free is dead.
        """
        file_id = None
        if self._locks is not None:
            self._locks.lock(owner.uuid)
            file_id = self._locks.file_id
        until = after(self._now(), HEARTBEAT_SECONDS * MISSED_HEARTBEATS)
        await session.change(self._query("heartbeat"), owner.uuid, owner.node, owner.queue, started_at, until, file_id)

    async def heartbeat(self, session: Session) -> None:
        """Write the heartbeats of our owners, and read all."""
        for owner, started_at in self._heartbeats.ours.values():
            await self.write_heartbeat(session, owner, started_at)
        self._heartbeats.observe(await self._counts(session))

    async def orphans(self, session: Session) -> list[str]:
        """Return the owners whose free lock shows that they are dead, and whose jobs were not rescued since."""
        locks = self._locks
        if locks is None:
            return []
        rows = await session.rows(self._query("owners"))
        return [uuid for uuid, file_id in rows if locks.is_alive(uuid, file_id) is False]

    async def rescue(self, session: Session) -> list[Rescued]:
        """Rescue the jobs of dead owners."""
        rescued: list[Rescued] = []
        for uuid in await self.orphans(session):
            rescued += await self._rescue(session, uuid)
            await session.change(self._query("remove_lease"), uuid)
            await session.change(self._query("forget_lock"), uuid)
        for uuid in self._heartbeats.dead(await self._counts(session)):
            rescued += await self._rescue(session, uuid)
        await session.change(self._query("forget_owners"), after(self._now(), -FORGET_SECONDS))
        return rescued

    async def leave(self, session: Session, uuids: Sequence[str]) -> None:
        """Remove owners. Jobs that one of them still runs are rescued once it has missed its heartbeats."""
        for uuid in uuids:
            self._heartbeats.leave(uuid)
            await session.change(self._query("leave"), uuid)
            await session.change(self._query("forget_lock"), uuid)

    def left(self, uuids: Sequence[str]) -> None:
        """Release the locks of removed owners: call it once that is committed."""
        for uuid in uuids:
            if self._locks is not None:
                self._locks.release(uuid)

    async def _counts(self, session: Session) -> Mapping[str, int]:
        return dict(await session.rows(self._query("heartbeats")))

    async def _rescue(self, session: Session, uuid: str) -> list[Rescued]:
        """Rescue the jobs of a dead owner: it crashed, unless it was asked to stop."""
        stopping = await session.rows(self._query("is_stopping"), uuid)
        is_crash = not stopping or not stopping[0][0]
        rows = []
        if is_crash:
            rows = await session.rows(self._query("discard_crashed"), uuid, self._now(), CRASH_LIMIT, CRASH_REASON)
        rows += await session.rows(self._query("rescue"), uuid, is_crash)
        return [Rescued(*row) for row in rows]
