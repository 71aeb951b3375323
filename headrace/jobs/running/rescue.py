"""Rescue: what a dead OS process ran is run again."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from headrace.jobs.stores.store import Rescued
from headrace.telemetry.events import LOG

RESCUE_SECONDS: Final = 5.0
"""How often the leader does it: with the 15 s after which a silent claimant is dead, its jobs are back within 30 s.

Each process does it within a second where the store knows that the claimant's OS process is dead."""


class Rescues(Protocol):
    """What the rescue needs of a store; see `JobStore`."""

    async def rescue(self) -> list[Rescued]:
        """Take back what dead claimants ran."""


class Rescue:
    """Takes back what dead processes ran. The store decides who is dead, and tells the queues.

    `exhausted` gets the ids of jobs that are discarded because each process that ran them died.
    """

    name = "rescue"

    def __init__(self, store: Rescues, exhausted: Callable[[Sequence[int]], Awaitable[None]]) -> None:
        self._store = store
        self._exhausted = exhausted
        self.rescued = 0
        self.set_aside = 0

    async def run(self) -> float:
        """Do it; return in how many seconds it is due again."""
        rescued = await self._store.rescue()
        for job in rescued:
            if job.state == "available":
                self.rescued += 1
                LOG.warning("job %d of queue %r is run again: the process that ran it has died", job.id, job.queue)
            else:
                self.set_aside += 1
                LOG.error("job %d of queue %r is set aside: each process that ran it has died", job.id, job.queue)
        await self._exhausted([job.id for job in rescued if job.state == "discarded"])
        return RESCUE_SECONDS
