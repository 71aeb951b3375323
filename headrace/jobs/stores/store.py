"""What a store of jobs is: no more than those who call it need."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from headrace.jobs.job import Acknowledgement, Job, NewJob


@dataclass(frozen=True, slots=True)
class Claimant:
    """Who claims jobs: a queue of one OS process. `uuid` is new at each start, so a name used again is no danger."""

    node: str
    uuid: str
    queue: str


class JobStore(Protocol):
    """Keeps jobs. Every method is one transaction: it happened as a whole when it returns, or not at all."""

    inserted: Callable[[str], None]
    """Told the queue, on the loop, when jobs that may run at once were inserted by this process."""

    async def open(self) -> None:
        """Make the tables if there are none."""

    async def close(self) -> None:
        """Write what was accepted, and let go of the file or the connection."""

    async def insert(self, jobs: Sequence[NewJob]) -> list[int]:
        """Insert jobs; return their ids, in order. They are durable at return."""

    async def claim(self, claimant: Claimant, count: int) -> list[Job]:
        """Take at most `count` available jobs of the claimant's queue, most urgent and oldest first; they execute."""

    async def acknowledge(self, acknowledgements: Sequence[Acknowledgement]) -> None:
        """Write how attempts ended; what concerns an attempt that is no longer the present one is ignored."""

    async def get(self, job_id: int) -> Job | None:
        """Return a job, or None when there is none of that id."""

    async def stage(self, limit: int) -> set[str]:
        """Make available what is due; return the queues that have got any."""
