"""A service of jobs over a store, for tests of workflows, batches and chains: jobs end when the test says how."""

from collections.abc import Sequence
from contextlib import suppress

from headrace.jobs.flows.advance import Advancer, advance_all
from headrace.jobs.job import (
    AttemptCancelled,
    AttemptCompleted,
    AttemptFailed,
    Inserted,
    Job,
    JobAck,
    JobOutcome,
    NewJob,
)
from headrace.jobs.rules.flows import groups_of
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.running.queue import JOB_STOP, EndedAttempt
from headrace.jobs.stores.memory_store import MemoryStore
from headrace.jobs.stores.store import JobStore
from headrace.telemetry.events import Telemetry
from tests.fakes.kept_jobs import ME

DONE = AttemptCompleted()
GIVEN_UP = AttemptFailed("no luck", None)
CALLED_OFF = AttemptCancelled("no longer wanted")


async def cleared(store: JobStore) -> None:
    """Delete what other examples of a property have left."""
    await store.cancel(JobFilter())
    await store.delete(JobFilter())


class Died(Exception):
    """A process died in the middle of what it did."""


class MortalStore(MemoryStore):
    """Looks and changes as its store does, so many times; then its process has died."""

    def __init__(self, store: JobStore, steps: int) -> None:
        super().__init__()
        self._store = store
        self._steps = steps

    async def find(self, which: JobFilter, limit: int, *, is_newest_first: bool = True) -> list[Job]:
        self._step()
        return await self._store.find(which, limit, is_newest_first=is_newest_first)

    async def has(self, which: JobFilter) -> bool:
        self._step()
        return await self._store.has(which)

    async def release(self, which: JobFilter) -> list[int]:
        self._step()
        return await self._store.release(which)

    async def release_next(self, chain_id: str) -> list[int]:
        self._step()
        return await self._store.release_next(chain_id)

    async def cancel(self, which: JobFilter) -> list[int]:
        self._step()
        return await self._store.cancel(which)

    def _step(self) -> None:
        self._steps -= 1
        if self._steps < 0:
            raise Died


class StoreService:
    """Inserts and cancels as `Jobs` does; what is claimed ends by `end`, and then its groups are advanced."""

    def __init__(self, store: JobStore) -> None:
        self.store = store
        self.telemetry = Telemetry()
        self.advancer = Advancer(store, self.telemetry)
        self.running: dict[str, Job] = {}
        self.ran: list[str] = []

    async def insert(self, jobs: Sequence[NewJob]) -> list[Inserted | None]:
        return list(await self.store.insert(jobs))

    async def cancel(self, which: JobFilter) -> list[int]:
        return await self.store.cancel(which)

    async def claim(self, count: int = 1000) -> list[str]:
        """Claim what may run; return the workers, or the names of steps, in the order of ids."""
        jobs = sorted(await self.store.claim(ME, count), key=lambda job: job.id)
        names = [str(job.meta.get("name") or job.args.get("n") or job.worker) for job in jobs]
        self.running.update(zip(names, jobs, strict=True))
        self.ran += names
        return names

    async def end(self, name: str, outcome: JobOutcome = DONE, *, steps: int | None = None) -> None:
        """End what was claimed, and advance its groups; the process dies after so many `steps` of that."""
        job = self.running.pop(name)
        acknowledged = [JobAck(job.id, job.attempt, outcome)]
        await self.store.acknowledge(ME, acknowledged)
        if steps is None:
            ended = [EndedAttempt(job, outcome, 0.0)]
            self.telemetry.execute(JOB_STOP, {"count": 1}, {"queue": job.queue, "attempts": ended})
            await self.advancer.advance()
            return
        with suppress(Died):
            await advance_all(MortalStore(self.store, steps), groups_of(job.meta))
        self.telemetry = Telemetry()
        self.advancer = Advancer(self.store, self.telemetry)  # another process goes on, and knows of nothing
