"""Rescue: what a dead OS process ran is run again."""

from typing import Final, Protocol

from headrace.ground.telemetry import LOG
from headrace.jobs.stores.store import Rescued

RESCUE_SECONDS: Final = 5.0
"""How often the leader does it: with the 15 s after which a silent claimant is dead, its jobs are back within 30 s.

Each process does it within a second where the store knows that the claimant's OS process is dead."""


class Rescues(Protocol):
    """What the rescue needs of a store; see `JobStore`."""

    async def rescue(self) -> list[Rescued]:
        """Take back what dead claimants ran."""


class Rescue:
    """Takes back what dead processes ran. The store decides who is dead, and tells the queues."""

    name = "rescue"

    def __init__(self, store: Rescues) -> None:
        self._store = store
        self.rescued = 0
        self.set_aside = 0

    async def run(self) -> float:
        """Do it; return in how many seconds it is due again."""
        for job in await self._store.rescue():
            if job.state == "available":
                self.rescued += 1
                LOG.warning("job %d of queue %r is run again: the process that ran it has died", job.id, job.queue)
            else:
                self.set_aside += 1
                LOG.error("job %d of queue %r is set aside: each process that ran it has died", job.id, job.queue)
        return RESCUE_SECONDS
